"""Search ResNet-50's tweaks on small images: B, C, D, the stem, zero gamma.

    python jobs/tune_imagenet_resnet.py --smoke                       # 4 trials of 2 epochs on synthetic images
    python jobs/tune_imagenet_resnet.py --searcher grid --strategy none

The grid has 16 points. Expect the stem to decide on 32 × 32 images: ImageNet's leaves a map of one pixel.
"""

from cifarray.cli.tune import tune
from search_spaces import imagenet_resnet

if __name__ == "__main__":
    tune(imagenet_resnet.space, smoke=imagenet_resnet.smoke)

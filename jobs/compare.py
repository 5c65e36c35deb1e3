"""Compare recipes: each trained with several seeds, one study; mean, deviation, cost, and the published figure.

python jobs/compare.py --data FOLDER --limit 10000       # a fast network of each family, beside a linear classifier
python jobs/compare.py resnet_110 pyramidnet_110_48 --seeds 5
python jobs/compare.py wide_resnet_28_10 --final         # on all training images, then the test split once a trial
"""

from cifarray.cli.compare import compare

FAST = (
    "alexnet_fast",
    "resnet13_fast",
    "plain_cnn_fast",
    "resnet_fast",
    "preact_resnet_fast",
    "stochastic_depth_fast",
    "wide_resnet_fast",
    "densenet_fast",
    "pyramidnet_fast",
    "imagenet_resnet_fast",
    "torchvision_fast",
)

if __name__ == "__main__":
    compare(FAST, smoke=FAST[3:5])

"""ResNet-50 and its tweaks on small images: tweak B, C or D, the stem, zero gamma.

He et al. 2019, "Bag of Tricks", arXiv:1812.01187, §3.1 (zero gamma) and §4 (tweaks); the stem for small images is not
in the paper.
"""

from cifarray import recipes
from cifarray.space.domains import choice
from cifarray.space.space import SearchSpace

space = SearchSpace(
    name="imagenet-resnet",
    base=recipes.get("resnet_50"),
    domains={
        "model.tweak": choice("none", "b", "c", "d"),
        "model.stem": choice("cifar", "imagenet"),
        "init.zero_gamma": choice(False, True),
    },
)

# The smallest networks of the family: for `--smoke`.
smoke = space.pin({"model.depth": 26, "model.base_width": 8, "batch_size": 64})

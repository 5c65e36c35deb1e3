"""DenseNet: growth rate k, depth, with bottlenecks and compression (BC) or without.

Huang et al. 2017, "Densely Connected Convolutional Networks", arXiv:1608.06993, table 2: k of 12, 24 and 40. Depths are
6n + 4, which both kinds allow. Compression matters where there are bottlenecks; a plain DenseNet has none.
"""

from cifarray import recipes
from cifarray.space.domains import choice, log_uniform
from cifarray.space.space import SearchSpace

space = SearchSpace(
    name="densenet",
    base=recipes.get("densenet_40_12"),
    domains={
        "model.bottleneck": choice(False, True),
        "model.compression": choice(0.5, 0.7, 1.0).when("model.bottleneck", True),
        "model.growth_rate": choice(12, 24, 40),
        "model.depth": choice(40, 64, 100, 190),
        "optimizer.lr": log_uniform(0.03, 0.3),
    },
    # DenseNet-100-24, the largest without bottlenecks in the paper, has 27.2 million.
    max_params=30_000_000,
)

# The smallest networks of the family: for `--smoke`.
smoke = space.pin({"model.depth": 10}).vary({"model.growth_rate": choice(4, 8)})

"""PyramidNet: the widening factor α, depth, additive or multiplicative widening, basic or bottleneck blocks.

Han et al. 2017, "Deep Pyramidal Residual Networks", arXiv:1610.02915, table 4. Where widening is multiplicative, α is
what the channels are multiplied by in all, so each way has values of its own. All depths are 6n + 2 and 9n + 2.
"""

from cifarray import recipes
from cifarray.space.domains import cases, choice
from cifarray.space.space import SearchSpace

space = SearchSpace(
    name="pyramidnet",
    base=recipes.get("pyramidnet_110_48"),
    domains={
        "model.depth": choice(56, 110, 164, 200),
        "model.bottleneck": choice(False, True),
        "model.widening": choice("additive", "multiplicative"),
        "model.alpha": cases(
            "model.widening",
            {"additive": choice(48, 84, 150, 200, 270), "multiplicative": choice(4.75, 8.0, 16.0, 27.0)},
        ),
        "optimizer.lr": choice(0.05, 0.1, 0.2),
    },
    # The largest network of the paper has 28.5 million.
    max_params=30_000_000,
)

# The smallest networks of the family: for `--smoke`.
smoke = space.pin({"model.depth": 20, "model.bottleneck": False, "batch_size": 64}).vary(
    {"model.alpha": cases("model.widening", {"additive": choice(8, 16), "multiplicative": choice(1.5, 2.0)})}
)

"""WideResNet: widening factor k and depth on the grid of the paper, dropout, learning rate and weight decay.

Zagoruyko & Komodakis 2016, "Wide Residual Networks", arXiv:1605.07146: k and depth as in table 4, dropout as in §3.3
(0.3 on CIFAR). `--space schedule.name=multistep,cosine` adds the learning-rate schedule.
"""

from cifarray import recipes
from cifarray.space.domains import choice, log_uniform
from cifarray.space.space import SearchSpace

space = SearchSpace(
    name="wrn",
    base=recipes.get("wide_resnet_28_10"),
    domains={
        "model.widen_factor": choice(1, 2, 4, 8, 10, 12),
        "model.depth": choice(16, 22, 28, 40),
        "model.dropout": choice(0.0, 0.3),
        "optimizer.lr": log_uniform(0.01, 0.4),
        "optimizer.weight_decay": log_uniform(1e-4, 2e-3),
    },
)

# The smallest networks of the family: for `--smoke`.
smoke = space.pin({"model.depth": 10, "model.dropout": 0.0, "batch_size": 64}).vary(
    {"model.widen_factor": choice(1, 2)}
)

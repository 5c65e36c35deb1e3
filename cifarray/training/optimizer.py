"""torch's optimizers, from their part of the config. Weight decay is on every parameter, as in the CIFAR papers.

Not here: how the rate moves (`schedule`).
"""

from collections.abc import Iterable

from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from cifarray.config import OptimizerConfig


def build_optimizer(parameters: Iterable[nn.Parameter], config: OptimizerConfig) -> Optimizer:
    """`config.lr` is the rate that the schedule peaks at."""
    if config.name == "sgd":
        return SGD(
            parameters,
            lr=config.lr,
            momentum=config.momentum,
            nesterov=config.nesterov,
            weight_decay=config.weight_decay,
        )
    adaptive = {"adamw": AdamW, "adam": Adam}[config.name]
    return adaptive(parameters, lr=config.lr, betas=config.betas, weight_decay=config.weight_decay)

"""The smallest training that has all parts, and a network without batch normalisation. Not here: any test."""

from typing import Any

import torch
from torch import nn

from cifarray.config import TrainConfig, override
from cifarray.training.loop import Training

CPU = torch.device("cpu")

TINY = override(
    TrainConfig(),
    {
        "model.depth": 10,
        "data.source": "synthetic:300",
        "data.image_size": 16,
        "schedule.name": "one_cycle",
        "epochs": 2,
        "batch_size": 32,
    },
)
"""270 images to train on (8 batches, the last 14 images dropped) and 30 to validate."""


def tiny(**values: Any) -> TrainConfig:
    """`tiny(model__dropout=0.3)`."""
    return override(TINY, {path.replace("__", "."): value for path, value in values.items()})


def plain_network(num_classes: int) -> nn.Module:
    """Without batch normalisation, the sum over two halves of a batch is the sum over the batch."""
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(32, num_classes)
    )


def train(
    config: TrainConfig, rank: int = 0, world_size: int = 1, checkpoint: Any = None, device: torch.device = CPU
) -> list[dict[str, Any]]:
    """The states after each epoch that is left."""
    training = Training(config, device, rank, world_size, checkpoint)
    states = []
    while training.epoch < config.epochs:
        training.run_epoch()
        states.append(training.state())
    training.close()
    return states


def assert_same_weights(first: dict[str, Any], second: dict[str, Any]) -> None:
    """Bit for bit, batch normalisation's statistics included."""
    assert first["model"].keys() == second["model"].keys()
    different = [name for name in first["model"] if not first["model"][name].equal(second["model"][name])]
    assert different == []

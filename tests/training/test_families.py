"""Every family trains under DDP, with the same weights on all ranks, and goes on from a checkpoint bit for bit."""

from typing import Any

import pytest
from ranks import Ranks
from tiny import TINY, assert_same_weights, train

from cifarray.config import TrainConfig, override

FAMILIES: dict[str, dict[str, Any]] = {
    "linear": {"name": "linear", "side": 16},
    "alexnet": {"name": "alexnet", "size": "small"},
    "resnet13": {"name": "resnet13", "blocks": [1, 1]},
    "plain_cnn": {"name": "plain_cnn", "depth": 8},
    "resnet": {"name": "resnet", "depth": 8},
    "preact_resnet": {"name": "preact_resnet", "depth": 8},
    "stochastic_depth_resnet": {"name": "stochastic_depth_resnet", "depth": 14, "death_rate": 0.9},
    "wide_resnet": {"name": "wide_resnet", "depth": 10, "widen_factor": 1, "dropout": 0.3},
    "densenet": {"name": "densenet", "depth": 7, "growth_rate": 4, "dropout": 0.2},
    "densenet memory": {
        "name": "densenet",
        "depth": 10,
        "growth_rate": 4,
        "bottleneck": True,
        "memory_efficient": True,
    },
    "pyramidnet": {"name": "pyramidnet", "depth": 8, "alpha": 4},
    "imagenet_resnet": {"name": "imagenet_resnet", "depth": 26, "base_width": 4, "tweak": "d"},
    "mobilenet": {"name": "torchvision", "arch": "mobilenet_v3_small", "resize": 32},
}


def config_of(name: str) -> TrainConfig:
    config = TrainConfig.from_dict(TINY.to_dict() | {"model": FAMILIES[name]})
    # AlexNet's kernels and poolings need 32 pixels.
    return override(config, {"data.image_size": 32}) if name == "alexnet" else config


def train_on(rank: int, world_size: int, config: TrainConfig, checkpoint: Any = None) -> list[dict[str, Any]]:
    return train(config, rank, world_size, checkpoint)


@pytest.mark.parametrize("name", FAMILIES)
def test_two_ranks_end_with_the_same_weights(two_ranks: Ranks, name: str) -> None:
    first, second = two_ranks(train_on, config_of(name))
    assert_same_weights(first[-1], second[-1])
    assert first[-1]["metrics"] == second[-1]["metrics"]


@pytest.mark.parametrize("name", ["stochastic_depth_resnet", "densenet memory"])
def test_a_resumed_run_equals_the_undisturbed_one(two_ranks: Ranks, name: str) -> None:
    config = config_of(name)
    first, last = two_ranks(train_on, config)[0]
    assert_same_weights(two_ranks(train_on, config, first)[0][0], last)

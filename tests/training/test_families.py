"""Every family trains under DDP, with the same weights on all ranks, and goes on from a checkpoint bit for bit."""

from typing import Any

import pytest
from ranks import Ranks
from tiny import assert_same_weights, train
from trainings import FAMILIES, family

from cifarray.config import TrainConfig


def train_on(rank: int, world_size: int, config: TrainConfig, checkpoint: Any = None) -> list[dict[str, Any]]:
    return train(config, rank, world_size, checkpoint)


def last_on(rank: int, world_size: int, config: TrainConfig) -> dict[str, Any]:
    """The last state, without what only training needs: AlexNet's takes a second to be brought here."""
    last = train(config, rank, world_size)[-1]
    return {"model": last["model"], "metrics": last["metrics"]}


@pytest.mark.parametrize("name", FAMILIES)
def test_two_ranks_end_with_the_same_weights(two_ranks: Ranks, name: str) -> None:
    first, second = two_ranks(last_on, family(name))
    assert_same_weights(first, second)
    assert first["metrics"] == second["metrics"]


@pytest.mark.parametrize("name", ["stochastic_depth_resnet", "densenet memory"])
def test_a_resumed_run_equals_the_undisturbed_one(two_ranks: Ranks, name: str) -> None:
    config = family(name)
    first, last = two_ranks(train_on, config)[0]
    assert_same_weights(two_ranks(train_on, config, first)[0][0], last)

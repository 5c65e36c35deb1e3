"""Four epochs are two epochs, a checkpoint, and two more in other processes: bit for bit, whatever is switched on."""

from pathlib import Path
from typing import Any

import pytest
import torch
from ranks import Ranks
from tiny import CPU, tiny, train
from trainings import TOOLBOX, assert_same, with_tool

from cifarray.config import TrainConfig
from cifarray.training.checkpoint import load_checkpoint, save_checkpoint
from cifarray.training.loop import Training

RANKS_INTERACT = {
    *("sgd", "muon", "clip_norm", "fp16", "accumulate"),  # what they agree on: gradients, their size, their overflow
    *("dropout", "stochastic_depth", "mixup and cutmix", "trivial_augment"),  # what each draws, or all alike
    *("zero_gamma", "all at once"),
}
"""Of what is switched on, what could differ between one rank and two."""
EVERY_DAY = {("all at once", 1), *((name, 2 if name in RANKS_INTERACT else 1) for name in TOOLBOX)}
"""With this many ranks; at night with both."""
CASES = [
    pytest.param(name, world_size, marks=[] if (name, world_size) in EVERY_DAY else [pytest.mark.nightly])
    for name in TOOLBOX
    for world_size in (1, 2)
]


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory, cifarray_home: Path) -> str:
    address = str(tmp_path_factory.mktemp("teacher") / "epoch-0001.pt")
    save_checkpoint(address, train(tiny(epochs=1, seed=7))[-1])
    return address


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory, cifarray_home: Path) -> Any:
    """Other processes, alone and in twos."""
    with (
        Ranks(1, tmp_path_factory.mktemp("one")) as one,
        Ranks(2, tmp_path_factory.mktemp("other")) as two,
    ):
        yield {1: one, 2: two}


def train_on(rank: int, world_size: int, config: TrainConfig, address: str | None) -> list[dict[str, Any]]:
    checkpoint = load_checkpoint(address) if address else None
    return train(config, rank, world_size, checkpoint)


@pytest.mark.parametrize(("name", "world_size"), CASES)
def test_resumed_run_equals_undisturbed_run(
    name: str, world_size: int, teacher: str, two_ranks: Ranks, elsewhere: dict[int, Ranks], tmp_path: Path
) -> None:
    config, address = with_tool(name, teacher), str(tmp_path / "epoch-0002.pt")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as in the other processes
    undisturbed = train(config) if world_size == 1 else two_ranks(train_on, config, None)[0]
    torch.set_num_threads(threads)
    save_checkpoint(address, undisturbed[1])
    resumed = elsewhere[world_size](train_on, config, address)[0]
    assert_same(resumed[-1], undisturbed[-1])


@pytest.mark.parametrize(
    ("values", "difference"),
    [
        ({"optimizer__lr": 0.2}, r"optimizer.lr: 0.1 → 0.2"),
        ({"model__widen_factor": 2}, r"model.widen_factor: 1 → 2"),
        ({"ema_decay": 0.9}, r"ema_decay: 0.0 → 0.9"),
        ({"epochs": 3, "mixup": 0.2}, r"epochs: 2 → 3; mixup: 0.0 → 0.2"),
        ({"data__source": "synthetic:400"}, r"data.source: synthetic:300 → synthetic:400; prepared.mean: .* → .*"),
    ],
)
def test_a_checkpoint_of_another_training_is_refused_with_what_differs(values: dict[str, Any], difference: str) -> None:
    (state, *_) = train(tiny())
    with pytest.raises(ValueError, match=rf"the checkpoint is of another training \({difference}.*\): go on with the"):
        Training(tiny(**values), CPU, checkpoint=state)


@pytest.mark.parametrize("values", [{"accumulate": 2}, {"auto_micro_batch": True}, {"checkpoint_every": 2}])
def test_what_may_change_on_the_way_is_no_difference(values: dict[str, Any]) -> None:
    (state, *_) = train(tiny())
    assert Training(tiny(**values), CPU, checkpoint=state).run_epoch()["epoch"] == 2

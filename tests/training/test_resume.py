"""Four epochs are two epochs, a checkpoint, and two more in other processes: bit for bit, whatever is switched on."""

from pathlib import Path
from typing import Any

import pytest
import torch
from ranks import Ranks
from tiny import CPU, TINY, tiny, train

from cifarray.config import TrainConfig, override
from cifarray.training.checkpoint import load_checkpoint, save_checkpoint
from cifarray.training.loop import Training

RESNET = {"name": "resnet", "depth": 8}
WARM = {"schedule.warmup": 0.2}

TOOLBOX: dict[str, dict[str, Any]] = {
    "constant": {"schedule.name": "constant", **WARM},
    "multistep": {"schedule.name": "multistep", **WARM},
    "step": {"schedule.name": "step", **WARM},
    "cosine": {"schedule.name": "cosine", **WARM},
    "one_cycle": {"schedule.name": "one_cycle", **WARM},
    "polynomial": {"schedule.name": "polynomial", "schedule.power": 2.0, **WARM},
    "linear_scaling": {"optimizer.linear_scaling": True},
    "sgd": {"optimizer.nesterov": False, "optimizer.decay": "weights"},
    "adam": {"optimizer.name": "adam", "optimizer.lr": 1e-3},
    "adamw": {"optimizer.name": "adamw", "optimizer.lr": 1e-3, "optimizer.decay": "weights"},
    "muon": {"optimizer.name": "muon", "optimizer.lr": 1e-3, "optimizer.decay": "weights"},
    "he_fan_in": {"init.weights": "he_fan_in"},
    "zero_gamma": {"init.weights": "he_fan_out", "init.zero_gamma": True},
    "label_smoothing": {"label_smoothing": 0.1},
    "dropout": {"model.dropout": 0.3},
    "stochastic_depth": {"stochastic_depth": 0.5},
    "mixup": {"mixup": 0.2},
    "cutmix": {"cutmix": 1.0},
    "mixup and cutmix": {"mixup": 0.2, "cutmix": 1.0},
    "ema": {"ema_decay": 0.9},
    "clip_norm": {"clip_norm": 0.5},
    "cutout": {"data.cutout": 8},
    "colours": {"data.crop": "resized", "data.color_jitter": 0.4, "data.pca_noise": 0.1},
    "crop_size": {"data.crop_size": 12},
    "trivial_augment": {"data.policy": "trivial_augment"},
    "rand_augment": {"data.policy": "rand_augment"},
    "fp16": {"precision": "fp16"},
    "bf16": {"precision": "bf16"},
    "accumulate": {"accumulate": 4},
    "distillation": {"distillation.temperature": 4.0},
    "all at once": {
        "optimizer.name": "muon",
        "optimizer.lr": 1e-3,
        "precision": "fp16",
        "mixup": 0.2,
        "cutmix": 1.0,
        "ema_decay": 0.9,
        "clip_norm": 1.0,
        "accumulate": 2,
        "stochastic_depth": 0.2,
        "data.policy": "trivial_augment",
        **WARM,
    },
}

RANKS_INTERACT = {
    *("sgd", "muon", "clip_norm", "fp16", "accumulate"),  # what they agree on: gradients, their size, their overflow
    *("dropout", "stochastic_depth", "mixup and cutmix", "trivial_augment"),  # what each draws, or all alike
    *("zero_gamma", "all at once"),
}
"""Of what is switched on, what could differ between one rank and two."""
CASES = [
    pytest.param(name, world_size, marks=[pytest.mark.nightly] if world_size > 1 and name not in RANKS_INTERACT else [])
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


def config_of(name: str, teacher: str) -> TrainConfig:
    base = TrainConfig.from_dict(TINY.to_dict() | {"model": RESNET}) if name == "zero_gamma" else TINY
    taught = {"distillation.teacher": teacher} if name in ("distillation", "all at once") else {}
    return override(base, {"epochs": 4, **TOOLBOX[name], **taught})


def train_on(rank: int, world_size: int, config: TrainConfig, address: str | None) -> list[dict[str, Any]]:
    checkpoint = load_checkpoint(address) if address else None
    return train(config, rank, world_size, checkpoint)


def assert_same(first: Any, second: Any, where: str = "") -> None:
    """The whole state bit for bit, but for what is measured by the clock."""
    if isinstance(first, dict):
        assert first.keys() == second.keys(), where
        measured = ("images_per_second", "epoch_seconds", "peak_memory_bytes", "teacher_seconds")
        for key in first.keys() - set(measured):
            assert_same(first[key], second[key], f"{where}.{key}")
    elif isinstance(first, list | tuple):
        assert len(first) == len(second), where
        for index, (one, other) in enumerate(zip(first, second, strict=True)):
            assert_same(one, other, f"{where}.{index}")
    elif isinstance(first, torch.Tensor):
        assert first.equal(second), where
    else:
        assert first == second, where


@pytest.mark.parametrize(("name", "world_size"), CASES)
def test_resumed_run_equals_undisturbed_run(
    name: str, world_size: int, teacher: str, two_ranks: Ranks, elsewhere: dict[int, Ranks], tmp_path: Path
) -> None:
    config, address = config_of(name, teacher), str(tmp_path / "epoch-0002.pt")
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

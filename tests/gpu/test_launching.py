"""A step on a GPU: launched at once or kernel by kernel it gives the same weights, and it waits for nothing."""

from typing import Any

import pytest
import torch
from tiny import assert_same_weights, tiny, train
from trainings import FAMILIES, TOOLBOX, family, with_tool

from cifarray.config import TrainConfig, override
from cifarray.training.loop import Training
from cifarray.training.step import TimedStep

PLAIN = {
    "fp16": "fp16's gradients",
    "all at once": "fp16's gradients",
    "muon": "MuonBesideAdamW",
    "stochastic_depth_resnet": "branches",
}
"""What cannot be launched at once, and a word of the reason."""
WAITING = ("all at once",)
"""Muon is told by the CPU which steps fp16 skips."""


def configs(teacher: str) -> dict[str, TrainConfig]:
    families = {name: override(family(name), {"epochs": 4}) for name in FAMILIES}
    return families | {name: with_tool(name, teacher) for name in TOOLBOX}


@pytest.mark.parametrize("name", [name for name in (*FAMILIES, *TOOLBOX) if name not in PLAIN])
def test_with_a_graph_and_without_the_weights_are_the_same(name: str, teacher: str, gpu: torch.device) -> None:
    config = configs(teacher)[name]
    without, launched = (train(override(config, {"cuda_graph": mode}), device=gpu)[-1] for mode in ("off", "on"))
    assert_same_weights(without, launched)
    assert without["metrics"]["train_loss"] == launched["metrics"]["train_loss"]


@pytest.mark.parametrize(("name", "reason"), PLAIN.items())
def test_what_cannot_be_launched_at_once_is_refused(name: str, reason: str, teacher: str, gpu: torch.device) -> None:
    config = override(configs(teacher)[name], {"cuda_graph": "on"})
    with pytest.raises(ValueError, match=f"cuda_graph on cannot be: .*{reason}.*; set cuda_graph to auto"):
        Training(config, gpu)


def test_auto_keeps_what_was_faster(gpu: torch.device) -> None:
    training = Training(tiny(epochs=8), gpu)
    for _ in range(8):
        training.run_epoch()
    step = training.take_step
    assert isinstance(step, TimedStep)
    assert step.told.startswith("a CUDA graph takes ")
    print(step.told)
    assert step.told.endswith("kept") == (step.graphed is not None)


@pytest.mark.parametrize("name", [name for name in (*FAMILIES, *TOOLBOX) if name not in WAITING])
def test_a_step_waits_for_nothing(name: str, teacher: str, gpu: torch.device) -> None:
    take_without_waiting(Training(override(configs(teacher)[name], {"cuda_graph": "off"}), gpu))


@pytest.mark.parametrize("values", [{}, {"mixup": 0.2}, {"data.grid": 2}])
def test_images_in_memory_are_copied_without_waiting(
    values: dict[str, Any], gpu: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = override(tiny(epochs=1), values)
    on_gpu = train(config, device=gpu)[-1]
    monkeypatch.setattr("cifarray.training.loop._MAX_BYTES_ON_GPU", 0)
    assert_same_weights(train(config, device=gpu)[-1], on_gpu)
    take_without_waiting(Training(config, gpu))


def take_without_waiting(training: Training) -> None:
    """An epoch, all of whose steps but the first and the last must not wait for the device."""
    taken = 0

    def on_step() -> None:
        nonlocal taken
        taken += 1
        between = 1 < taken < training.steps_per_epoch
        torch.cuda.set_sync_debug_mode("error" if between else "default")

    try:
        training.run_epoch(on_step)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert taken >= training.steps_per_epoch == 8

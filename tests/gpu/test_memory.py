"""Out of memory is the end of one trial alone; the peak that is told is torch's."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from tiny import assert_same_weights, tiny, train

from cifarray.training import loop
from cifarray.training.loop import Training

HUGE = {"model__depth": 28, "model__widen_factor": 10, "batch_size": 256, "data__image_size": 64}


@pytest.fixture
def little_memory(gpu: torch.device) -> Iterator[torch.device]:
    """1.5 GB of it."""
    total = torch.cuda.get_device_properties(gpu).total_memory
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(1.5e9 / total, gpu)
    yield gpu
    torch.cuda.set_per_process_memory_fraction(1.0, gpu)


@pytest.mark.parametrize("mode", ["off", "on"])
def test_a_trial_without_memory_ends_and_the_next_one_trains(mode: str, little_memory: torch.device) -> None:
    small = tiny(cuda_graph=mode, epochs=3)
    before = train(small, device=little_memory)[-1]
    held = torch.cuda.memory_allocated(little_memory)

    training = Training(tiny(cuda_graph=mode, **HUGE), little_memory)
    with pytest.raises(torch.OutOfMemoryError):
        training.run_epoch()
    training.close()
    del training
    assert torch.cuda.memory_allocated(little_memory) <= held + 2**20
    assert_same_weights(train(small, device=little_memory)[-1], before)


def test_trial_after_trial_takes_no_more_memory(gpu: torch.device) -> None:
    held = []
    for seed in range(10):
        train(tiny(seed=seed, epochs=3), device=gpu)
        held.append(torch.cuda.memory_allocated(gpu))
    assert held[9] == held[2]


def test_an_evaluation_takes_the_memory_of_the_graph_where_there_is_no_other(
    gpu: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny(epochs=4)
    undisturbed = train(config, device=gpu)[-1]
    training = Training(config, gpu)
    while getattr(training.take_step, "graphed", None) is None:
        training.run_epoch()
    evaluate, left = loop.evaluate, [torch.OutOfMemoryError("CUDA out of memory")]

    def short_of_memory(*arguments: Any, **more: Any) -> Any:
        if left:
            raise left.pop()
        return evaluate(*arguments, **more)

    monkeypatch.setattr(loop, "evaluate", short_of_memory)
    while training.epoch < config.epochs:
        training.run_epoch()
    assert training.take_step.graphed is None  # type: ignore[union-attr]
    assert_same_weights(training.state(), undisturbed)


def test_the_peak_is_torchs(gpu: torch.device) -> None:
    training = Training(tiny(), gpu)
    peak = training.run_epoch()["peak_memory_bytes"]
    assert peak == torch.cuda.max_memory_allocated(gpu) > sum(p.nbytes for p in training.network.parameters())

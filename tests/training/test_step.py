"""Which launching is kept, from times alone; what a CPU has not. What a GPU does is in `tests/gpu`."""

from typing import Any

import pytest
import torch
from tiny import CPU, tiny

from cifarray.training import step as step_file
from cifarray.training.loop import Training
from cifarray.training.step import GraphedStep, Step, TimedStep


class Clock:
    """Events on a clock that a step moves on by what it takes."""

    now = 0.0

    def event(self) -> "Clock":
        event = Clock()
        event.now = self.now
        return event

    def elapsed_time(self, ended: "Clock") -> float:
        return ended.now - self.now


class Taken:
    """A step that takes so many milliseconds."""

    device = CPU

    def __init__(self, clock: Clock, milliseconds: float) -> None:
        self.clock, self.milliseconds, self.count = clock, milliseconds, 0

    def __call__(self, rows: Any, epoch: int) -> None:
        self.clock.now += self.milliseconds
        self.count += 1


def timed(monkeypatch: pytest.MonkeyPatch, plain: float, launched: float, mode: Any = "auto") -> tuple[Any, ...]:
    """A `TimedStep` after 40 steps, with its two steps."""
    clock = Clock()
    steps = Taken(clock, plain), Taken(clock, launched)
    monkeypatch.setattr(step_file, "_event", clock.event)
    monkeypatch.setattr(step_file, "_stream", lambda device: None)
    monkeypatch.setattr(step_file, "GraphedStep", lambda *arguments: steps[1])
    step = TimedStep(steps[0], mode)  # type: ignore[arg-type]
    for number in range(40):
        step(None, 1)  # type: ignore[arg-type]
        if number % 5 == 4:
            step.settle()
    return step, *steps


def test_a_graph_that_is_faster_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """After five steps to warm up and ten that are timed."""
    step, plain, launched = timed(monkeypatch, plain=10.0, launched=4.0)
    assert (plain.count, launched.count) == (15, 25)
    assert step.told == "a CUDA graph takes 4.00 ms a step, without it 10.00 ms: kept"


@pytest.mark.parametrize("launched", [12.0, 10.0, 9.9])
def test_one_that_is_not_is_let_go(launched: float, monkeypatch: pytest.MonkeyPatch) -> None:
    step, plain, graphed = timed(monkeypatch, plain=10.0, launched=launched)
    assert (plain.count, graphed.count) == (30, 10)
    assert step.told.endswith(": let go")


def test_on_keeps_it_in_any_case(monkeypatch: pytest.MonkeyPatch) -> None:
    step, plain, launched = timed(monkeypatch, plain=10.0, launched=12.0, mode="on")
    assert (plain.count, launched.count) == (15, 25)
    assert not step.let_go()


def test_where_memory_is_short_a_graph_goes_and_none_comes_again(monkeypatch: pytest.MonkeyPatch) -> None:
    step, plain, launched = timed(monkeypatch, plain=10.0, launched=4.0)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    assert step.let_go()
    before = plain.count
    for _ in range(20):
        step(None, 2)
    assert (plain.count, launched.count) == (before + 20, 25)
    assert not step.let_go()


@pytest.mark.parametrize(
    ("error", "mode", "raised"),
    [
        (RuntimeError("operation not permitted when stream is capturing"), "auto", None),
        (torch.OutOfMemoryError("CUDA out of memory"), "auto", None),
        (
            torch.AcceleratorError("CUDA error: an illegal memory access was encountered"),
            "auto",
            torch.AcceleratorError,
        ),
        (torch.AcceleratorError("CUDA error: an illegal memory access was encountered"), "on", torch.AcceleratorError),
        (torch.OutOfMemoryError("CUDA out of memory"), "on", torch.OutOfMemoryError),
        (RuntimeError("operation not permitted when stream is capturing"), "on", ValueError),
    ],
)
def test_what_cannot_be_recorded_goes_on_without_a_graph_unless_it_is_asked_for(
    error: Exception, mode: Any, raised: type[Exception] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: Any) -> GraphedStep:
        raise error

    clock = Clock()
    plain = Taken(clock, 1.0)
    monkeypatch.setattr(step_file, "_event", clock.event)
    monkeypatch.setattr(step_file, "_stream", lambda device: None)
    monkeypatch.setattr(step_file, "GraphedStep", fail)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    step = TimedStep(plain, mode)  # type: ignore[arg-type]
    for _ in range(15):
        step(None, 1)  # type: ignore[arg-type]
    if raised is not None:
        with pytest.raises(raised):
            step(None, 1)  # type: ignore[arg-type]
        return
    for _ in range(10):
        step(None, 1)  # type: ignore[arg-type]
    assert plain.count == 25
    assert step.told == f"no CUDA graph: {error}"


def test_a_cpu_has_no_graphs() -> None:
    with pytest.raises(ValueError, match="cuda_graph on cannot be: CUDA graphs are of NVIDIA's GPUs, .* trains on cpu"):
        Training(tiny(cuda_graph="on"), CPU)
    assert isinstance(Training(tiny(), CPU).take_step, Step)


def test_tf32_is_for_gpus() -> None:
    with pytest.raises(ValueError, match="precision tf32 is of NVIDIA's GPUs, and this worker trains on cpu: choose f"):
        Training(tiny(precision="tf32"), CPU)

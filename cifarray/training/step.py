"""One batch: made, forward, loss and backward of each micro-batch, then the optimizer; on a GPU as one launch.

A small network's step is some hundred kernels that take the GPU less time than the CPU needs to launch them. A CUDA
graph launches them all at once: the same kernels on the same numbers, so the weights are the same bit for bit, and
whether there is one is only a question of time, which `TimedStep` measures. Not here: how a batch is made, which is the
task's; the schedule; which rows are due (`loop`).
"""

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Literal

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils._pytree import tree_leaves

from cifarray.training.optimizer import reads_rates_on_device
from cifarray.training.parallel import unreduced
from cifarray.training.precision import Resolved, autocast
from cifarray.training.tasks.task import Targets, Task

Batch = tuple[Tensor, Targets]
"""Images and targets of one micro-batch, on the device."""

MakeBatches = Callable[[Tensor, int], Iterator[Batch]]
"""From the rows (G,) of a global batch and the epoch to this rank's micro-batches, one at a time."""

_WARM_UP, _TIMED = 5, 10
"""Steps before any is timed, in which libraries choose their kernels; and how many are, without a graph and with it."""

_GAIN = 1.02
"""A graph holds memory of its own: it must be so much faster."""

log = logging.getLogger(__name__)


class Step:
    """`step(rows, epoch)` trains on the global batch of `rows` (G,); sums of (loss, correct) are added to `totals`.

    `in_backward` is true from just before the backward pass of the last micro-batch until the optimizer has stepped.
    """

    stream: torch.cuda.Stream | None = None
    """What it is launched on: the caller's."""

    def __init__(
        self,
        module: nn.Module,
        task: Task,
        make_batches: MakeBatches,
        optimizer: Optimizer,
        scaler: torch.amp.GradScaler,
        precision: Resolved,
        device: torch.device,
        num_micro_batches: int,
        clip_norm: float | None,
    ) -> None:
        self.module, self.task, self.make_batches = module, task, make_batches
        self.optimizer, self.scaler = optimizer, scaler
        self.precision, self.device, self.clip_norm = precision, device, clip_norm
        self.num_micro_batches = num_micro_batches
        self.totals = torch.zeros(2, dtype=torch.float64, device=device)
        self.in_backward = False
        fused = reads_rates_on_device(optimizer)
        self._rates = [torch.zeros((), device=device) for _ in optimizer.param_groups] if fused else []

    def __call__(self, rows: Tensor, epoch: int) -> None:
        self.load_rates()
        self.run(self.make_batches(rows, epoch))

    def load_rates(self) -> None:
        """The optimizer's present rates, from where the schedule keeps them to where `run` reads them."""
        for group, rate in zip(self.optimizer.param_groups, self._rates, strict=False):
            rate.fill_(group["lr"])

    def settle(self) -> None:
        """There is nothing to choose."""

    def let_go(self) -> bool:
        """There is no graph."""
        return False

    def run(self, batches: Iterable[Batch]) -> None:
        """All but `load_rates` and the batches: what it does to the device depends on nothing but the device."""
        plain = [group["lr"] for group in self.optimizer.param_groups]
        for group, rate in zip(self.optimizer.param_groups, self._rates, strict=False):
            group["lr"] = rate
        try:
            self._run(batches)
        finally:
            for group, rate in zip(self.optimizer.param_groups, plain, strict=True):
                group["lr"] = rate

    def _run(self, batches: Iterable[Batch]) -> None:
        self.optimizer.zero_grad()
        for number, (images, targets) in enumerate(batches, start=1):
            last = number == self.num_micro_batches
            with unreduced(self.module, last):
                with autocast(self.precision, self.device):
                    logits = self.module(images)
                loss = self.task.loss(logits.float(), targets) / self.num_micro_batches
                self.in_backward = last
                self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
            self.totals += torch.stack([loss.detach(), self.task.correct(logits.detach(), targets)])
        if self.clip_norm is not None:
            self.scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_(self.module.parameters(), self.clip_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.in_backward = False


class GraphedStep:
    """A `Step` whose kernels are recorded once and then launched together. To be made after some plain steps.

    Making the batches is recorded too where the task makes them of nothing but what is on the device. Everything
    happens on `stream`, which the caller makes the current one.
    """

    def __init__(self, step: Step, rows: Tensor, epoch: int, stream: torch.cuda.Stream) -> None:
        """`rows` and their batches are of the shapes of all that will come; nothing is trained on them yet.

        Raises RuntimeError for what cannot be recorded, OutOfMemoryError where it does not fit.
        """
        self.step = step
        self.rows = rows.clone() if step.task.batches_on_device else None
        self.batches: list[Batch] = [] if self.rows is not None else list(step.make_batches(rows, epoch))
        step.optimizer.zero_grad()  # so that the gradients are the graph's own
        self.graph = torch.cuda.CUDAGraph()
        try:
            # Empties the cache of what plain steps have used and the graph does not. What other threads of the process
            # ask CUDA meanwhile is none of its business.
            with torch.cuda.graph(self.graph, stream=stream, capture_error_mode="thread_local"):
                step.run(self.batches if self.rows is None else step.make_batches(self.rows, epoch))
        finally:
            step.in_backward = False

    def __call__(self, rows: Tensor, epoch: int) -> None:
        """The same as the plain step does."""
        if self.rows is not None:
            self.rows.copy_(rows)
        else:
            for own, given in zip(_tensors(self.batches), _tensors(self.step.make_batches(rows, epoch)), strict=True):
                own.copy_(given, non_blocking=True)
        self.step.load_rates()
        self.graph.replay()


class TimedStep:
    """Plain steps at first, then as many from a graph, then whichever is faster: `mode` auto. `on`: the graph anyway.

    `told` is one sentence on what was found, empty until then.
    """

    def __init__(self, step: Step, mode: Literal["auto", "on"]) -> None:
        self.step, self.mode = step, mode
        self.stream = _stream(step.device)
        self.graphed: GraphedStep | None = None
        self.count = 0
        self.told = ""
        self._plain: list[tuple[torch.cuda.Event, torch.cuda.Event]] = []
        self._launched: list[tuple[torch.cuda.Event, torch.cuda.Event]] = []

    def __call__(self, rows: Tensor, epoch: int) -> None:
        self.count += 1
        if self.told or self.count <= _WARM_UP:
            (self.graphed or self.step)(rows, epoch)
            return
        if len(self._plain) == _TIMED and self.graphed is None:
            self._record(rows, epoch)
        times = self._plain if self.graphed is None else self._launched
        began = _event()
        (self.graphed or self.step)(rows, epoch)
        times.append((began, _event()))

    def settle(self) -> None:
        """To be called where the caller waits for the device anyway: once both were timed, the slower one goes."""
        if self.told or len(self._launched) < _TIMED:
            return
        plain, launched = (
            sum(began.elapsed_time(ended) for began, ended in times) / len(times)
            for times in (self._plain, self._launched)
        )
        self._plain, self._launched = [], []
        if self.mode == "auto" and launched * _GAIN > plain:
            self.graphed = None
        kept = "kept" if self.graphed else "let go"
        self._tell(f"a CUDA graph takes {launched:.2f} ms a step, without it {plain:.2f} ms: {kept}")

    def let_go(self) -> bool:
        """Where memory is short: goes on without the graph from now on. Returns whether there was one to let go of."""
        if self.graphed is None or self.mode == "on":
            return False
        self.graphed, self._plain, self._launched = None, [], []
        torch.cuda.empty_cache()
        self._tell("the CUDA graph's memory was needed: let go")
        return True

    def _record(self, rows: Tensor, epoch: int) -> None:
        try:
            self.graphed = GraphedStep(self.step, rows, epoch, self.stream)
        except torch.AcceleratorError:
            # CUDA is broken for this process, or out of memory in its own words.
            raise
        except RuntimeError as error:  # torch.OutOfMemoryError is one
            if self.mode == "on" and isinstance(error, torch.OutOfMemoryError):
                raise
            torch.cuda.empty_cache()
            first_line = str(error).split("\n")[0]
            if self.mode == "on":
                raise ValueError(
                    f"cuda_graph on: a step of this network cannot be recorded ({first_line}): set cuda_graph to auto"
                ) from error
            self._tell(f"no CUDA graph: {first_line}")

    def _tell(self, sentence: str) -> None:
        self.told = sentence
        log.debug(sentence)


def make_step(
    step: Step, mode: Literal["auto", "on", "off"], network: nn.Module, world_size: int
) -> "Step | TimedStep":
    """Raises ValueError for `on` where a step cannot be one launch."""
    why_not = _refusal(step, network, world_size)
    if mode == "on" and why_not:
        raise ValueError(f"cuda_graph on cannot be: {why_not}; set cuda_graph to auto")
    return step if mode == "off" or why_not else TimedStep(step, mode)


@contextmanager
def beside(stream: torch.cuda.Stream | None) -> Iterator[None]:
    """What is launched meanwhile is on `stream`: after what was launched before, before what is launched afterwards."""
    if stream is None:
        yield
        return
    outside = torch.cuda.current_stream(stream.device)
    stream.wait_stream(outside)
    try:
        with torch.cuda.stream(stream):
            yield
    finally:
        # Whatever happened: memory that is freed outside may still be written to in here.
        outside.wait_stream(stream)


def _refusal(step: Step, network: nn.Module, world_size: int) -> str:
    """Why a step of this network cannot be one launch; empty if it can."""
    if step.device.type != "cuda":
        return f"CUDA graphs are of NVIDIA's GPUs, and this worker trains on {step.device.type}"
    if world_size > 1:
        return "the ranks of several workers meet within a step"
    if step.precision == "fp16":
        return "how fp16's gradients are scaled is decided on the CPU"
    if not reads_rates_on_device(step.optimizer):
        return f"{type(step.optimizer).__name__} reads its learning rate on the CPU"
    if any(hasattr(module, "shared_draws") for module in network.modules()):
        return "which branches live is decided on the CPU"
    return ""


def _tensors(batches: Iterable[Batch]) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(list(batches)) if isinstance(leaf, Tensor)]


@cache
def _stream(device: torch.device) -> torch.cuda.Stream:
    """One for all trainings of the process: libraries keep memory for each stream that they ever saw."""
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]


def _event() -> torch.cuda.Event:
    event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
    event.record()
    return event

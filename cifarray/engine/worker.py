"""What every DDP worker of a group runs: take the next order from the host, train, answer; from trial to trial.

All ranks follow the same sequence of orders (`worker_group`), so they always meet in the same collectives. A thread of
rank 0 writes checkpoints (`checkpoint_writer`), at which nobody waits unless the trial may be told to leave. Whatever
happens inside a trial is told to the host and the worker stays for the next order; only the death of a process ends
it. Not here: how one epoch is trained (`cifarray.training`).
"""

import contextlib
import os
import time
import traceback
from collections import deque
from dataclasses import replace
from functools import partial
from statistics import median
from typing import Any, cast

import ray
import ray.train
import ray.train.torch
import torch

from cifarray import storage
from cifarray.config import TrainConfig
from cifarray.engine.checkpoint_writer import CheckpointWriter
from cifarray.engine.failures import LostCheckpointError, failure_of, is_sticky
from cifarray.engine.nodes import missing
from cifarray.engine.orders import Answer, NodeRequirements, Order, WorkerProcess
from cifarray.study.faults import Fault
from cifarray.study.forecast import Pace
from cifarray.training.checkpoint import load_checkpoint, save_checkpoint
from cifarray.training.loop import Training
from cifarray.training.precision import Resolved

WRITING_SECONDS = 2 * storage.AWAY_SECONDS + 60.0
"""How long a checkpoint may take to be written."""
STEPS_MISSED = 20
"""A worker that has said nothing for as long as so many of its steps take counts as stuck."""


def serve(settings: dict[str, Any]) -> None:
    """A Train worker's function.

    Settings: `host` (actor handle), `threads`, `requirements` (what its node must have), `patience` and `study` (as in
    GroupSettings).
    """
    host = settings["host"]
    rank = ray.train.get_context().get_world_rank()
    torch.set_num_threads(settings["threads"])
    try:
        generation = _begin(host, rank, settings["requirements"])
    except Exception as error:
        if failure_of(error, None).fault is Fault.RANK_LOST:
            # Another rank is gone; Train starts all of them again.
            raise
        # Told, and not raised: Train would start the workers again and again, and nobody would hear why.
        ray.get(host.broken.remote(traceback.format_exc()))
        return
    if generation is None:
        return
    pulse = Pulse(host, generation, rank, settings["patience"])
    writer = CheckpointWriter()
    index, lease = 0, 0
    training: Training | None = None
    while True:
        order: Order = ray.get(host.next_order.remote(generation, rank, index))
        index += 1
        if order.kind == "leave":
            _close(training, writer)
            return
        failure = None
        try:
            if order.kind == "move_in":
                _close(training, writer)
                training, lease = None, order.lease
                training = _move_in(order, rank, settings)
                writer.began = time.monotonic()
            # Epochs that are still in the sequence after this trial failed here are passed over.
            elif training is not None and order.lease == lease:
                _run_epoch(training, order, rank, host, pulse, writer, settings["study"])
        except Exception as error:
            if is_sticky(error):
                # Nothing on this GPU works any more in this process; Train starts another one.
                raise
            failure = failure_of(error, training)
            # The traceback's frames hold the batch, the logits and their graph.
            for each in filter(None, (error, error.__context__)):
                traceback.clear_frames(each.__traceback__)
        if failure is not None:
            _close(training, writer)
            training = None
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            ray.get(host.failed.remote(generation, rank, order.lease, failure))


def _begin(host: Any, rank: int, requirements: NodeRequirements) -> int | None:
    """Look whether the node will do, and tell the host. Returns the workers' generation, None if the node will not."""
    os.environ.update(requirements.environment)
    lack = missing(requirements, patience=storage.AWAY_SECONDS)
    if lack is not None:
        ray.get(host.refuse.remote(f"node {ray.util.get_node_ip_address()} {lack}"))
        return None
    context = ray.get_runtime_context()
    generation = ray.get(host.begin.remote()) if rank == 0 else 0
    if ray.train.get_context().get_world_size() > 1:
        shared = torch.tensor(generation, device=ray.train.torch.get_device())
        torch.distributed.broadcast(shared, src=0)
        generation = int(shared.item())
    process = WorkerProcess(os.getpid(), context.get_actor_id() or "", context.get_node_id())
    ray.get(host.hello.remote(generation, rank, process))
    return generation


class Pulse:
    """Tells the host that a rank gets on, at most once a second: how long it may be silent, and rank 0 its pace too.

    patience: seconds that it may be silent at least.
    """

    def __init__(self, host: Any, generation: int, rank: int, patience: float) -> None:
        self.patience = patience
        self._tell = partial(host.progress.remote, generation, rank)
        self._tells_pace = rank == 0
        self._seconds: deque[float] = deque(maxlen=100)
        self._last = self._told = float("-inf")
        self._pace: Pace | None = None

    def begin(self) -> None:
        """Of an epoch: the time since the last step is no step's, and the first one is told in any case."""
        self._last, self._told, self._pace = time.monotonic(), float("-inf"), None

    def step(self, training: Training, trial: int) -> None:
        now = time.monotonic()
        self._seconds.append(now - self._last)
        self._last = now
        if now - self._told >= 1.0:
            pace = self._pace_at(training, trial, now) if self._tells_pace else None
            self.expect(max(self.patience, STEPS_MISSED * median(self._seconds)), pace)

    def expect(self, seconds: float, pace: Pace | None = None) -> None:
        """The next sign of life comes within so many seconds."""
        self._told = time.monotonic()
        self._tell(seconds, pace)

    def _pace_at(self, training: Training, trial: int, now: float) -> Pace:
        """The speed is that since the pace was told last; there is none for the first step, which may compile, nor for
        the parts of an evaluation, which are no steps."""
        before, size = self._pace, training.config.batch_size
        pace = Pace(trial, training.epoch + 1, training.step + 1, training.steps_per_epoch, size)
        if before is not None and pace.step == before.step:
            return before
        if before is not None:
            pace = replace(pace, images_per_second=(pace.step - before.step) * size / (now - self._told))
        self._pace = pace
        return pace


def _move_in(order: Order, rank: int, settings: dict[str, Any]) -> Training:
    torch.set_num_threads(settings["threads"])
    checkpoint = None
    if order.checkpoint:
        checkpoint = _own_checkpoint(order.checkpoint, settings["study"], settings["requirements"].marker)
    return Training(
        TrainConfig.from_dict(order.config),
        ray.train.torch.get_device(),
        rank=rank,
        world_size=ray.train.get_context().get_world_size(),
        checkpoint=checkpoint,
        began_in=cast("Resolved | None", order.precision or None),
    )


def _own_checkpoint(address: str, study_id: str, marker: str) -> dict[str, Any]:
    """A checkpoint of this study. Raises LostCheckpointError, and StorageError where the storage itself is away."""
    try:
        state = storage.patiently(address, partial(load_checkpoint, address))
    except storage.StorageError as error:
        if storage.exists(address) or not storage.exists(marker):
            raise
        raise LostCheckpointError(f"checkpoint {address} is gone") from error
    except ValueError as error:
        raise LostCheckpointError(str(error)) from error
    if state["study"] not in (None, study_id):
        raise LostCheckpointError(f"checkpoint {address} is of another study")
    return state


def _close(training: Training | None, writer: CheckpointWriter) -> None:
    """The trial has left. Nobody waits for a checkpoint of it that is still being written, but its memory is in use."""
    with contextlib.suppress(Exception):
        writer.wait()
    if training is not None:
        training.close()


def _run_epoch(
    training: Training, order: Order, rank: int, host: Any, pulse: Pulse, writer: CheckpointWriter, study_id: str
) -> None:
    """One epoch; rank 0 has the checkpoint written if one is due, and answers when it is stored.

    Meanwhile the workers go on, where nothing is to be decided first.
    """
    pulse.begin()
    try:
        metrics = training.run_epoch(partial(pulse.step, training, order.trial))
    except Exception as error:
        # What comes of the epoch before is heard first, as if the ranks had waited for it.
        if not is_sticky(error):
            _wait(writer, pulse)
        raise
    _wait(writer, pulse)
    if rank != 0:
        return
    config, now = training.config, time.monotonic()
    may_leave = training.epoch == config.epochs or training.epoch in order.rungs
    is_time = training.epoch % config.checkpoint_every == 0 and now - writer.began >= 60 * config.checkpoint_minutes
    # Where micro-batches are halved nothing is done again that was done with larger ones.
    due = may_leave or is_time or config.auto_micro_batch
    answer = Answer(order.trial, training.epoch, metrics, None, training.precision, training.remark)
    if not due:
        ray.get(host.answer.remote(order.lease, answer))
        return
    answer = replace(answer, checkpoint=storage.join(order.folder, f"epoch-{training.epoch:04d}.pt"))
    writer.begin(partial(_store, {**training.snapshot(), "study": study_id}, host, order.lease, answer), now)
    if may_leave:
        _wait(writer, pulse)
    else:
        ray.get(host.trained.remote(order.lease, training.epoch))


def _store(state: dict[str, Any], host: Any, lease: int, answer: Answer) -> None:
    """In a thread: an epoch is answered when its checkpoint is on disk."""
    address = cast(str, answer.checkpoint)
    storage.patiently(address, partial(save_checkpoint, address, state))
    ray.get(host.answer.remote(lease, answer))


def _wait(writer: CheckpointWriter, pulse: Pulse) -> None:
    """Raises what went wrong with the checkpoint."""
    if writer.is_busy:
        pulse.expect(WRITING_SECONDS)
        writer.wait()

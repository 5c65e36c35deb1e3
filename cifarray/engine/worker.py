"""What every DDP worker of a group runs: take the next order from the host, train, answer; from trial to trial.

All ranks follow the same sequence of orders (`worker_group`), so they always meet in the same collectives. Whatever
happens inside a trial is told to the host and the worker stays for the next order; only the death of a process ends
it. Not here: how one epoch is trained (`cifarray.training`).
"""

import os
import traceback
from functools import partial
from typing import Any, cast

import ray
import ray.train
import ray.train.torch
import torch

from cifarray import storage
from cifarray.config import TrainConfig
from cifarray.engine.nodes import missing
from cifarray.engine.orders import Answer, Failure, Order
from cifarray.redaction import redact
from cifarray.study.faults import Fault
from cifarray.training.checkpoint import load_checkpoint, save_checkpoint
from cifarray.training.loop import Diverged, Training
from cifarray.training.precision import Resolved


def serve(settings: dict[str, Any]) -> None:
    """A Train worker's function: `host` (actor handle), `threads`, `requirements` (what its node must have)."""
    host = settings["host"]
    rank = ray.train.get_context().get_world_rank()
    os.environ.update(settings["requirements"].environment)
    lack = missing(settings["requirements"], patience=storage.AWAY_SECONDS)
    if lack is not None:
        ray.get(host.refuse.remote(f"node {ray.util.get_node_ip_address()} {lack}"))
        return
    torch.set_num_threads(settings["threads"])
    generation = ray.get(host.hello.remote(rank, os.getpid(), ray.get_runtime_context().get_actor_id()))
    index, lease = 0, 0
    training: Training | None = None
    while True:
        order: Order = ray.get(host.next_order.remote(generation, rank, index))
        index += 1
        if order.kind == "leave":
            if training is not None:
                training.close()
            return
        failure = None
        try:
            if order.kind == "move_in":
                if training is not None:
                    training.close()
                training, lease = None, order.lease
                training = _move_in(order, rank, settings["threads"])
            # Epochs that are still in the sequence after this trial failed here are passed over.
            elif training is not None and order.lease == lease:
                _run_epoch(training, order, rank, host)
        except Exception as error:
            failure = _failure(error, training)
            # The traceback's frames hold the batch, the logits and their graph.
            traceback.clear_frames(error.__traceback__)
        if failure is not None:
            if training is not None:
                training.close()
            training = None
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            ray.get(host.failed.remote(generation, rank, order.lease, failure))


def _move_in(order: Order, rank: int, threads: int) -> Training:
    torch.set_num_threads(threads)
    checkpoint = None
    if order.checkpoint:
        checkpoint = storage.patiently(order.checkpoint, partial(load_checkpoint, order.checkpoint))
    return Training(
        TrainConfig.from_dict(order.config),
        ray.train.torch.get_device(),
        rank=rank,
        world_size=ray.train.get_context().get_world_size(),
        checkpoint=checkpoint,
        began_in=cast("Resolved | None", order.precision or None),
    )


def _run_epoch(training: Training, order: Order, rank: int, host: Any) -> None:
    """One epoch; rank 0 writes the checkpoint if one is due and answers."""
    metrics = training.run_epoch()
    if rank != 0:
        return
    config = training.config
    due = training.epoch % config.checkpoint_every == 0 or training.epoch == config.epochs or config.auto_micro_batch
    address = None
    if due:
        address = storage.join(order.folder, f"epoch-{training.epoch:04d}.pt")
        storage.patiently(address, partial(save_checkpoint, address, training.state()))
    answer = Answer(order.trial, training.epoch, metrics, address, training.precision, training.remark)
    ray.get(host.answer.remote(order.lease, answer))


def _failure(error: Exception, training: Training | None) -> Failure:
    """Which fault an error is; what follows from it is decided elsewhere (`cifarray.study.faults`)."""
    clean = training is None or training.world_size == 1 or not training.in_backward
    if isinstance(error, Diverged):
        return Failure(Fault.DIVERGED, str(error), clean=True)
    if isinstance(error, torch.OutOfMemoryError) or any(text in str(error) for text in _ALLOCATION_FAILED):
        return Failure(Fault.OUT_OF_MEMORY, str(error).split("\n")[0], clean)
    if isinstance(error, torch.distributed.DistError) or (isinstance(error, RuntimeError) and "gloo" in str(error)):
        # Another rank is gone. Whether the trial goes on is not for this one to say.
        return Failure(Fault.RANK_LOST, str(error), clean=False)
    return Failure(Fault.RAISED, redact("".join(traceback.format_exception(error))), clean)


_ALLOCATION_FAILED = ("CUBLAS_STATUS_ALLOC_FAILED", "CUDNN_STATUS_ALLOC_FAILED")
"""What libraries of CUDA say when there is no memory, as a plain RuntimeError."""

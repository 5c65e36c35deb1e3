"""A worker group without workers: answers every epoch at once from a formula of the train config.

It stands in for `WorkerGroup` where a test or a measurement is about the study and not about training.
"""

import asyncio
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from cifarray.engine.orders import Answer, GroupSettings, Order
from cifarray.study.faults import Fault

MESSAGES = {
    Fault.RAISED: "Traceback: unlucky",
    Fault.DIVERGED: "the loss is nan",
    Fault.OUT_OF_MEMORY: "CUDA out of memory",
}


def accuracy(config: Mapping[str, Any], epoch: int) -> float:
    """Rises with the epochs, and is the better the nearer the learning rate is to 0.1."""
    lr = config["optimizer"]["lr"]
    return (1 - 0.5**epoch) / (1 + abs(math.log10(lr) + 1))


class ScriptedGroup:
    """Same methods as `WorkerGroup`.

    A trial of seed 13 fails, one of seed 14 diverges in its second epoch, one of seed 15 has no memory in its second
    epoch for micro-batches of more than 16 images.
    """

    def __init__(self, settings: GroupSettings) -> None:
        self.changed = asyncio.Condition()
        self.order: Order | None = None

    async def open(self) -> None: ...

    async def ready(self) -> list[str]:
        return []

    async def requester(self) -> str:
        return "nobody"

    async def worker_pids(self) -> dict[int, int]:
        return {}

    async def move_in(self, order: Order) -> None:
        async with self.changed:
            self.order = order
            self.changed.notify_all()

    async def run_epoch(self, lease: int, epoch: int) -> Answer:
        async with self.changed:
            await self.changed.wait_for(lambda: self.order is not None and self.order.lease == lease)
        assert self.order is not None
        config = self.order.config
        fault = self._fault(config, epoch)
        if fault is not None:
            return Answer(self.order.trial, epoch - 1, losses=self.order.losses, fault=fault, message=MESSAGES[fault])
        metrics = {
            "epoch": epoch,
            "train_loss": 1.0 / epoch,
            "train_accuracy": 0.5,
            "val_loss": 1.0 / epoch,
            "val_accuracy": accuracy(config, epoch),
            "lr": config["optimizer"]["lr"],
            "images_per_second": 1000.0,
            "epoch_seconds": 0.01,
            "peak_memory_bytes": 2**20,
        }
        return Answer(self.order.trial, epoch, metrics, losses=self.order.losses)

    async def leave(self) -> None: ...

    def _fault(self, config: Mapping[str, Any], epoch: int) -> Fault | None:
        if config["seed"] == 13:
            return Fault.RAISED
        if config["seed"] == 14 and epoch == 2:
            return Fault.DIVERGED
        if config["seed"] == 15 and epoch == 2 and config["batch_size"] / config["accumulate"] > 16:
            return Fault.OUT_OF_MEMORY
        return None


class SavingGroup(ScriptedGroup):
    """Says that it has written a checkpoint after every epoch."""

    async def run_epoch(self, lease: int, epoch: int) -> Answer:
        answer = await super().run_epoch(lease, epoch)
        assert self.order is not None
        return replace(answer, checkpoint=f"{self.order.folder}/epoch-{epoch:04d}.pt")

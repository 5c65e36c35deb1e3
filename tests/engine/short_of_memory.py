"""A worker group whose workers have no memory for micro-batches of more than 16 images, for tests of what follows.

Real workers and real training: rank 0 raises what CUDA raises, in the backward pass of the third step of epoch 2.
"""

from collections.abc import Callable
from typing import Any

import torch

from cifarray.engine import train_run, worker
from cifarray.engine.worker_group import WorkerGroup
from cifarray.training.loop import Training


class ShortOfMemory(Training):
    def run_epoch(self, on_step: Callable[[], None] = lambda: None) -> dict[str, float]:
        step = self.optimizer.step

        def failing(*arguments: Any) -> Any:
            if self.epoch == 1 and self.step == 2 and self.rank == 0 and self.micro_batch > 16:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")
            return step(*arguments)

        self.optimizer.step = failing  # type: ignore[method-assign]
        try:
            return super().run_epoch(on_step)
        finally:
            self.optimizer.step = step  # type: ignore[method-assign]


class ShortOfMemoryGroup(WorkerGroup):
    def _fit(self, *arguments: Any) -> None:
        train_run._serve = serve_short_of_memory
        super()._fit(*arguments)


def serve_short_of_memory(settings: dict[str, Any]) -> None:
    worker.Training = ShortOfMemory  # type: ignore[attr-defined]
    worker.serve(settings)

"""A worker group whose trials of seed 13 meet a NaN in their third epoch; real workers and real training."""

from collections.abc import Callable
from typing import Any

import torch

from cifarray.engine import train_run, worker
from cifarray.engine.worker_group import WorkerGroup
from cifarray.training.loop import Training

DIVERGES_IN = 3
"""The epoch."""


class Diverging(Training):
    def run_epoch(self, on_step: Callable[[], None] = lambda: None) -> dict[str, float]:
        if self.config.seed == 13 and self.epoch == DIVERGES_IN - 1:
            with torch.no_grad():
                next(self.network.parameters()).fill_(torch.nan)
        return super().run_epoch(on_step)


class DivergingGroup(WorkerGroup):
    def _fit(self, *arguments: Any) -> None:
        train_run._serve = serve_diverging
        super()._fit(*arguments)


def serve_diverging(settings: dict[str, Any]) -> None:
    worker.Training = Diverging  # type: ignore[attr-defined]
    worker.serve(settings)

"""From one trial's last epoch to the next trial's first step: Ray's documented pattern and cifarray, side by side.

Claim: with a trivial network at most 0.5 s and at least 20 times less than the documented pattern; with WRN-16-4 at
least 10 times less.

Both sides run one trial after the other, of 2 DDP workers with 1 CPU each, on one Ray, and train the very same thing:
`cifarray.training.Training`, one epoch, and a checkpoint written at its end. The documented pattern is that of Ray's
user guide "Hyperparameter Tuning with Ray Tune" for Train V2: a driver function that calls `TorchTrainer.fit()` in
every trial. The two alternate, round by round. A turnaround is read from rank 0's own clock, on both sides by the same
class: from when an epoch's training and evaluation are over, before its checkpoint is written, to when the next trial's
first step begins. What a fresh process is slow at in its first steps is not counted against the documented pattern.

    python -m tests.benchmarks.turnaround                        # about 5 minutes on two idle cores
    python -m tests.benchmarks.turnaround --rounds 1 --trials 3 --only trivial
"""

import argparse
import itertools
import os
import statistics
import tempfile
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import cifarray.engine  # noqa: F401 (before Ray: it sets what Ray reads when it is imported)

# isort: split
import ray.train
import ray.train.torch
from ray import tune
from ray.tune.integration.ray_train import TuneReportCallback

from cifarray.config import TrainConfig, override
from cifarray.engine import train_run, worker
from cifarray.engine.connection import connected
from cifarray.engine.run import run_study
from cifarray.engine.worker_group import WorkerGroup
from cifarray.space.domains import choice
from cifarray.space.space import SearchSpace
from cifarray.study.events import EpochEnded
from cifarray.study.study import Study
from cifarray.training.checkpoint import save_checkpoint
from cifarray.training.loop import Training
from tests.benchmarks.setting import Quiet, data_in, print_table

WORKERS = 2
NETWORKS = {
    "trivial": ("WRN-10-1", {"model.depth": 10, "model.widen_factor": 1}, 20.0),
    "wrn-16-4": ("WRN-16-4", {"model.depth": 16, "model.widen_factor": 4}, 10.0),
}
MOST_SECONDS = 0.5
"""Of a turnaround with the trivial network."""


class TimedTraining(Training):
    """Its metrics say when the epoch began and ended (unix seconds), for rank 0's answers."""

    def run_epoch(self, on_step: Callable[[], None] = lambda: None) -> dict[str, float]:
        began = time.time()
        metrics = super().run_epoch(on_step)
        return {**metrics, "began": began, "ended": time.time()}


# The documented pattern.


def train_fn_per_worker(config: dict[str, Any]) -> None:
    context = ray.train.get_context()
    training = TimedTraining(
        TrainConfig.from_dict(config), ray.train.torch.get_device(), context.get_world_rank(), context.get_world_size()
    )
    for _ in range(config["epochs"]):
        metrics = training.run_epoch()
        if context.get_world_rank() == 0:
            with tempfile.TemporaryDirectory() as folder:
                save_checkpoint(os.path.join(folder, "model.pt"), training.state())
                ray.train.report(metrics, checkpoint=ray.train.Checkpoint.from_directory(folder))
        else:
            ray.train.report(metrics)


def train_driver_fn(config: dict[str, Any]) -> None:
    ray.train.torch.TorchTrainer(
        train_fn_per_worker,
        train_loop_config=config["train_loop_config"],
        scaling_config=ray.train.ScalingConfig(num_workers=WORKERS),
        run_config=ray.train.RunConfig(
            name=f"train-trial_id={tune.get_context().get_trial_id()}",
            callbacks=[TuneReportCallback()],
            storage_path=config["storage_path"],
        ),
    ).fit()


def documented(folder: Path, base: TrainConfig, trials: int) -> list[Mapping[str, Any]]:
    """The metrics of each trial's epoch."""
    configs = [override(base, {"seed": seed}).to_dict() for seed in range(trials)]
    results = tune.Tuner(
        train_driver_fn,
        param_space={"train_loop_config": tune.grid_search(configs), "storage_path": str(folder / "train")},
        run_config=tune.RunConfig(
            name=f"documented-{uuid.uuid4().hex[:6]}", storage_path=str(folder / "tune"), verbose=0
        ),
        tune_config=tune.TuneConfig(max_concurrent_trials=1),
    ).fit()
    if results.errors:
        raise results.errors[0]
    return [result.metrics for result in results]


# cifarray.


class TimedGroup(WorkerGroup):
    """A worker group whose workers train with `TimedTraining`."""

    def _fit(self, *arguments: Any) -> None:
        train_run._serve = serve_timed
        super()._fit(*arguments)


def serve_timed(settings: dict[str, Any]) -> None:
    worker.Training = TimedTraining  # type: ignore[attr-defined]
    worker.serve(settings)


def warm(folder: Path, base: TrainConfig, trials: int) -> list[Mapping[str, Any]]:
    """The metrics of each trial's epoch."""
    name = f"warm-{uuid.uuid4().hex[:6]}"
    study = Study(
        name=name,
        space=SearchSpace(name, base, {"seed": choice(*range(trials))}),
        num_trials=trials,
        storage=str(folder),
        tracking_uri=f"sqlite:///{folder}/mlflow.db",
        searcher="grid",
        workers=WORKERS,
        cpus_per_worker=1.0,
        gpus_per_worker=0.0,
        concurrent=1,
    )
    view = Quiet()
    run_study(study, view, host=TimedGroup)
    return [event.metrics for event in view.events if isinstance(event, EpochEnded)]


def turnarounds(epochs: list[Mapping[str, Any]]) -> list[float]:
    """Seconds from the end of each trial's epoch to the beginning of the next one's."""
    ordered = sorted(epochs, key=lambda metrics: metrics["began"])
    return [after["began"] - before["ended"] for before, after in itertools.pairwise(ordered)]


def main() -> None:
    parser = argparse.ArgumentParser(description="Seconds from trial to trial: Ray's documented pattern and cifarray.")
    parser.add_argument("--rounds", type=int, default=2, help="how often the two sides alternate")
    parser.add_argument("--trials", type=int, default=3, help="trials of the documented pattern in a round")
    parser.add_argument("--warm-trials", type=int, default=6, help="trials of cifarray in a round")
    parser.add_argument("--steps", type=int, default=2, help="batches of 64 images of an epoch")
    parser.add_argument("--only", choices=NETWORKS, help="one of the two networks")
    flags = parser.parse_args()

    rows = []
    with tempfile.TemporaryDirectory() as folder:
        data_in(folder)
        # One CPU for the driver function, which takes one by default, and one for each worker.
        with connected(num_cpus=1 + WORKERS):
            for network in [flags.only] if flags.only else NETWORKS:
                title, fields, least = NETWORKS[network]
                limit = 64 * flags.steps
                data = {"data.source": "synthetic:1000", "data.validation": 100, "data.limit": limit}
                base = override(TrainConfig(), {**fields, **data, "batch_size": 64, "epochs": 1})
                old: list[float] = []
                new: list[float] = []
                for _ in range(flags.rounds):
                    old += turnarounds(documented(Path(folder), base, flags.trials))
                    new += turnarounds(warm(Path(folder), base, flags.warm_trials))
                ratio = statistics.median(old) / statistics.median(new)
                most = f"≤ {MOST_SECONDS} s, " if network == "trivial" else ""
                rows += [
                    (f"{title}, documented pattern", *spread(old), "", ""),
                    (f"{title}, cifarray", *spread(new), f"{ratio:.0f} ×", f"{most}≥ {least:.0f} ×"),
                ]
    print_table(("seconds from trial to trial", "median", "least", "most", "less", "target"), rows)


def spread(values: list[float]) -> tuple[str, str, str]:
    return f"{statistics.median(values):.3f}", f"{min(values):.3f}", f"{max(values):.3f}"


if __name__ == "__main__":
    # Under its own name, so that the workers import what is defined here and need not get it pickled.
    from tests.benchmarks import turnaround

    turnaround.main()

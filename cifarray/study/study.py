"""A study: one named search, as a value. Read it after `jobs/tune_wrn.py`.

Not here: what happened in it (`state`), carrying it out (`cifarray.engine.run`), how it is made of flags
(`cifarray.cli.flags`).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from cifarray import storage
from cifarray.config import TrainConfig
from cifarray.models import check_init, check_options, check_stochastic_depth
from cifarray.places import studies
from cifarray.space.rules import STUDY
from cifarray.space.sizes import with_what_works
from cifarray.space.space import SearchSpace
from cifarray.study.audit import Audit
from cifarray.study.events import EarlierTrials
from cifarray.study.samplers import SearcherName
from cifarray.study.schedulers import RunAll, Scheduler
from cifarray.study.state import StudyState
from cifarray.study.time_budget import TimeBudget
from cifarray.study.trial_record import DEFAULT_METRIC, Metric
from cifarray.training.batches import check_batch, count_steps
from cifarray.training.tasks.kinds import kind_of

NAME_RULE = "letters, digits, '-', '_' and '.'"


@dataclass(frozen=True)
class Study:
    """One named search. Training once is a study of one trial without domains.

    Raises ValueError where it is made if its parts cannot work together.
    """

    name: str
    space: SearchSpace
    num_trials: int
    storage: str
    """Folder, or s3:// or gs:// address, that all nodes share."""
    tracking_uri: str
    scheduler: Scheduler = field(default_factory=RunAll)
    searcher: SearcherName = "random"
    seed: int = 0
    metric: Metric = DEFAULT_METRIC
    """What trials are compared by."""
    workers: int = 1
    cpus_per_worker: float | None = None
    """None: as `engine.capacity.default_cpus_per_worker` says."""
    gpus_per_worker: float | None = None
    """None: one where the cluster has GPUs."""
    concurrent: int | None = None
    """At most this many trials at once; None for as many as fit."""
    keep_checkpoints: int = 3
    time_budget: TimeBudget | None = None
    """What its trials may take in all; None: as long as they take. Like their number it may grow."""
    audit: Audit | None = None
    """What runs to its end after the search, of the trials that it gave up; None: nothing."""
    earlier: tuple[EarlierTrials, ...] = ()
    """What it is to learn from, as far as its journal has not got it."""
    register: bool = True
    """Whether the winner's network may become the champion of the study's name in MLflow's registry."""
    patience: float = 60.0
    """Seconds after which a worker that makes no progress counts as stuck; 20 of its steps, where those are longer."""

    def __post_init__(self) -> None:
        _check(self)

    @property
    def folder(self) -> Path:
        """Where the journal and the reports are, on the driver's disk."""
        return studies(self.storage) / self.name

    @property
    def is_remote(self) -> bool:
        return storage.is_remote(self.storage)

    @property
    def address(self) -> str:
        """Where the checkpoints are."""
        return storage.join(self.storage, self.name)

    @property
    def marker(self) -> str:
        """A file that every worker must be able to see."""
        return storage.join(self.address, "study.json")

    def identity(self) -> dict[str, Any]:
        """What must be the same for a study to go on; the number of trials may grow."""
        return {
            **self.space.to_dict(),
            "scheduler": self.scheduler.settings(),
            "searcher": self.searcher,
            "seed": self.seed,
            "metric": self.metric.name,
            "workers": self.workers,
        }

    def new_state(self) -> StudyState:
        return StudyState(
            self.space,
            self.num_trials,
            self.searcher,
            self.scheduler,
            self.seed,
            self.metric,
            self.keep_checkpoints,
            self.time_budget,
            self.audit,
        )


def _check(study: Study) -> None:
    """Looks at the study alone, at every corner of its space. Raises ValueError."""
    if not study.name or not all(c.isalnum() or c in "-_." for c in study.name) or study.name.startswith("."):
        raise ValueError(f"study name {study.name!r} is not valid: use {NAME_RULE}, not starting with a dot")
    for what in ("num_trials", "workers"):
        if getattr(study, what) < 1:
            raise ValueError(f"{what.removeprefix('num_')} {getattr(study, what)} is too few: choose 1 or more")
    if study.time_budget is not None and study.time_budget.workers != study.workers:
        raise ValueError(f"a budget for {study.time_budget.workers} workers is none for {study.workers}")
    if study.concurrent is not None and study.concurrent < 1:
        raise ValueError(f"concurrent {study.concurrent} is too few: choose 1 or more, or auto")
    if not study.patience > 0:
        raise ValueError(f"stuck_after {study.patience:g} s is too short: choose more than 0")
    if study.scheduler.compares and study.space.base.data.validation == 0:
        raise ValueError(
            "data.validation 0 leaves nothing to compare trials by: set --strategy none, or hold images out"
        )
    if study.scheduler.chooses and study.searcher != "random":
        raise ValueError(
            f"searcher {study.searcher} has nothing to choose where the strategy is {study.scheduler.name}, which "
            "chooses by itself: leave --searcher out, or take --strategy promote"
        )
    if study.earlier and study.searcher != "tpe" and not study.scheduler.chooses:
        raise ValueError(
            f"searcher {study.searcher} learns nothing from earlier studies: with --warm-start take --searcher tpe, or "
            "--strategy freeze-thaw"
        )
    if study.searcher == "grid":
        study.space.grid_size()
    corners = list(study.space.corners_of(STUDY))
    configs = [study.space.config(corner) for corner in corners]
    _check_networks(study.space, corners, configs)
    for config in configs:
        # Whatever the data: there are no more images than this.
        if config.data.limit is not None:
            count_steps(config.data.limit, config.batch_size)
    for size, accumulate in sorted({(config.batch_size, config.accumulate) for config in configs}):
        check_batch(size, study.workers, accumulate)
    _check_resources(study)
    if study.gpus_per_worker == 0 and any(config.sync_batch_norm for config in configs):
        raise ValueError("sync_batch_norm works on GPUs only and gpus_per_worker is 0: set sync_batch_norm to false")
    for kind in {kind.name: kind for kind in map(kind_of, configs)}.values():
        measured = [f"val_{name}" for name in kind.metrics]
        if study.metric.name not in measured:
            raise ValueError(f"metric {study.metric.name!r} is not measured here: choose one of {', '.join(measured)}")


def _check_resources(study: Study) -> None:
    cpus, gpus = study.cpus_per_worker, study.gpus_per_worker
    if cpus is not None and not 0 < cpus < math.inf:
        raise ValueError(f"cpus_per_worker {cpus:g} is not possible: choose more than 0, or auto")
    if gpus is None:
        return
    if not 0 <= gpus < math.inf or (gpus > 1 and gpus % 1):
        raise ValueError(f"gpus_per_worker {gpus:g} is not possible: choose 0, a whole number, or a part of one GPU")
    if 0 < gpus < 1 < study.workers:
        raise ValueError(
            f"gpus_per_worker {gpus:g} with {study.workers} workers cannot run: NCCL allows no two workers on one GPU; "
            "set --workers 1, or a whole GPU per worker"
        )


def _check_networks(space: SearchSpace, corners: Sequence[Mapping[str, Any]], configs: Sequence[TrainConfig]) -> None:
    """Whether the options make networks, and what these can be given; whether they take the images is seen when the
    data are open (`space.sizes`)."""
    seen = set()
    for corner, config in zip(corners, configs, strict=True):
        network = config.model.model_dump_json()
        if (network, config.init, config.stochastic_depth) not in seen:
            seen.add((network, config.init, config.stochastic_depth))
            name, options = config.model.name, config.model.options
            try:
                check_options(name, options)
            except ValueError as error:
                raise with_what_works(space, corner, error, partial(_is_network, space)) from None
            check_init(name, options, config.init.weights, config.init.zero_gamma)
            check_stochastic_depth(name, options, config.stochastic_depth)


def _is_network(space: SearchSpace, params: Mapping[str, Any]) -> bool:
    """As far as that is known without torch."""
    try:
        config = space.config(params)
        check_options(config.model.name, config.model.options)
    except ValueError:
        return False
    return True

"""A study, and running it: a fresh Tuner every time, fed from the journal.

Read this after `jobs/tune_wrn.py`: `run_study` is the way of a run from top to bottom. Not here: decisions
(`study_state`), worker groups (`pool`, `worker_group`), what a user types (`cifarray.cli`).
"""

import json
import os
import time
import uuid
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any, ClassVar, Protocol

from cifarray import storage
from cifarray.data import open_store
from cifarray.places import studies
from cifarray.report.leaderboard import write_reports
from cifarray.search import cluster
from cifarray.search.asha import Asha
from cifarray.search.checks import check_study, refuse_batches_without_images
from cifarray.search.driver import SchedulerAdapter, SearcherAdapter, StudyDriver
from cifarray.search.journal import Journal, StudyRunningError
from cifarray.search.nodes import refuse_what_nodes_lack, worker_needs
from cifarray.search.orders import GroupSettings
from cifarray.search.plan import (
    WorkerNeeds,
    default_cpus_per_worker,
    default_gpus_per_worker,
    refuse_what_never_fits,
)
from cifarray.search.pool import Pool
from cifarray.search.samplers import SearcherName
from cifarray.search.signals import interruptible, uninterruptible
from cifarray.search.sizes import Sizes
from cifarray.search.space import SearchSpace
from cifarray.search.study_folder import open_journal
from cifarray.search.study_state import StudyState
from cifarray.search.trial import Trial
from cifarray.search.trial_record import DEFAULT_METRIC, Metric
from cifarray.search.versions import versions
from cifarray.search.worker_group import WorkerGroup
from cifarray.tracking import Tracking, TrackingResult

DEAD_DRIVER_SECONDS = 15.0


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
    scheduler: Asha | None = None
    searcher: SearcherName = "random"
    seed: int = 0
    metric: Metric = DEFAULT_METRIC
    """What trials are compared by."""
    workers: int = 1
    cpus_per_worker: float | None = None
    """None: as `plan.default_cpus_per_worker` says."""
    gpus_per_worker: float | None = None
    """None: one where the cluster has GPUs."""
    concurrent: int | None = None
    """At most this many trials at once; None for as many as fit."""
    keep_checkpoints: int = 3

    LIMITS: ClassVar[tuple[str, ...]] = ("recipes", "max_params", "max_macs")
    """Parts of a study's identity that not every study has."""

    def __post_init__(self) -> None:
        check_study(self)

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
            "scheduler": {"name": "asha", **asdict(self.scheduler)} if self.scheduler else None,
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
        )


class View(Protocol):
    """What shows the study to the user while it runs."""

    def start(self, study: Study, state: StudyState, groups: GroupSettings) -> None: ...
    def event(self, event: Mapping[str, Any]) -> None: ...
    def stop(self) -> None: ...


@dataclass(frozen=True)
class StudyResult:
    """What a driver leaves behind."""

    state: StudyState
    reason: str
    """finished, interrupted or error."""
    tracking: TrackingResult | None = None
    reports: list[str] = field(default_factory=list)


def run_study(study: Study, view: View, host: type = WorkerGroup) -> StudyResult:
    """Run a study to its end, or on from where it was.

    host: class of the worker groups' host actor; tests and measurements bring their own.
    Raises StudyChangedError, StudyRunningError, DataError, GroupStartError, and StudyError for what can never fit.
    """
    with ExitStack() as stack:
        journal = open_journal(study)
        stack.callback(journal.close)
        state = study.new_state()
        state.replay(journal.events)
        data = study.space.base.data
        store = open_store(data.source, "train", data.image_size)
        refuse_batches_without_images(study.space, store.labels)
        sizes = Sizes(study.space, len(store.classes))
        sizes.check_corners()
        state.allowed = sizes.allowed
        settings = None
        if not state.is_over():
            stack.enter_context(cluster.connected())
            _refuse_second_driver(study)
            settings = _group_settings(study, state)
            refuse_what_nodes_lack(study)

        # Nothing was written so far, so whatever was refused can be mended under the same name.
        if not journal.events:
            storage.write_bytes(study.marker, json.dumps(study.identity(), indent=2).encode())
            journal.append([{"kind": "study", "name": study.name, "id": uuid.uuid4().hex, **_description(study)}])
        repairs = state.repairs()
        running = {**versions(), "mlflow": metadata.version("mlflow")}
        journal.append([{"kind": "driver", "pid": os.getpid(), "versions": running}, *repairs])
        state.replay(repairs)
        tracking = Tracking(journal.path, study.tracking_uri)
        journal.listen(lambda event: tracking.wake())
        reason, message = "error", ""
        try:
            with interruptible():
                if settings is not None:
                    _tune(study, state, journal, view, sizes, settings, host, stack)
            reason = "finished"
        except KeyboardInterrupt:
            reason = "interrupted"
        except BaseException as error:
            message = f"{type(error).__name__}: {error}"
            raise
        finally:
            with uninterruptible():
                view.stop()
                reports = write_reports(state, study.folder)
                journal.append([{"kind": "ended", "reason": reason, "message": message, "artifacts": reports}])
                tracked = tracking.finish(timeout=2.0 if reason == "interrupted" else 60.0)
        return StudyResult(state, reason, tracked, reports)


def _tune(
    study: Study,
    state: StudyState,
    journal: Journal,
    view: View,
    sizes: Sizes,
    settings: GroupSettings,
    host: type,
    stack: ExitStack,
) -> None:
    """One Tuner from start to end. What it opens is closed with `stack`, after the journal's last word."""
    from ray import tune

    pool = Pool(study.name, settings, journal.append, study.concurrent, host=host)
    driver = StudyDriver(state, journal, pool, study.address, sizes)
    stack.callback(storage.delete_folder, settings.scratch)
    stack.callback(driver.close)
    view.start(study, state, settings)
    journal.listen(view.event)
    try:
        tune.Tuner(
            Trial,
            tune_config=tune.TuneConfig(
                num_samples=-1,
                search_alg=SearcherAdapter(driver),
                scheduler=SchedulerAdapter(driver),
                reuse_actors=True,
            ),
            run_config=tune.RunConfig(
                name=uuid.uuid4().hex,
                storage_path=settings.scratch,
                verbose=0,
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False, num_to_keep=None),
            ),
        ).fit()
        driver.raise_error()
        pool.close()
    except BaseException:
        pool.close(timeout=0)
        raise


def _group_settings(study: Study, state: StudyState) -> GroupSettings:
    """What a worker takes. Raises StudyError for what can never fit."""
    now = cluster.look()
    gpus = study.gpus_per_worker
    if gpus is None:
        gpus = default_gpus_per_worker(now)
    cpus = study.cpus_per_worker
    if cpus is None:
        cpus = default_cpus_per_worker(now, study.workers, min(state.remaining(), study.concurrent or 10**6), gpus)
    refuse_what_never_fits(now, WorkerNeeds(cpus, gpus), study.workers)
    # What Ray keeps is of use to the driver's node alone, and an object store would only slow it down.
    scratch = str(study.folder / "ray")
    return GroupSettings(study.workers, cpus, gpus, scratch, worker_needs(study))


def _description(study: Study) -> dict[str, Any]:
    return {**study.identity(), "num_trials": study.num_trials, "storage": study.storage}


def _refuse_second_driver(study: Study) -> None:
    """The lock beside the journal keeps drivers apart on one disk, the groups' names on one cluster.

    Ray takes a moment to end the actors of a driver that was killed; so long it is waited for.
    """
    import ray

    prefix = f"{study.name}/group-"
    patience = time.monotonic() + DEAD_DRIVER_SECONDS
    while any(name.startswith(prefix) for name in ray.util.list_named_actors()):
        if time.monotonic() > patience:
            raise StudyRunningError(
                f"study {study.name!r} has a driver that lives on this cluster: wait for it, stop it, "
                "or choose another --name"
            )
        time.sleep(0.5)

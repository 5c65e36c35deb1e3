"""Running a study: a fresh Tuner every time, fed from the journal.

Reached from `jobs/tune_wrn.py` through `cli/tune.py` and `cli/running.py`: `run_study` shows a whole run, from top to
bottom. Not here: decisions (`cifarray.study`), worker groups (`pool`, `worker_group`), what a user types
(`cifarray.cli`).
"""

import gc
import json
import logging
import os
import platform
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import cifarray
from cifarray import storage
from cifarray.data.split_sizes import split_sizes
from cifarray.engine import cluster, ray_internals
from cifarray.engine.background import in_background
from cifarray.engine.capacity import (
    WorkerResources,
    default_cpus_per_worker,
    default_gpus_per_worker,
    refuse_what_never_fits,
)
from cifarray.engine.checkpoints import Deleter
from cifarray.engine.checks import refuse_observations_of_other_images, refuse_other_images
from cifarray.engine.connection import connected
from cifarray.engine.driver import StudyDriver
from cifarray.engine.last_word import LastWord, Reason, sweep_up
from cifarray.engine.nodes import collectives, node_requirements, refuse_what_nodes_lack
from cifarray.engine.orders import GroupSettings
from cifarray.engine.pool import Pool
from cifarray.engine.result import StudyResult
from cifarray.engine.signals import interruptible
from cifarray.engine.versions import command, commit, versions
from cifarray.engine.worker_group import WorkerGroup
from cifarray.errors import PausedError
from cifarray.journal.events import FORMAT
from cifarray.journal.folder import open_journal
from cifarray.journal.journal import Journal, StudyRunningError
from cifarray.space.sizes import Sizes
from cifarray.study import decisions
from cifarray.study.events import DriverStarted, Event, StudyStarted
from cifarray.study.forecast import Pace
from cifarray.study.images import refuse_batches_without_images
from cifarray.study.rough_time import warning_of_days
from cifarray.study.state import StudyState
from cifarray.study.study import Study
from cifarray.tracking import Tracking, try_model_out
from cifarray.tracking.state import State

if TYPE_CHECKING:
    from cifarray.data import ImageStore

DEAD_DRIVER_SECONDS = 15.0
STOPPING = (
    "stopping, in 10 s at most: the journal and MLflow are told and the workers leave; what they do not finish goes on "
    "from its checkpoints; Ctrl-C again ends now"
)

log = logging.getLogger(__name__)


class View(Protocol):
    """What shows the study to the user while it runs."""

    def stage(self, doing: str) -> AbstractContextManager[None]: ...
    def start(
        self, study: Study, state: StudyState, worker: str, ask_paces: Callable[[Iterable[str]], Mapping[int, Pace]]
    ) -> None: ...
    def event(self, event: Event) -> None: ...
    def stopping(self, text: str) -> None: ...
    def stop(self) -> None: ...


def run_study(
    study: Study, view: View, host: type = WorkerGroup, retry_failed: bool = False, repair: bool = False
) -> StudyResult:
    """Run a study to its end, or on from where it was.

    host: class of the worker groups' host actor; tests and measurements bring their own. retry_failed: trials that
    failed are unfinished again. repair: as in Journal.
    Raises StudyChangedError, StudyRunningError, DataError, and StudyError for what can never fit.
    """
    with ExitStack() as stack:
        ending = stack.enter_context(interruptible())
        ending.announce = partial(view.stopping, STOPPING)
        journal = open_journal(study, repair)
        stack.callback(journal.close)
        if journal.damaged is not None:
            log.warning("the study goes on from what is before the damage; the rest is now %s", journal.damaged)
            State.cut_back(journal.path)
        state = study.new_state()
        state.replay(journal.events)
        repairs = [*decisions.repairs(state), *(decisions.reopenings(state) if retry_failed else [])]
        state.replay(repairs)
        looking = in_background(partial(_look_at_data_and_networks, study))
        if not state.is_over():
            with view.stage("starting Ray"):
                stack.enter_context(connected())
        with view.stage("looking at data and networks"):
            store, sizes = looking.result()
        if study.space.is_limited:
            state.allowed = sizes.allowed
        state.macs_of = lambda params: sizes.of(study.space.config(params).to_dict()).macs
        started = journal.events[0] if journal.events else _started(study, store)
        assert isinstance(started, StudyStarted), "seen when the journal was opened"
        refuse_other_images(started, store, state)
        known = {event.id for event in state.learnt_from}
        learnt = [event for event in study.earlier if event.id not in known]
        refuse_observations_of_other_images(learnt, store)
        settings = None
        if not state.is_over():
            _refuse_second_driver(study)
            settings = group_settings(study, state, started.id)
            refuse_what_nodes_lack(study)
            if settings.gpus_per_worker == 0:
                cores = settings.cpus_per_worker * settings.workers
                warning = warning_of_days(state, lambda config: sizes.of(config).macs, len(store.labels), cores)
                if warning:
                    log.warning("%s", warning)

        # No event has been written yet, so the user can fix whatever was refused and take the same name.
        if not journal.events:
            storage.write_bytes(study.marker, json.dumps({"id": started.id, **study.identity()}, indent=2).encode())
            journal.append([started])
        running = {**versions(), "mlflow": metadata.version("mlflow")}
        if code := commit(Path(cifarray.__file__).parent):
            running["commit"] = code
        begins = DriverStarted(
            pid=os.getpid(),
            versions=running,
            num_trials=study.num_trials,
            budget_seconds=study.time_budget.seconds if study.time_budget else None,
            command=command(),
            node=platform.node(),
        )
        journal.append([begins, *repairs, *learnt])
        # Resets what is counted in a row, which each driver does for itself.
        state.replay([begins, *learnt])
        stack.callback(sweep_up, study, journal)
        tracking = Tracking(journal.path, study.tracking_uri)
        journal.listen(lambda event: tracking.wake())
        last = LastWord(study, state, journal)
        ending.if_stuck = partial(last.say, "interrupted")
        reason: Reason = "error"
        message = ""
        try:
            if settings is not None:
                in_background(partial(_try_model_out, study, len(store.classes), running))
                _tune(study, state, journal, view, sizes, settings, host, stack)
            reason = "finished"
        except KeyboardInterrupt:
            reason = "interrupted"
        except PausedError as error:
            reason, message = "paused", str(error)
        except BaseException as error:
            # A signal to every process of a job ends Ray too, and calls of Ray fail: that is no error.
            if not ending.wanted:
                message = f"{type(error).__name__}: {error}"
                raise
            reason = "interrupted"
        finally:
            with ending.held():
                view.stop()
                reports = last.say(reason, message)
            tracked = tracking.finish(timeout=2.0 if reason == "interrupted" or ending.wanted else 60.0)
            if reason != "finished":
                # Tune's actors hang on objects that refer to each other alone; a program that goes on would keep them.
                gc.collect()
        return StudyResult(state, reason, message, tracked, reports)


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
    """One Tuner from start to end. The pool is closed here if all is well, the rest with `stack`, after the journal's
    last word: a Ray that is about to go answers late or never.
    """
    pool = Pool(study.name, settings, journal.append, study.concurrent, host=host)
    deleter = Deleter(study.address)
    driver = StudyDriver(state, journal, pool, study.address, sizes.of, deleter.delete_soon)
    stack.callback(storage.delete_folder, settings.scratch)
    stack.callback(deleter.close)
    stack.callback(journal.keep)
    view.start(study, state, settings.worker, pool.paces)
    journal.listen(view.event)
    stack.callback(pool.kill)
    pool.open(state.remaining())
    # Late: the groups come up while this is imported.
    from ray import tune

    from cifarray.engine.trial import Trial
    from cifarray.engine.tune_adapters import Relay, SchedulerAdapter, SearcherAdapter

    ray_internals.keep_keys_from_tune()
    relay = Relay(driver)
    tune.Tuner(
        Trial,
        tune_config=tune.TuneConfig(
            num_samples=-1,
            search_alg=SearcherAdapter(relay),
            scheduler=SchedulerAdapter(relay),
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(
            name=uuid.uuid4().hex,
            storage_path=settings.scratch,
            verbose=0,
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False, num_to_keep=None),
        ),
    ).fit()
    relay.raise_error()
    pool.close()


def _try_model_out(study: Study, num_classes: int, versions: Mapping[str, str]) -> None:
    """What would fail when all is trained is told now."""
    if why_not := try_model_out(study.space.base.to_dict(), num_classes, versions):
        log.warning("%s", why_not)


def _look_at_data_and_networks(study: Study) -> tuple["ImageStore", Sizes]:
    """The images that the study trains on, prepared first if they are not yet, and what is known of its networks.

    Raises DataError, and StudyError for data too small for a batch or a corner of the space that is no network.
    """
    # Late: it brings torch along.
    from cifarray.data import open_store

    data = study.space.base.data
    store = open_store(data.source, "train", data.image_size)
    refuse_batches_without_images(study.space, len(store.labels))
    sizes = Sizes(study.space, len(store.classes))
    sizes.check_corners()
    return store, sizes


def group_settings(study: Study, state: StudyState, study_id: str) -> GroupSettings:
    """What every worker group is made of. Raises StudyError for what can never fit."""
    now = cluster.look()
    gpus = study.gpus_per_worker
    if gpus is None:
        gpus = default_gpus_per_worker(now)
    cpus = study.cpus_per_worker
    if cpus is None:
        cpus = default_cpus_per_worker(now, study.workers, min(state.remaining(), study.concurrent or 10**6), gpus)
    refuse_what_never_fits(now, WorkerResources(cpus, gpus), study.workers)
    # What Ray keeps is of use to the driver's node alone, and a bucket would only slow it down.
    scratch = str(study.folder / "ray")
    requirements = node_requirements(study)
    return GroupSettings(
        study.workers,
        cpus,
        gpus,
        scratch,
        requirements,
        study.patience,
        study_id,
        autoscaled=cluster.may_be_autoscaled(),
        collectives=collectives(study.space.base.deterministic),
    )


def _started(study: Study, store: "ImageStore") -> StudyStarted:
    """The journal's first event."""
    data = study.space.base.data
    train_images, held_out = split_sizes(len(store.labels), data.validation, data.limit)
    return StudyStarted(
        **study.identity(),
        name=study.name,
        id=uuid.uuid4().hex,
        num_trials=study.num_trials,
        storage=study.storage,
        keep_checkpoints=study.keep_checkpoints,
        num_classes=len(store.classes),
        data_sha256=store.sha256,
        train_images=train_images,
        held_out_images=held_out,
        format=FORMAT,
    )


def _refuse_second_driver(study: Study) -> None:
    """Raises StudyRunningError for one on this cluster, by the names of its groups; the journal's lock tells of one on
    this disk.

    Ray takes a moment to end the actors of a driver that was killed, so this waits up to DEAD_DRIVER_SECONDS.
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

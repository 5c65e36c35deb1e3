"""Sends a journal into MLflow and remembers how far it came.

Here: the only code that writes to MLflow, through `MlflowClient` with explicit run ids.
Not here: what an event becomes (`cifarray.tracking.changes`), patience with a dead store (`__main__`).

Killed at any point and started again, it leaves each trial and each epoch once: what was sent without being noted in
`tracking.json` is sent again with the same values and times, which MLflow keeps once, and a run that was made without
being noted is found by its tags.
"""

import logging
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

from mlflow.entities import Metric, Param, RunTag, ViewType
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from cifarray.journal.addresses import Addresses
from cifarray.journal.events import from_json
from cifarray.tracking.addresses import sqlite_file
from cifarray.tracking.changes import PARENT, RUNNING, STUDY_TAG, TRIAL_TAG, Change, Key, StudyRuns
from cifarray.tracking.database import make_database
from cifarray.tracking.state import State

EVENTS_PER_BATCH = 2000
METRICS, PARAMS, TAGS = 800, 100, 100  # in one call: MLflow takes 100 params, 100 tags, 1000 of all together
REFUSALS = {"INVALID_PARAMETER_VALUE", "INVALID_STATE", "RESOURCE_DOES_NOT_EXIST", "RESOURCE_ALREADY_EXISTS"}
"""MLflow's answers to a request that is not better the second time (a run that somebody deleted, say)."""

log = logging.getLogger(__name__)
Batch = tuple[list[Metric], list[Param], list[RunTag]]


class StoreError(RuntimeError):
    """The store answers, but cannot be used as it is."""


class Mirror:
    """One journal and its MLflow store. Every method may raise whatever a store that is away raises; call it again."""

    def __init__(self, journal: Path, tracking_uri: str, experiment: str) -> None:
        self.journal = journal
        self.state = State.load(journal, tracking_uri, experiment)
        self._addresses = Addresses(journal.parent)
        self._client: MlflowClient | None = None
        self._study = StudyRuns()
        self._position = 0
        self._searched = False

    def update(self, driver_gone: bool = False) -> None:
        """Bring MLflow up to date with the journal; with `driver_gone`, leave no run RUNNING."""
        client = self._client or self._connect()
        self._client = client
        self._send(client)
        while self._read():
            self._send(client)
        if driver_gone:
            self._study.driver_gone()
            self._send(client)

    def _connect(self) -> MlflowClient:
        state = self.state
        file = sqlite_file(state.tracking_uri)
        if file is not None and not file.exists():
            make_database(file)
        client = MlflowClient(state.tracking_uri)
        if state.parent_run_id and not self._knows(client, state.parent_run_id):
            log.warning("%s no longer has run %s: everything is sent anew", state.tracking_uri, state.parent_run_id)
            self.state = state = State(state.tracking_uri, state.experiment)
        if not state.experiment_id:
            state.experiment_id = _experiment(client, state)
        # The study as it was told so far, without telling it again.
        self._study, self._position = StudyRuns(), 0
        if state.position:
            sent = self.journal.read_bytes()[: state.position]
            self._take(sent.splitlines(keepends=True))
            self._study.changes.clear()
        return client

    def _knows(self, client: MlflowClient, run_id: str) -> bool:
        try:
            return bool(client.get_run(run_id).info.lifecycle_stage == "active")
        except MlflowException as error:
            if error.error_code in REFUSALS:
                return False
            raise

    def _read(self) -> bool:
        """Take in what is new, at most one batch of it; False if nothing is."""
        if not self.journal.exists():
            return False
        with open(self.journal, "rb") as file:
            file.seek(self._position)
            # A last line without its end is not there yet.
            lines = [line for line in islice(file, EVENTS_PER_BATCH) if line.endswith(b"\n")]
        self._take(lines)
        return bool(lines)

    def _take(self, lines: list[bytes]) -> None:
        for line in lines:
            try:
                event = from_json(line)
                if event is not None:
                    self._study.apply(self._addresses.whole(event))
            except (AttributeError, KeyError, TypeError, ValueError) as error:
                log.warning("the event at byte %d is not understood (%r) and left out", self._position, error)
            self._position += len(line)

    def _send(self, client: MlflowClient) -> None:
        changes = self._study.changes
        try:
            # The parent first: children name it.
            for key in sorted(changes, key=lambda key: -1 if key is PARENT else key):
                self._send_run(client, key, changes[key])
                del changes[key]
        except Exception:
            self.state.save(self.journal)  # the runs that were made
            raise
        if self._position != self.state.position:
            self.state.position = self._position
            self.state.error = ""
            self.state.save(self.journal)

    def _send_run(self, client: MlflowClient, key: Key, change: Change) -> None:
        run_id, created = self._run_id(key), False
        if not run_id and not self._searched:
            self._find_runs(client)
            run_id = self._run_id(key)
        if not run_id:
            run_id, created = self._create(client, key, change), True
        for metrics, params, tags in _batches(change):
            if not _accepted(lambda: client.log_batch(run_id, metrics, params, tags)) and params:  # noqa: B023
                # Params are write-once: those that are there stay as they are.
                _accepted(lambda: client.log_batch(run_id, metrics, [], tags))  # noqa: B023
        for name, value in change.tags.items():
            if value is None and not created:
                _accepted(lambda: client.delete_tag(run_id, name))  # noqa: B023
        for path in change.artifacts:
            if Path(path).exists():
                _accepted(lambda: client.log_artifact(run_id, path))  # noqa: B023
            else:
                log.warning("artifact %s is not there and left out", path)
        if change.status == RUNNING and not created:
            _accepted(lambda: client.update_run(run_id, status=RUNNING))
        elif change.status not in (None, RUNNING):
            _accepted(lambda: client.set_terminated(run_id, change.status, change.status_time))

    def _create(self, client: MlflowClient, key: Key, change: Change) -> str:
        tags = {name: value for name, value in change.tags.items() if value is not None}
        if key is not PARENT:
            tags["mlflow.parentRunId"] = self.state.parent_run_id
        run = client.create_run(
            self.state.experiment_id, start_time=change.time, tags=tags, run_name=self._study.run_name(key)
        )
        change.tags.clear()
        self._note(key, run.info.run_id)
        return str(run.info.run_id)

    def _find_runs(self, client: MlflowClient) -> None:
        """Note the runs that a mirror made before it was killed."""
        token: str | None = None
        while True:
            page = client.search_runs(
                [self.state.experiment_id],
                filter_string=f"tags.`{STUDY_TAG}` = '{self._study.id}'",
                run_view_type=ViewType.ACTIVE_ONLY,
                page_token=token,
            )
            for run in page:
                trial = run.data.tags.get(TRIAL_TAG)
                self._note(PARENT if trial is None else int(trial), run.info.run_id)
            token = page.token
            if not token:
                break
        self._searched = True

    def _run_id(self, key: Key) -> str:
        return self.state.parent_run_id if key is PARENT else self.state.runs.get(str(key), "")

    def _note(self, key: Key, run_id: str) -> None:
        if key is PARENT:
            self.state.parent_run_id = run_id
        else:
            self.state.runs[str(key)] = run_id


def _experiment(client: MlflowClient, state: State) -> str:
    """Id of the experiment, made if it is missing; beside a local database its artifacts lie beside it too."""
    experiment = client.get_experiment_by_name(state.experiment)
    if experiment is not None and experiment.lifecycle_stage != "active":
        raise StoreError(f"experiment {state.experiment!r} is deleted in {state.tracking_uri}: restore it there")
    if experiment is not None:
        return str(experiment.experiment_id)
    file = sqlite_file(state.tracking_uri)
    artifacts = file.absolute().with_name("mlartifacts").as_uri() if file is not None else None
    # The kind spares people the question what they want to see.
    kind = {"mlflow.experimentKind": "custom_model_development"}
    return str(client.create_experiment(state.experiment, artifact_location=artifacts, tags=kind))


def _batches(change: Change) -> Iterator[Batch]:
    metrics = [Metric(*point) for point in change.points]
    params = [Param(name, value) for name, value in change.params.items()]
    tags = [RunTag(name, value) for name, value in change.tags.items() if value is not None]
    while metrics or params or tags:
        yield metrics[:METRICS], params[:PARAMS], tags[:TAGS]
        metrics, params, tags = metrics[METRICS:], params[PARAMS:], tags[TAGS:]


def _accepted(request: Callable[[], object]) -> bool:
    """Make a request; False if MLflow refuses it for good, which is logged. Raises if asking again may help."""
    try:
        request()
    except MlflowException as error:
        if error.error_code not in REFUSALS:
            raise
        log.warning("MLflow refused: %s", error)
        return False
    return True

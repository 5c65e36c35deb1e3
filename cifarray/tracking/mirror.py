"""Sends a journal into MLflow and remembers how far it came.

Here: the only code that writes runs to MLflow, through `MlflowClient` with explicit run ids.
Not here: what an event becomes (`cifarray.tracking.changes`), what is there already (`lookup`), patience with an MLflow
that is away (`__main__`).

Every request may have taken effect though its answer was lost, and may take it later. So what is sent again has the
same values and times, which MLflow keeps once; a run is looked up by its tags before its making is tried again; and
where answers were lost, MLflow is asked at the end, and at the next beginning, what it has: a run that was made twice
is there once after that, and has its status. The same holds for a mirror that was killed at any point.
"""

import logging
import uuid
from collections.abc import Callable
from itertools import islice
from pathlib import Path

from mlflow.entities import Metric, Param, Run, RunTag
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from cifarray.journal.addresses import Addresses
from cifarray.journal.events import from_json
from cifarray.journal.targets import id_of_study
from cifarray.tracking.addresses import sqlite_file
from cifarray.tracking.change import Change
from cifarray.tracking.changes import PARENT, PAUSED, RUNNING, TRIAL_TAG, Key, StudyRuns
from cifarray.tracking.database import make_database
from cifarray.tracking.lookup import REFUSALS, experiment_id, is_empty, knows, runs_of
from cifarray.tracking.note import input_of, send_note
from cifarray.tracking.state import State
from cifarray.tracking.winner import Place, tell_of_winner

EVENTS_PER_BATCH = 2000
METRICS, PARAMS, TAGS = 800, 100, 100  # in one call: MLflow takes 100 params, 100 tags, 1000 of all together
PARENT_TAG = "mlflow.parentRunId"

log = logging.getLogger(__name__)


class RunGoneError(RuntimeError):
    """Somebody deleted the run in MLflow."""


class Mirror:
    """One journal in one MLflow. Every method may raise whatever an MLflow that is away raises; call it again."""

    def __init__(self, journal: Path, tracking_uri: str, experiment: str) -> None:
        self.journal = journal
        self.state = State.load(journal, tracking_uri, experiment)
        self.state.remark = ""
        self.acknowledged = 0
        """Requests that MLflow has answered: however many others were lost, it goes on."""
        self._uri = tracking_uri
        self._addresses = Addresses(journal.absolute().parent)
        """Where the study is now: it may have moved."""
        self._client: MlflowClient | None = None
        self._study = StudyRuns()
        self._position = 0
        self._searched = False
        self._deleted: set[Key] = set()

    def update(self, driver_gone: bool = False) -> None:
        """Bring MLflow up to date with the journal; with `driver_gone`, leave no run RUNNING."""
        try:
            self._update(driver_gone)
        except RunGoneError:
            # The parent: once more, from the beginning.
            self._client = None
            self._update(driver_gone)

    def _update(self, driver_gone: bool) -> None:
        client = self._client or self._connect()
        self._client = client
        self._send(client)
        while self._read():
            self._send(client)
        if driver_gone:
            self._study.driver_gone()
            self._send(client)
            if self.state.doubtful:
                self._read_back(client)

    def _connect(self) -> MlflowClient:
        file = sqlite_file(self._uri)
        if file is not None and not file.exists():
            make_database(file)
        client = MlflowClient(self._uri)
        parent = self.state.parent_run_id
        if self._is_new_copy():
            original, self.state.copy = self.state.address, uuid.uuid4().hex
            self._begin_anew(f"{original} is still there: this copy of it has runs of its own in MLflow")
        elif parent and not knows(client, parent):
            self._begin_anew(f"{self.state.tracking_uri} no longer has run {parent}: the study was sent there anew")
        if not self.state.experiment_id:
            self.state.experiment_id = experiment_id(client, self.state.experiment, self._uri)
        # The study as it was told so far, without telling it again.
        self._study, self._position = StudyRuns(self.state.copy, self.journal.absolute().parent.name), 0
        if self.state.position:
            sent = self.journal.read_bytes()[: self.state.position]
            self._take(sent.splitlines(keepends=True))
            self._study.changes.clear()
            self._study.winner, self._study.summary.changed = None, False
            if self.state.doubtful or self.state.address != self._addresses.study:
                self._read_back(client)
                self.state.doubtful = False
        self.state.address = self._addresses.study
        return client

    def _is_new_copy(self) -> bool:
        """Whether the study was copied, and not moved: it is still where MLflow was told that it is."""
        address = self.state.address
        if address in ("", self._addresses.study):
            return False
        original = id_of_study(address)
        return original is not None and original == id_of_study(self._addresses.study)

    def _begin_anew(self, remark: str) -> None:
        """MLflow knows nothing of it yet."""
        self.state = State(
            self.state.tracking_uri, self.state.experiment, address=self._addresses.study, copy=self.state.copy
        )
        self.state.remark = remark
        # Before there are runs that only this file can tell from others.
        self.state.save(self.journal)
        self._searched = False
        self._deleted.clear()
        log.warning("%s", remark)

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
                if key not in self._deleted:
                    self._send_run(client, key, changes[key])
                del changes[key]
            self._send_summary(client)
        except Exception:
            self.state.doubtful = True
            self.state.save(self.journal)  # the runs that were made
            raise
        if self._position != self.state.position or self.state.error:
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
        try:
            self._tell(client, run_id, key, change, created)
        except RunGoneError:
            if key is PARENT or not knows(client, self.state.parent_run_id):
                raise
            log.warning("run %s of %s was deleted in MLflow and is left so", run_id, self._study.run_name(key))
            self._deleted.add(key)

    def _tell(self, client: MlflowClient, run_id: str, key: Key, change: Change, created: bool) -> None:
        """What is acknowledged is taken out of `change`, so that the next try goes on from there."""
        if key is not PARENT and TRIAL_TAG in change.tags:
            # A parent that was deleted has been made anew; its children are told.
            change.tags[PARENT_TAG] = self.state.parent_run_id
        while change.points or change.params or _set(change.tags):
            points = change.points[:METRICS]
            params = dict(islice(change.params.items(), PARAMS))
            tags = dict(islice(_set(change.tags).items(), TAGS))
            metrics = [Metric(*point) for point in points]
            labels = [RunTag(name, value) for name, value in tags.items()]
            values = [Param(name, value) for name, value in params.items()]
            if not self._ask(client, run_id, lambda: client.log_batch(run_id, metrics, values, labels)) and values:  # noqa: B023
                # Params are write-once: those that are there stay as they are.
                self._ask(client, run_id, lambda: client.log_batch(run_id, metrics, [], labels))  # noqa: B023
            del change.points[: len(points)]
            for told, sent in ((change.params, params), (change.tags, tags)):
                for name in sent:
                    del told[name]
        for name in list(change.tags):
            self._ask(client, run_id, lambda: _delete_tag(client, run_id, name))  # noqa: B023
            del change.tags[name]
        if change.data_set is not None:
            data_set = input_of(change.data_set)
            self._ask(client, run_id, lambda: client.log_inputs(run_id, [data_set]))
            change.data_set = None
        while change.artifacts:
            path = Path(change.artifacts[0])
            if path.exists():
                self._ask(client, run_id, lambda: client.log_artifact(run_id, str(path)))  # noqa: B023
            else:
                log.warning("artifact %s is not there and left out", path)
            del change.artifacts[0]
        if change.status == RUNNING and not created:
            self._ask(client, run_id, lambda: client.update_run(run_id, status=RUNNING))
        elif change.status == PAUSED:
            self._ask(client, run_id, lambda: client.update_run(run_id, status=PAUSED))
        elif change.status not in (None, RUNNING):
            self._ask(client, run_id, lambda: client.set_terminated(run_id, change.status, change.status_time))
        change.status = None

    def _send_summary(self, client: MlflowClient) -> None:
        """The winner's model, and the description of the study, which links to it and to the trials' runs."""
        study, winner = self._study, self._study.winner
        run_id = "" if winner is None or winner.trial in self._deleted else self._run_id(winner.trial)
        if winner is not None and run_id:
            study_id = study.id + self.state.copy
            place = Place(self.state.experiment_id, study_id, study.name, run_id, self.state.parent_run_id)
            self.state.model = tell_of_winner(client, place, winner)
            self.acknowledged += 1
        study.winner = None
        if study.summary.changed and study.started is not None:
            started, best = study.started, study.summary.best()
            self._ask(
                client, self.state.parent_run_id, lambda: send_note(client, self.state, study.name, started, best)
            )
        study.summary.changed = False

    def _ask(self, client: MlflowClient, run_id: str, request: Callable[[], object]) -> bool:
        """Make a request; False if MLflow refuses it for good, which is logged.

        Raises RunGoneError if the run is no longer there, anything else if asking again may help.
        """
        try:
            request()
        except MlflowException as error:
            if error.error_code not in REFUSALS:
                raise
            if not knows(client, run_id):
                raise RunGoneError(f"run {run_id} is no longer in {self.state.tracking_uri}") from error
            log.warning("MLflow refused: %s", error)
            return False
        self.acknowledged += 1
        return True

    def _create(self, client: MlflowClient, key: Key, change: Change) -> str:
        tags = _set(change.tags)
        if key is not PARENT:
            tags[PARENT_TAG] = self.state.parent_run_id
        name = self._study.run_name(key)
        # Without an answer it is looked up before it is tried again.
        self._searched = False
        run = client.create_run(self.state.experiment_id, start_time=change.time, tags=tags, run_name=name)
        self._searched = True
        self.acknowledged += 1
        change.tags.clear()
        self._note(key, run.info.run_id)
        return str(run.info.run_id)

    def _find_runs(self, client: MlflowClient) -> dict[Key, Run]:
        """The study's runs, also those that were made without being noted, which they are now."""
        runs = runs_of(client, self.state.experiment_id, self._study.id, self.state.copy)
        for key, twins in runs.items():
            noted = self._run_id(key)
            twins.sort(key=lambda run: (run.info.run_id != noted, is_empty(run), run.info.run_id))
            self._note(key, twins[0].info.run_id)
            for twin in twins[1:]:
                # By a request that seemed lost: nobody has told it anything. One that was told something stays.
                if is_empty(twin):
                    log.warning("run %s, which was made twice, is deleted in MLflow", twin.info.run_id)
                    client.delete_run(twin.info.run_id)
        self._searched = True
        return {key: twins[0] for key, twins in runs.items()}

    def _read_back(self, client: MlflowClient) -> None:
        """Look at what MLflow has, and mend it where requests without an answer left it otherwise."""
        for key, run in self._find_runs(client).items():
            self._study.correct(key, run.info.status, run.data.tags)
        self._send(client)

    def _run_id(self, key: Key) -> str:
        return self.state.parent_run_id if key is PARENT else self.state.runs.get(str(key), "")

    def _note(self, key: Key, run_id: str) -> None:
        if key is PARENT:
            self.state.parent_run_id = run_id
        else:
            self.state.runs[str(key)] = run_id


def _set(tags: dict[str, str | None]) -> dict[str, str]:
    """Without those that are to be removed."""
    return {name: value for name, value in tags.items() if value is not None}


def _delete_tag(client: MlflowClient, run_id: str, name: str) -> None:
    """One that is already gone is no error."""
    if name in client.get_run(run_id).data.tags:
        client.delete_tag(run_id, name)

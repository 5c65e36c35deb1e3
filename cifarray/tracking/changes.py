"""Which journal event becomes what in MLflow: a fold of events into the changes that its runs have yet to hear of.

Here: plain data and decisions. A study is a parent run (key `PARENT`), trial n is a child run (key n).
Not here: sending (`cifarray.tracking.mirror`), reading the journal.

Every value is a function of the events alone, times included, so whatever is sent twice is the same both times.
"""

from collections.abc import Mapping

from cifarray.fields import flatten
from cifarray.study.events import (
    AuditStarted,
    CheckpointDropped,
    CheckpointLost,
    CheckpointStored,
    DriverEnded,
    DriverStarted,
    EpochEnded,
    Event,
    GroupChanged,
    LesionStudied,
    MicroBatchHalved,
    StudyReported,
    StudyStarted,
    TestOpened,
    TrialEnded,
    TrialReopened,
    TrialSampled,
    TrialStarted,
    WinnerNamed,
    WorkersRestarted,
)
from cifarray.study.time_budget import UNLIMITED
from cifarray.study.trial_record import Decision, Metric, Outcome
from cifarray.tracking.change import Change, Point
from cifarray.tracking.summary import Summary, data_set_of, is_of_base
from cifarray.tracking.wording import TAG_LENGTH, brief, clip, color, describe, source_tags

PARENT = None
Key = int | None

STUDY_TAG = "cifarray.study"
COPY_TAG = "cifarray.copy"
"""Which copy of the study a run is of; the original's have none."""
TRIAL_TAG = "cifarray.trial"
CHECKPOINT_TAG = "cifarray.checkpoint"
MESSAGE_TAG = "message"
AUDITED = "was given up, and runs to its end in an audit of early stopping"

RUNNING, FINISHED, FAILED, KILLED = "RUNNING", "FINISHED", "FAILED", "KILLED"
PAUSED = "SCHEDULED"
"""MLflow has no other word for a run that is not over and waits."""
DECIDED = {Decision.STOP: "stopped", Decision.PAUSE: "paused"}
OUTCOME_STATUS = {
    Outcome.COMPLETED: FINISHED,
    Outcome.STOPPED: FINISHED,
    Outcome.DIVERGED: FAILED,
    Outcome.OUT_OF_MEMORY: FAILED,
    Outcome.FAILED: FAILED,
}
END_STATUS = {"finished": FINISHED, "interrupted": KILLED, "paused": KILLED, "error": FAILED}


class StudyRuns:
    """A study's runs as the journal tells them. `changes` is emptied by whoever sends it.

    copy: which copy of the study it is, if it is one; its runs are called by `name` then.
    """

    def __init__(self, copy: str = "", name: str = "") -> None:
        self.changes: dict[Key, Change] = {}
        self.winner: WinnerNamed | None = None
        """Whose model MLflow is to have; taken away by whoever sends it."""
        self.name = name
        self.id = ""
        self._copy_tag: dict[str, str | None] = {COPY_TAG: copy} if copy else {}
        self._status: dict[Key, tuple[str, int]] = {}
        """And since when."""
        self._message: str | None = None
        """Of the driver that ended last, if none has begun since."""
        self._last_epoch: dict[int, int] = {}
        self._checkpoints: dict[int, list[str]] = {}
        self._halvings: dict[int, list[str]] = {}
        self.summary = Summary()
        self.started: StudyStarted | None = None
        self._source: dict[str, str | None] = {}
        """Of the driver that works now: MLflow's tags of where its code is from."""
        self._nodes: dict[str, str] = {}
        """Of each group."""
        self._epochs = 0
        self._metric = ""
        """The study's, whose best value so far is a curve of the parent run."""
        self._best: float | None = None
        self._now = 0

    def apply(self, event: Event) -> None:
        """Take in one event. Kinds that MLflow has no use for change nothing."""
        if isinstance(event, DriverStarted):
            # A driver that begins is the proof that the one before is dead, since the last event of that one.
            self.driver_gone()
        self._now = round(event.time * 1000)
        match event:
            case StudyStarted():
                self._study(event)
            case DriverStarted():
                versions = ", ".join(f"{name} {version}" for name, version in event.versions.items())
                self._change(PARENT).tags["cifarray.versions"] = versions
                self._source = source_tags(event)
                told = {"cifarray.command": event.command, "cifarray.node": event.node}
                self._change(PARENT).tags |= {name: clip(text, TAG_LENGTH) for name, text in told.items() if text}
                self._change(PARENT).tags |= self._source
                self._set_message("")
                self._set_status(PARENT, RUNNING)
            case TrialSampled():
                self._trial(event)
            case GroupChanged(group=group, event="ready") if event.nodes:
                self._nodes[group] = clip(", ".join(event.nodes), TAG_LENGTH)
            case TrialStarted(trial=trial):
                self._change(trial).tags["worker_group"] = event.group
                if event.group in self._nodes:
                    self._change(trial).tags["cifarray.nodes"] = self._nodes[event.group]
                self._set_status(trial, RUNNING)
            case EpochEnded():
                self._epoch(event)
            case WorkersRestarted(trial=trial):
                self._change(trial).tags["restarts"] = str(event.restarts)
            case MicroBatchHalved(trial=trial):
                # A param would be written once for ever.
                halved = self._halvings.setdefault(trial, [])
                halved.append(f"{event.accumulate} after epoch {event.epoch}")
                self._change(trial).tags["accumulate"] = ", ".join(halved)
            case TrialEnded():
                self._outcome(event)
            case AuditStarted():
                for trial in event.trials:
                    self.summary.reopen(trial)
                    self._change(trial).tags |= {"outcome": None, MESSAGE_TAG: AUDITED}
            case TrialReopened(trial=trial):
                self.summary.reopen(trial)
                self._change(trial).tags |= {"outcome": None, MESSAGE_TAG: None}
            case CheckpointStored():
                self._keep(event.trial, event.checkpoint)
            case CheckpointDropped() | CheckpointLost():
                self._drop(event.trial, event.checkpoint)
            case TestOpened(trial=trial):
                self._add_metrics(trial, event.metrics, event.opening)
                self._change(trial).tags["test_openings"] = str(event.opening)
            case LesionStudied(trial=trial):
                self._add_metrics(trial, event.metrics, 0)
                self._change(trial).artifacts += event.artifacts
            case StudyReported():
                self._add_metrics(PARENT, event.metrics, 0)
                self._change(PARENT).artifacts += event.artifacts
            case WinnerNamed():
                self.winner = event
            case DriverEnded():
                self._ended(event)

    def driver_gone(self) -> None:
        """The driver is dead: nothing of the study is running, whether or not it could say so."""
        for key, (status, _) in self._status.items():
            if status == RUNNING:
                self._set_status(key, KILLED)

    def _study(self, event: StudyStarted) -> None:
        self.name = self.name if self._copy_tag else event.name
        self.id, self._metric = event.id, event.metric
        self.started = event
        self.summary.metric, self.summary.workers = Metric(event.metric), event.workers
        change = self._change(PARENT)
        change.data_set = data_set_of(event)
        plan = {
            name: getattr(event, name) for name in ("num_trials", "workers", "seed", "metric", "scheduler", "searcher")
        }
        if event.num_trials >= UNLIMITED:
            plan["num_trials"] = "no limit"
        change.params |= {name: brief(value) for name, value in flatten({**event.config, "study": plan}).items()}
        note = clip(describe(event), TAG_LENGTH)
        change.tags |= {STUDY_TAG: self.id, **self._copy_tag, "mlflow.note.content": note}
        self._set_status(PARENT, RUNNING)

    def _trial(self, event: TrialSampled) -> None:
        change = self._change(event.trial)
        # Named so that they come after the searched fields: the compare page opens with the first three that differ.
        sizes = {"size.num_params": event.num_params, "size.macs": event.macs}
        # What was chosen may be more than fields of the config: the recipe's name.
        params = {**event.params, **flatten(event.config), **sizes}
        change.params |= {name: brief(value) for name, value in params.items()}
        varied = ", ".join(f"{name}={brief(value)}" for name, value in event.params.items())
        change.tags |= {
            STUDY_TAG: self.id,
            **self._copy_tag,
            TRIAL_TAG: str(event.trial),
            "cifarray.params": clip(varied, TAG_LENGTH),
            "mlflow.runColor": color(event.trial),
            **self._source,
        }
        self.summary.of(event.trial).params = varied
        if self.started is not None and is_of_base(self.started, event.config):
            change.data_set = data_set_of(self.started)
        self._set_status(event.trial, RUNNING)

    def _epoch(self, event: EpochEnded) -> None:
        trial, epoch, metrics = event.trial, event.epoch, event.metrics
        # After a kill, epochs since the last checkpoint are trained again; the first telling of an epoch counts.
        if epoch > self._last_epoch.get(trial, 0):
            self._last_epoch[trial] = epoch
            self._epochs += 1
            self.summary.of(trial).add(metrics, self.summary.metric, self.summary.workers)
            change = self._change(trial)
            # The compare page opens with the metric that came first.
            names = sorted(metrics.keys() - {"epoch"}, key=lambda name: (name != self._metric, name))
            change.points += [self._point(name, metrics[name], epoch) for name in names]
            value, score = metrics.get(self._metric), self.summary.metric.score
            if value is not None and (self._best is None or score(value) > score(self._best)):
                self._best = value
                # Over the epochs that the study has spent: the curve by which searches are compared.
                best = self._point(f"best_{self._metric}", value, self._epochs)
                self._change(PARENT).points.append(best)
        if event.reason:
            word = DECIDED.get(event.decision, "went on")
            self._change(trial).tags["decision"] = clip(f"{word}: {event.reason}", TAG_LENGTH)
        if event.decision is Decision.PAUSE:
            self._set_status(trial, PAUSED)
        if event.precision:
            self._change(trial).tags["precision"] = event.precision
        if event.checkpoint is not None:
            self._keep(trial, event.checkpoint)

    def _keep(self, trial: int, checkpoint: str) -> None:
        kept = self._checkpoints.setdefault(trial, [])
        if checkpoint not in kept:
            kept.append(checkpoint)
        self._change(trial).tags[CHECKPOINT_TAG] = self._checkpoint(trial)

    def _drop(self, trial: int, checkpoint: str) -> None:
        kept = self._checkpoints.get(trial, [])
        if checkpoint in kept:
            kept.remove(checkpoint)
            self._change(trial).tags[CHECKPOINT_TAG] = self._checkpoint(trial)

    def _outcome(self, event: TrialEnded) -> None:
        change = self._change(event.trial)
        change.tags["outcome"] = str(event.outcome)
        if event.message:
            change.tags[MESSAGE_TAG] = clip(event.message, TAG_LENGTH)
        self.summary.end(event.trial, event.outcome)
        totals = self.summary.of(event.trial)
        self._add_metrics(event.trial, totals.metrics(), totals.epochs)
        self._set_status(event.trial, OUTCOME_STATUS[event.outcome])

    def _ended(self, event: DriverEnded) -> None:
        self._change(PARENT).artifacts += event.artifacts
        self._set_message(event.message)
        self._add_metrics(PARENT, self.summary.metrics(), 0)
        self.summary.changed = True
        all_failed = event.reason == "finished" and self.summary.all_failed
        self._set_status(PARENT, FAILED if all_failed else END_STATUS[event.reason])
        self.driver_gone()

    def _add_metrics(self, key: Key, metrics: Mapping[str, float], step: int) -> None:
        self._change(key).points += [self._point(name, value, step) for name, value in metrics.items()]

    def correct(self, key: Key, status: str, tags: Mapping[str, str]) -> None:
        """Tell a run, which MLflow shows with this status and these tags, what it should have of them and has not."""
        if key not in self._status:
            return
        wanted, since = self._status[key]
        if status != wanted:
            change = self._change(key)
            change.status, change.status_time = wanted, since
        name, value = (MESSAGE_TAG, self._message) if key is PARENT else (CHECKPOINT_TAG, self._checkpoint(key))
        if tags.get(name) != value:
            self._change(key).tags[name] = value

    def run_name(self, key: Key) -> str:
        return self.name if key is PARENT else f"{self.name}-{key}"

    def _change(self, key: Key) -> Change:
        return self.changes.setdefault(key, Change(time=self._now))

    def _set_status(self, key: Key, status: str) -> None:
        self._status[key] = status, self._now
        change = self._change(key)
        change.status, change.status_time = status, self._now

    def _set_message(self, message: str) -> None:
        """What is over is taken away again; to remove what is not there would be an error of MLflow."""
        wanted = clip(message, TAG_LENGTH) or None
        if wanted != self._message:
            self._message = self._change(PARENT).tags[MESSAGE_TAG] = wanted

    def _checkpoint(self, trial: int) -> str | None:
        """Where the latest that is kept is."""
        kept = self._checkpoints.get(trial)
        return kept[-1] if kept else None

    def _point(self, name: str, value: float, step: int) -> Point:
        return Point(name, float(value), self._now, step)

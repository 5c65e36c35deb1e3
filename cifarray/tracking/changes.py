"""Which journal event becomes what in MLflow: a fold of events into the changes that its runs have yet to hear of.

Here: plain data and decisions. A study is a parent run (key `PARENT`), trial n is a child run (key n).
Not here: sending (`cifarray.tracking.mirror`), reading the journal.

Every value is a function of the events alone, times included, so whatever is sent twice is the same both times.
"""

import colorsys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from cifarray.config import flatten

PARENT = None
Key = int | None

STUDY_TAG = "cifarray.study"
TRIAL_TAG = "cifarray.trial"
CHECKPOINT_TAG = "cifarray.checkpoint"

RUNNING, FINISHED, FAILED, KILLED = "RUNNING", "FINISHED", "FAILED", "KILLED"
OUTCOME_STATUS = {
    "completed": FINISHED,
    "stopped": FINISHED,
    "diverged": FAILED,
    "out_of_memory": FAILED,
    "failed": FAILED,
}
END_STATUS = {"finished": FINISHED, "interrupted": KILLED, "error": FAILED}

PARAM_LENGTH, TAG_LENGTH = 6000, 8000  # MLflow's limits


class Point(NamedTuple):
    """One value of one metric; `time` in milliseconds since 1970."""

    name: str
    value: float
    time: int
    step: int


@dataclass
class Change:
    """What one MLflow run has yet to hear of. `time` (milliseconds) is when it began."""

    time: int
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str | None] = field(default_factory=dict)
    """None: the tag is removed."""
    points: list[Point] = field(default_factory=list)
    artifacts: list[str] = field(default_factory=list)
    status: str | None = None
    status_time: int = 0


class StudyRuns:
    """A study's runs as the journal tells them. `changes` is emptied by whoever sends it."""

    def __init__(self) -> None:
        self.changes: dict[Key, Change] = {}
        self.name = ""
        self.id = ""
        self._status: dict[Key, str] = {}
        self._last_epoch: dict[int, int] = {}
        self._checkpoints: dict[int, list[str]] = {}
        self._halvings: dict[int, list[str]] = {}
        self._epochs = 0
        self._metric = ""
        """The study's, whose best value so far is a curve of the parent run."""
        self._best: float | None = None
        self._now = 0

    def apply(self, event: Mapping[str, Any]) -> None:
        """Take in one event. Raises KeyError or TypeError if it lacks what its kind promises; unknown kinds pass."""
        if event["kind"] == "driver":
            # A driver that begins is the proof that the one before is dead, since the last event of that one.
            self.driver_gone()
        self._now = round(event["time"] * 1000)
        match event["kind"]:
            case "study":
                self._study(event)
            case "driver":
                self._driver(event)
            case "trial":
                self._trial(event)
            case "start":
                self._change(event["trial"]).tags["worker_group"] = str(event["group"])
                self._set_status(event["trial"], RUNNING)
            case "epoch":
                self._epoch(event)
            case "restart":
                self._change(event["trial"]).tags["restarts"] = str(event["restarts"])
            case "micro_batch":
                # A param would be written once for ever.
                halved = self._halvings.setdefault(event["trial"], [])
                halved.append(f"{event['accumulate']} after epoch {event['epoch']}")
                self._change(event["trial"]).tags["accumulate"] = ", ".join(halved)
            case "outcome":
                self._outcome(event)
            case "dropped":
                self._drop(event["trial"], event["checkpoint"])
            case "test":
                self._test(event)
            case "lesion":
                self._findings(event["trial"], event)
            case "report":
                self._findings(PARENT, event)
            case "ended":
                self._ended(event)

    def driver_gone(self) -> None:
        """The driver is dead: nothing of the study is running, whether or not it could say so."""
        for key, status in self._status.items():
            if status == RUNNING:
                self._set_status(key, KILLED)

    def _study(self, event: Mapping[str, Any]) -> None:
        self.name, self.id, self._metric = event["name"], event["id"], event["metric"]
        change = self._change(PARENT)
        plan = {name: event[name] for name in ("num_trials", "workers", "seed", "metric", "scheduler", "searcher")}
        change.params |= {name: brief(value) for name, value in flatten({**event["config"], "study": plan}).items()}
        change.tags |= {STUDY_TAG: self.id, "mlflow.note.content": _clip(describe(event), TAG_LENGTH)}
        self._set_status(PARENT, RUNNING)

    def _driver(self, event: Mapping[str, Any]) -> None:
        versions = ", ".join(f"{name} {version}" for name, version in event["versions"].items())
        self._change(PARENT).tags["cifarray.versions"] = versions
        self._set_status(PARENT, RUNNING)

    def _trial(self, event: Mapping[str, Any]) -> None:
        change = self._change(event["trial"])
        # Named so that they come after the searched fields: the compare page opens with the first three that differ.
        sizes = {"size.num_params": event["num_params"], "size.macs": event["macs"]}
        # What was chosen may be more than fields of the config: the recipe's name.
        known = {**event["params"], **flatten(event["config"]), **sizes}
        change.params |= {name: brief(value) for name, value in known.items()}
        varied = ", ".join(f"{name}={brief(value)}" for name, value in event["params"].items())
        change.tags |= {
            STUDY_TAG: self.id,
            TRIAL_TAG: str(event["trial"]),
            "cifarray.params": _clip(varied, TAG_LENGTH),
            "mlflow.runColor": color(event["trial"]),
        }
        self._set_status(event["trial"], RUNNING)

    def _epoch(self, event: Mapping[str, Any]) -> None:
        trial, epoch, metrics = event["trial"], event["epoch"], event["metrics"]
        # After a kill, epochs since the last checkpoint are trained again; the first telling of an epoch counts.
        if epoch > self._last_epoch.get(trial, 0):
            self._last_epoch[trial] = epoch
            self._epochs += 1
            change = self._change(trial)
            # The compare page opens with the metric that came first.
            names = sorted(metrics.keys() - {"epoch"}, key=lambda name: (name != self._metric, name))
            change.points += [self._point(name, metrics[name], epoch) for name in names]
            value = metrics.get(self._metric)
            if value is not None and (self._best is None or self._is_better(value, self._best)):
                self._best = value
                # Over the epochs that the study has spent: the curve by which searches are compared.
                best = self._point(f"best_{self._metric}", value, self._epochs)
                self._change(PARENT).points.append(best)
        if event["checkpoint"] is not None:
            kept = self._checkpoints.setdefault(trial, [])
            if event["checkpoint"] not in kept:
                kept.append(event["checkpoint"])
            self._change(trial).tags[CHECKPOINT_TAG] = kept[-1]

    def _is_better(self, value: float, than: float) -> bool:
        return value < than if self._metric.endswith("loss") else value > than

    def _drop(self, trial: int, checkpoint: str) -> None:
        kept = self._checkpoints.get(trial, [])
        if checkpoint in kept:
            kept.remove(checkpoint)
            self._change(trial).tags[CHECKPOINT_TAG] = kept[-1] if kept else None

    def _outcome(self, event: Mapping[str, Any]) -> None:
        change = self._change(event["trial"])
        change.tags["outcome"] = event["outcome"]
        if event["message"]:
            change.tags["message"] = _clip(event["message"], TAG_LENGTH)
        self._set_status(event["trial"], OUTCOME_STATUS[event["outcome"]])

    def _test(self, event: Mapping[str, Any]) -> None:
        change = self._change(event["trial"])
        opening = event["opening"]
        change.points += [self._point(name, value, opening) for name, value in event["metrics"].items()]
        change.tags["test_openings"] = str(opening)

    def _findings(self, key: Key, event: Mapping[str, Any]) -> None:
        """What was found out after the end: of a trial, or of the whole study."""
        change = self._change(key)
        change.points += [self._point(name, value, 0) for name, value in event["metrics"].items()]
        change.artifacts += event["artifacts"]

    def _ended(self, event: Mapping[str, Any]) -> None:
        change = self._change(PARENT)
        change.artifacts += event["artifacts"]
        if event["message"]:
            change.tags["message"] = _clip(event["message"], TAG_LENGTH)
        self._set_status(PARENT, END_STATUS[event["reason"]])
        self.driver_gone()

    def run_name(self, key: Key) -> str:
        return self.name if key is PARENT else f"{self.name}-{key}"

    def _change(self, key: Key) -> Change:
        return self.changes.setdefault(key, Change(time=self._now))

    def _set_status(self, key: Key, status: str) -> None:
        self._status[key] = status
        change = self._change(key)
        change.status, change.status_time = status, self._now

    def _point(self, name: str, value: float, step: int) -> Point:
        return Point(name, float(value), self._now, step)


def brief(value: Any) -> str:
    """A param's value as MLflow shows it: short, because its parallel coordinates cut words after 10 characters.

    Numbers keep six digits, which is for reading; the exact ones are in the journal and in the config artifact.
    """
    match value:
        case None:
            return "none"
        case bool():
            return str(value).lower()
        case float():
            return f"{value:.6g}"
        case list() | tuple():
            return _clip(",".join(brief(item) for item in value), PARAM_LENGTH) or "none"
        case _:
            return _clip(str(value), PARAM_LENGTH)


def color(trial: int) -> str:
    """A trial's colour in MLflow's charts, whose own choice gives two of six runs the same one.

    Hues a golden ratio apart: any few trials in a row differ.
    """
    hue = (0.58 + trial * 0.618034) % 1
    rgb = colorsys.hls_to_rgb(hue, (0.4, 0.55, 0.35)[trial % 3], 0.7)
    return "#" + "".join(f"{round(255 * part):02x}" for part in rgb)


def describe(study: Mapping[str, Any]) -> str:
    """One line for the parent run: what varies, over how many trials, and who decides.

    study: a journal's study event; a domain is `{values}` or `{low, high, log}`, a scheduler or searcher is None, its
    name, or its fields.
    """
    varied = [f"{path} in {_domain(domain)}" for path, domain in study["domains"].items()]
    what = f"Searches {', '.join(varied)}" if varied else "Trains one config"
    trials = "1 trial" if study["num_trials"] == 1 else f"{study['num_trials']} trials"
    deciders = [f"{role} {_decider(study[role])}" for role in ("scheduler", "searcher")]
    workers = "1 worker" if study["workers"] == 1 else f"{study['workers']} workers"
    return " · ".join([what, trials, *deciders, f"{workers} per trial"])


def _decider(value: Any) -> str:
    if not isinstance(value, Mapping):
        return brief(value)
    fields = ", ".join(f"{name}={brief(item)}" for name, item in value.items() if name != "name")
    return f"{value.get('name', '')} ({fields})".strip() if fields else str(value["name"])


def _domain(domain: Mapping[str, Any]) -> str:
    if "cases" in domain:
        return " or ".join(_domain(case) for _, case in domain["cases"])
    if "values" in domain:
        return "{" + ", ".join(brief(value) for value in domain["values"]) + "}"
    return f"{domain['low']:g}..{domain['high']:g}{' (log)' if domain['log'] else ''}"


def _clip(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"

"""What a study's runs come to: its data set, each trial's totals, how its best trials stand. A fold of events. Pure.

Not here: the curves, params and tags of single events (`changes`), how it is put for people (`wording`).
"""

import heapq
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cifarray.redaction import redact
from cifarray.study.events import StudyStarted
from cifarray.study.trial_record import GAVE_NOTHING, Metric, Outcome

SHOWN = 5
"""Trials of a run's description."""
DIGEST_LENGTH = 36
"""MLflow's limit."""
ACCURACY = Metric()


@dataclass(frozen=True)
class DataSet:
    """As MLflow wants it; `source` and `profile` are JSON."""

    name: str
    digest: str
    source: str
    profile: str


def data_set_of(started: StudyStarted) -> DataSet | None:
    """What the base config trains on; None where the journal does not know its digest."""
    if not started.data_sha256:
        return None
    data = started.config["data"]
    source = redact(str(data["source"]))
    name = source.rstrip("/").rpartition("/")[2] or source
    profile = {"train": started.train_images, "held out": started.held_out_images, "classes": started.num_classes}
    profile |= {"image size": data.get("image_size")}
    return DataSet(
        name,
        started.data_sha256[:DIGEST_LENGTH],
        json.dumps({"uri": source}),
        json.dumps({name: value for name, value in profile.items() if value is not None}),
    )


def is_of_base(started: StudyStarted, config: Mapping[str, Any]) -> bool:
    """Whether a trial's images are those of the base config."""
    base, own = started.config.get("data", {}), config.get("data", {})
    return all(own.get(name, base.get(name)) == base.get(name) for name in ("source", "image_size"))


@dataclass
class Totals:
    """Of one trial, each epoch once. `worker_seconds`: of all of its workers, training and evaluation."""

    params: str = ""
    epochs: int = 0
    worker_seconds: float = 0.0
    best: dict[str, float] = field(default_factory=dict)
    final: dict[str, float] = field(default_factory=dict)
    outcome: Outcome | None = None

    def add(self, metrics: Mapping[str, Any], judged_by: Metric, workers: int) -> None:
        self.epochs += 1
        self.worker_seconds += workers * float(metrics.get("epoch_seconds", 0.0))
        for metric in {judged_by, ACCURACY}:
            if (value := metrics.get(metric.name)) is not None:
                self.final[metric.name] = value
                known = self.best.get(metric.name, value)
                self.best[metric.name] = max(value, known, key=metric.score)

    def metrics(self) -> dict[str, float]:
        """What the trial's run is told when it is over."""
        return {
            **{f"best_{name}": value for name, value in sorted(self.best.items())},
            **{f"final_{name}": value for name, value in sorted(self.final.items())},
            "epochs": float(self.epochs),
            "worker_seconds": self.worker_seconds,
        }


class Summary:
    """Of all trials. `changed`: the best ones stand otherwise than was told; taken back by whoever tells it."""

    def __init__(self) -> None:
        self.trials: dict[int, Totals] = {}
        self.metric, self.workers = ACCURACY, 1
        self.changed = False
        self._best: list[int] = []

    def of(self, number: int) -> Totals:
        return self.trials.setdefault(number, Totals())

    def end(self, number: int, outcome: Outcome) -> None:
        self.of(number).outcome = outcome
        self._stand([*self._best, number])

    def reopen(self, number: int) -> None:
        self.of(number).outcome = None
        self._stand([number for number, trial in self.trials.items() if trial.outcome is not None])

    def best(self) -> list[tuple[int, Totals]]:
        """Of the trials that are over, as the leaderboard ranks them: by how far they came, then by value."""
        return [(number, self.trials[number]) for number in self._best]

    @property
    def all_failed(self) -> bool:
        """Whether there are trials, and each ended for a reason of its own without a network to be compared."""
        return bool(self.trials) and all(trial.outcome in GAVE_NOTHING for trial in self.trials.values())

    def metrics(self) -> dict[str, float]:
        """What the study's run is told when a driver ends."""
        return {
            "trials": float(len(self.trials)),
            "trials_completed": float(sum(t.outcome is Outcome.COMPLETED for t in self.trials.values())),
            "epochs": float(sum(trial.epochs for trial in self.trials.values())),
            "worker_seconds": sum(trial.worker_seconds for trial in self.trials.values()),
        }

    def _stand(self, numbers: list[int]) -> None:
        best = heapq.nsmallest(SHOWN, dict.fromkeys(numbers), key=self._rank)
        self.changed = self.changed or best != self._best
        self._best = best

    def _rank(self, number: int) -> tuple[bool, int, float, int]:
        trial = self.trials[number]
        value = trial.final.get(self.metric.name)
        score = float("-inf") if value is None else self.metric.score(value)
        return trial.outcome is not Outcome.COMPLETED, -trial.epochs, -score, number

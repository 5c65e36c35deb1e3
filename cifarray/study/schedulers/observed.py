"""What a study's curves tell a Gaussian process: which epochs are observed, on which scale, and what an epoch costs.

Of each trial its epochs at rungs and its latest one. Accuracies count as −log(1 − accuracy), so that from 90 to 91 % is
as much as from 50 to 55 %, losses as −log(loss); what is far below the others is only told to be bad. A trial that gave
nothing, since it diverged or had no memory, counts after its last epoch as the worst that was seen.

Not here: the process (`cifarray.study.gaussian_process`), what follows (`freeze_thaw`).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cifarray.space.features import Features
from cifarray.study.gaussian_process import Array, Observations, Posterior, Prior, fit
from cifarray.study.proposals import Params
from cifarray.study.schedulers.promote import Rungs
from cifarray.study.schedulers.scheduler import StudyView
from cifarray.study.trial_record import GAVE_NOTHING, Metric, Outcome, TrialRecord

MAX_OBSERVATIONS, MAX_OF_NOTHING, MAX_OF_EARLIER = 160, 40, 60
"""In all, of trials that gave nothing, and of those of earlier studies."""
FIRST_FIT, GROWTH = 5, 1.4
"""After so many observations the hyperparameters are fitted, and again after so many times as many."""
SMALLEST = 1e-4
"""Share of errors, or loss, below which nothing is told apart."""
TAIL = 3.0
"""So many times as far below the median as the best twentieth is above it, all is as bad."""
NEW = -1
"""A number of no trial."""
RIDGE = 0.1


@dataclass(frozen=True)
class Row:
    trial: int
    epoch: int
    value: float
    is_latest: bool


@dataclass(frozen=True)
class Observed:
    """standardised: as the process sees them, with (value − mean) / deviation."""

    study: StudyView
    features: Features
    standardised: Observations
    mean: float
    deviation: float

    @classmethod
    def of(cls, study: StudyView, rungs: Rungs, features: Features) -> "Observed":
        """As of now."""
        trials = [*study.earlier.values(), *study.trials.values()]
        latest = {trial.number: trial.epoch for trial in trials if trial.epoch}
        nothing = {trial.number for trial in trials if trial.outcome in GAVE_NOTHING}
        return cls.at(study, rungs, features, latest, nothing)

    @classmethod
    def at(
        cls, study: StudyView, rungs: Rungs, features: Features, latest: Mapping[int, int], nothing: Iterable[int]
    ) -> "Observed":
        """As of when trials had done so many epochs, and these had given nothing."""
        rows = _rows(study, rungs, latest)
        if rows:
            worst = min(row.value for row in rows)
            gave_nothing = sorted(nothing)[-MAX_OF_NOTHING:]
            earlier = _most_telling([row for row in rows if row.trial < 0], MAX_OF_EARLIER)
            room = MAX_OBSERVATIONS - len(gave_nothing) - len(earlier)
            rows = [*earlier, *_most_telling([row for row in rows if row.trial >= 0], room)]
            rows += [Row(number, _trial(study, number).config["epochs"], worst, True) for number in gave_nothing]
        values = np.array([row.value for row in rows])
        mean, deviation = 0.0, 1.0
        if rows:
            middle, high = np.quantile(values, [0.5, 0.95])
            values = np.maximum(values, middle - TAIL * max(high - middle, 1e-3))
            mean, deviation = float(values.mean()), max(float(values.std()), 1e-3)
        trials = [_trial(study, row.trial) for row in rows]
        empty = cls(study, features, _nothing(features), mean, deviation)
        at, times, numbers = empty.rows_of(trials, [row.epoch for row in rows])
        return cls(study, features, Observations(at, times, numbers, (values - mean) / deviation), mean, deviation)

    def __len__(self) -> int:
        return len(self.standardised)

    def trials(self) -> list[TrialRecord]:
        """Those that are observed, by number, those of earlier studies among them."""
        return [_trial(self.study, number) for number in np.unique(self.standardised.trials).tolist()]

    @property
    def best_completed(self) -> float | None:
        """Standardised, of this study's trials that have done their last epoch; None if there are none. The winner is
        to be one of them, so that points that were good in earlier studies are worth running.
        """
        values = [
            in_logs(trial.metric, trial.score_after(trial.epoch))
            for trial in self.study.trials.values()
            if trial.outcome is Outcome.COMPLETED
        ]
        return (max(values) - self.mean) / self.deviation if values else None

    def show(self, standardised: float) -> str:
        """What is predicted, as a user knows it."""
        metric, left = self.study.metric, float(np.exp(-(standardised * self.deviation + self.mean)))
        return metric.show(left if metric.lower_is_better else 1 - left)

    def rows_of(self, trials: Sequence[TrialRecord], epochs: Sequence[int]) -> tuple[Array, Array, Any]:
        """features (n, d), times (n,) and numbers (n,) of trials after these epochs."""
        known = {trial.number: self._features_of(trial) for trial in trials}
        return (
            np.array([known[trial.number] for trial in trials]).reshape(-1, self.features.num_features),
            np.array([time_of(epoch, trial.config["epochs"]) for trial, epoch in zip(trials, epochs, strict=True)]),
            np.array([trial.number for trial in trials], dtype=np.int64),
        )

    def rows_at_end(self, trials: Sequence[TrialRecord]) -> tuple[Array, Array, Any]:
        return self.rows_of(trials, [trial.config["epochs"] for trial in trials])

    def features_of(self, points: Sequence[Params]) -> Array:
        """(m, d)."""
        return np.array([self.features.of(params) for params in points]).reshape(-1, self.features.num_features)

    def rows_of_candidates(self, waiting: Sequence[TrialRecord], points: Array) -> tuple[Array, Array, Any]:
        """After the last epoch of each. points: features (m, d) of new ones."""
        at, times, numbers = self.rows_at_end(waiting)
        return (
            np.concatenate([at, points]),
            np.concatenate([times, np.ones(len(points))]),
            np.concatenate([numbers, np.full(len(points), NEW, dtype=np.int64)]),
        )

    def most_alike(self, posterior: Posterior, point: Array) -> float:
        """How much a new point, by its features (d,), has in common with the trial that is the most like it, 0..1."""
        tried = np.array([self._features_of(trial) for trial in self.study.trials.values()])
        return float(posterior.alike(point[None], tried).max())

    def epoch_costs(self, waiting: Sequence[TrialRecord], points: Array) -> Array:
        """What an epoch costs, in multiply-adds for an image: of paused trials as it is, of new points, by their
        features (m, d), as a regression on features says; 1 for all where no size is known.

        Not in seconds, which depend on how busy a machine is: a study that is run again would decide otherwise.
        """
        measured = [trial for trial in self.study.trials.values() if trial.macs]
        if not measured:
            return np.ones(len(waiting) + len(points))
        logs = np.log([float(trial.macs) for trial in measured])
        middle = logs.mean()
        own = [np.log(float(trial.macs)) if trial.macs else middle for trial in waiting]
        if not len(points):
            return np.exp(own)
        at = np.array([self._features_of(trial) for trial in measured])
        centre = at.mean(axis=0)
        squares = (at - centre).T @ (at - centre) + RIDGE * np.eye(at.shape[1])
        weights = np.linalg.solve(squares, (at - centre).T @ (logs - middle))
        # No further than twice beyond what was seen: a line goes on for ever.
        reach = np.log(2.0)
        predicted = np.clip(middle + (points - centre) @ weights, logs.min() - reach, logs.max() + reach)
        return np.exp(np.concatenate([own, predicted]))

    def _features_of(self, trial: TrialRecord) -> list[float]:
        return self.study.once(("features", trial.number), lambda: self.features.of(trial.params))


def fitted(study: StudyView, rungs: Rungs, features: Features) -> Array:
    """The hyperparameters, by the journal up to the last of the numbers of observations at which they are fitted: so a
    study that goes on has the same as one that never stopped."""
    wanted, due = FIRST_FIT, 0
    counted, end = 0, 0
    for place, (number, epoch) in enumerate(study.timeline, start=1):
        epochs = _trial(study, number).config["epochs"]
        counted += epoch in (0, epochs) or epoch in rungs(epochs)
        if counted == wanted:
            due, end = wanted, place
            wanted = -int(-wanted * GROWTH // 1)

    def fit_then() -> Array:
        if not due:
            return Prior.of(features.num_features).means
        latest: dict[int, int] = {}
        nothing: dict[int, None] = {}
        for number, epoch in study.timeline[:end]:
            if epoch:
                latest[number] = epoch
                nothing.pop(number, None)
            else:
                nothing[number] = None
        return fit(Observed.at(study, rungs, features, latest, nothing).standardised)

    return study.once("fit", fit_then, due)


def _trial(study: StudyView, number: int) -> TrialRecord:
    return study.earlier[number] if number < 0 else study.trials[number]


def in_logs(metric: Metric, score: float) -> float:
    """Higher is better."""
    left = -score if metric.lower_is_better else 1 - score
    return -float(np.log(max(left, SMALLEST)))


def time_of(epoch: int, epochs: int) -> float:
    """0 after the first of `epochs`, 1 after the last, even in the logarithm."""
    return float(np.log(epoch) / np.log(epochs)) if epochs > 1 else 1.0


def _rows(study: StudyView, rungs: Rungs, latest: Mapping[int, int]) -> list[Row]:
    rows = []
    for number in sorted(latest):
        trial, last = _trial(study, number), latest[number]
        epochs = trial.config["epochs"]
        at = [rung for rung in rungs(epochs) if rung < last]
        # Where none pauses, what is not over yet says nothing of those whose rates fall at other times.
        if rungs(epochs) or last == epochs:
            at.append(last)
        rows += [Row(number, e, in_logs(trial.metric, trial.score_after(e)), e == last) for e in at]
    return rows


def _most_telling(rows: list[Row], count: int) -> list[Row]:
    """At most `count`: the latest of each trial first, of those that came far before others, and good ones before bad
    ones."""
    if len(rows) <= count:
        return rows
    latest = {row.trial: row for row in rows if row.is_latest}

    def importance(row: Row) -> tuple[Any, ...]:
        last = latest[row.trial]
        return not row.is_latest, -last.epoch, -last.value, row.trial, row.epoch

    return sorted(sorted(rows, key=importance)[:count], key=lambda row: (row.trial, row.epoch))


def _nothing(features: Features) -> Observations:
    return Observations(np.zeros((0, features.num_features)), np.zeros(0), np.zeros(0, dtype=np.int64), np.zeros(0))

"""How far the winner's value may be believed: its interval, and which trials cannot be told from it.

Not here: the statistics themselves (`cifarray.study.stats`), what is said of them (`answer`).
"""

from dataclasses import dataclass

from cifarray.report.page.told import Told
from cifarray.study.stats import wilson
from cifarray.study.trial_record import Outcome, TrialRecord

Z = 1.959964
"""Standard deviations of a normal distribution that hold 95 % of it."""


def winner(told: Told) -> TrialRecord | None:
    """The best trial that has a value, else the one that came furthest; None where no epoch was done."""
    best = told.state.best() or next(iter(told.state.ranking()), None)
    return best if best is not None and best.epoch else None


@dataclass(frozen=True)
class Interval:
    """Of 95 %, of an accuracy measured on so many images."""

    low: float
    high: float
    images: int


def interval(told: Told, trial: TrialRecord) -> Interval | None:
    """Wilson's, from the number of validation images; None for what is no share of them, or where that is not known."""
    images = told.validation_images
    if trial.value is None or not images or not _is_share(trial):
        return None
    low, high = wilson(trial.value, images)
    return Interval(low, high, images)


def told_apart(told: Told, best: TrialRecord) -> tuple[list[TrialRecord], list[TrialRecord]] | None:
    """Of the other completed trials: those that the images alone cannot tell from the best, and those that they can.

    Two shares of n images differ by less than 1.96 standard errors of independent shares; the trials share their
    images, so the true error of the difference is smaller, and this calls rather too many alike. None as `interval`.
    """
    images = told.validation_images
    if best.value is None or not images or not _is_share(best):
        return None
    alike: list[TrialRecord] = []
    apart: list[TrialRecord] = []
    for trial in told.state.ranking():
        if trial is best or trial.outcome is not Outcome.COMPLETED or trial.value is None:
            continue
        spread = best.value * (1 - best.value) + trial.value * (1 - trial.value)
        near = abs(best.value - trial.value) < Z * (spread / images) ** 0.5
        (alike if near else apart).append(trial)
    return alike, apart


def _is_share(trial: TrialRecord) -> bool:
    return trial.metric.name.endswith("accuracy")

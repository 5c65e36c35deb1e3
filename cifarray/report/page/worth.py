"""How far the winner's value may be believed: its interval, and which trials cannot be told from it.

Not here: the statistics themselves (`cifarray.study.stats`), what is said of them (`answer`).
"""

from dataclasses import dataclass

from cifarray.report.page.told import Told
from cifarray.study.stats import noise, wilson
from cifarray.study.trial_record import DEFAULT_METRIC, Outcome, TrialRecord


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

    None as `interval`.
    """
    alike: list[TrialRecord] = []
    apart: list[TrialRecord] = []
    for trial in told.state.ranking():
        if trial is best or trial.outcome is not Outcome.COMPLETED or trial.value is None:
            continue
        same = same_to_the_images(told, best, told, trial)
        if same is None:
            return None
        (alike if same else apart).append(trial)
    return None if interval(told, best) is None else (alike, apart)


def same_to_the_images(told: Told, trial: TrialRecord, other_told: Told, other: TrialRecord) -> bool | None:
    """Whether two accuracies differ by less than 1.96 standard errors of the difference of independent shares.

    Trials share their images, so the true error of the difference is smaller, and this calls rather too many alike.
    None where one is no share of images, or nobody knows of how many.
    """
    one, two = interval(told, trial), interval(other_told, other)
    if one is None or two is None or trial.value is None or other.value is None:
        return None
    return abs(trial.value - other.value) < noise(trial.value, one.images, other.value, two.images)


def _is_share(trial: TrialRecord) -> bool:
    return trial.metric.name == DEFAULT_METRIC.name

"""An audit of early stopping: a random share of the trials that were given up runs to its end after the search.

So that how often it gave up what would have been among the best is measured, and not hoped. Audited trials are the
study's, and the best of them may be its best; what the strategy and the searcher decide by does not know their audit.
Pure. Not here: carrying it out (`decisions`, `StudyState`), how it is said (`cifarray.report.audit`).
"""

import math
import random
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from cifarray.study.stats import wilson
from cifarray.study.trial_record import Outcome, TrialRecord

DEFAULT_SHARE, LEAST = 0.05, 20
"""Unless somebody says otherwise: so much of what was given up, where it is so many trials."""
TOP = 0.25
"""Of the trials that the search completed: the share that counts as its best."""


@dataclass(frozen=True)
class Audit:
    """share: of the trials that are given up, 0..1. asked_for: whether the user named it; else there is none where
    fewer than LEAST are given up, nor of a search that had ended without one.

    Raises ValueError for a share that is none.
    """

    share: float = DEFAULT_SHARE
    asked_for: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise ValueError(f"audit {100 * self.share:g} is no percentage: choose from 0 (no audit) to 100")

    def count(self, given_up: int) -> int:
        """How many of those that are given up run to their end: at least one, where there is an audit."""
        return math.ceil(self.share * given_up - 1e-9) if given_up >= (1 if self.asked_for else LEAST) else 0

    def chosen(self, given_up: Collection[int], seed: int) -> tuple[int, ...]:
        """Numbers of trials, by chance alone: each has its own draw, whatever order they ended in."""
        drawn = sorted(given_up, key=lambda number: (random.Random(f"{seed}/{number}/audit").random(), number))
        return tuple(sorted(drawn[: self.count(len(drawn))]))


def given_up(trials: Iterable[TrialRecord]) -> list[int]:
    """Numbers of those that the strategy ended before their last epoch."""
    return [trial.number for trial in trials if trial.outcome is Outcome.STOPPED]


def as_given_up(trial: TrialRecord) -> TrialRecord:
    """An audited trial as it was before its audit."""
    assert trial.given_up_after is not None
    return replace(
        trial,
        epochs=trial.epochs[: trial.given_up_after],
        decisions=trial.decisions[: trial.given_up_after],
        outcome=Outcome.STOPPED,
        is_paused=False,
        is_out_of_time=False,
    )


@dataclass(frozen=True)
class Finding:
    """given_up: trials in all that the strategy gave up, `audited` of which have ended since, by chance alone.

    better: of those, the ones that are better than the best that the search completed; in_top: those that are in its
    best quarter. best: the best of the audited that ran to its end, None where none did. regret: by how much its score
    is above that of the search's best; 0 where it is not. rate: of trials given up that are better, with Wilson's 95 %
    interval.
    """

    given_up: int
    audited: int
    better: int
    in_top: int
    best: TrialRecord | None
    regret: float
    low: float
    high: float

    @property
    def rate(self) -> float:
        return self.better / self.audited


def finding(trials: Collection[TrialRecord]) -> Finding | None:
    """None where no audited trial has ended, or the search completed none to hold them against."""
    audited = [trial for trial in trials if trial.given_up_after is not None]
    ended = [trial for trial in audited if trial.outcome is not None]
    completed = [
        trial.score
        for trial in trials
        if trial.outcome is Outcome.COMPLETED and trial.given_up_after is None and trial.score is not None
    ]
    if not ended or not completed:
        return None
    completed.sort(reverse=True)
    threshold = completed[math.ceil(TOP * len(completed)) - 1]
    scored = {
        trial.number: (trial.score, trial)
        for trial in ended
        if trial.outcome is Outcome.COMPLETED and trial.score is not None
    }
    better = sum(score > completed[0] for score, _ in scored.values())
    best_score, best = max(scored.values(), key=lambda pair: (pair[0], -pair[1].number), default=(None, None))
    low, high = wilson(better / len(ended), len(ended))
    return Finding(
        given_up=len(given_up(trials)) + len(audited),
        audited=len(ended),
        better=better,
        in_top=sum(score >= threshold for score, _ in scored.values()),
        best=best,
        regret=max(0.0, best_score - completed[0]) if best_score is not None else 0.0,
        low=low,
        high=high,
    )

"""How a study's trials stand: their ranking, their scores after each epoch, whose checkpoints are superfluous.

All of it is kept up to date trial by trial and looked up at every answer, never found by going through all trials, so
that the ten thousandth trial costs what the first one did. Not here: what follows from it (`decisions`).
"""

from bisect import bisect_left, insort
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from cifarray.study.trial_record import Outcome, TrialRecord

RankKey = tuple[bool, float, float, int]
"""Sorts trials: those that ran to their last epoch, then the others by how far they came, then by value; its number."""


@dataclass
class Standings:
    """Of the trials that it was told of."""

    _ranked: list[RankKey] = field(default_factory=list)
    _keys: dict[int, RankKey] = field(default_factory=dict)
    _scores: dict[int, list[float]] = field(default_factory=dict)
    """By epoch, rising."""
    _holders: list[RankKey] = field(default_factory=list)
    """Ended trials that have checkpoints, best first."""
    _with_older: set[int] = field(default_factory=set)
    """Trials that have more checkpoints than they may still need."""

    @property
    def has_scores(self) -> bool:
        """Whether anything was measured by which trials can be compared."""
        return bool(self._scores)

    def best_first(self) -> Iterator[int]:
        """The trials' numbers."""
        return (number for *_, number in self._ranked)

    def scores_after(self, epoch: int) -> Sequence[float]:
        """Of all trials that have done `epoch`, their scores after it, rising; higher is better."""
        return self._scores.get(epoch, ())

    def superfluous(self, keep: int) -> list[int]:
        """Trials with checkpoints that are not kept, where the best `keep` of the ended ones keep their newest."""
        return sorted(self._with_older | self.not_kept(keep))

    def not_kept(self, keep: int) -> set[int]:
        """Ended trials that keep no checkpoint. Where nothing is compared every one keeps its last."""
        return {number for *_, number in self._holders[keep:]} if self.has_scores else set()

    def update(self, trial: TrialRecord) -> None:
        """Take in what has become of a trial: an epoch more, an outcome, another checkpoint or one less."""
        before = self._keys.get(trial.number)
        if before is not None:
            _remove(self._ranked, before)
            _remove(self._holders, before)
        self._keys[trial.number] = key = _rank_key(trial)
        insort(self._ranked, key)
        if trial.outcome is not None and trial.checkpoints:
            insort(self._holders, key)
        if len(trial.checkpoints) > trial.checkpoints_needed:
            self._with_older.add(trial.number)
        else:
            self._with_older.discard(trial.number)

    def add_score(self, trial: TrialRecord) -> None:
        """Of the epoch that the trial has just done; nothing where none was measured."""
        if trial.score is not None:
            insort(self._scores.setdefault(trial.epoch, []), trial.score)


def _rank_key(trial: TrialRecord) -> RankKey:
    score = trial.score if trial.outcome is not Outcome.DIVERGED else None
    share = trial.epoch / trial.config["epochs"]
    worst = float("inf")
    return trial.outcome is not Outcome.COMPLETED, -share, worst if score is None else -score, trial.number


def _remove(ranked: list[RankKey], key: RankKey) -> None:
    """Take `key` out of a sorted list, if it is in it."""
    index = bisect_left(ranked, key)
    if index < len(ranked) and ranked[index] == key:
        del ranked[index]

"""ASHA as published, which pauses and promotes: every trial pauses at a rung, and the best of a rung go on.

Li et al., "A System for Massively Parallel Hyperparameter Tuning", arXiv:1810.05934, §3.2, algorithm 2: a free group
gets a trial that is among the best 1/η of the highest rung that has one, else a new trial. Nobody is given up early:
who is overtaken may be promoted when more have reached its rung. Two things are not in the paper, which has no last
trial: where all have been begun and nothing runs, each rung promotes one at least; what is paused then is over.
"""

from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar

from cifarray.study.schedulers.asha import Asha, ordinal
from cifarray.study.schedulers.scheduler import Assignment, CountsTrials, StudyView, interrupted, paused, resumed
from cifarray.study.trial_record import Decision, TrialRecord


@dataclass(frozen=True)
class Promote(CountsTrials):
    """Successive halving on `epoch` with pauses.

    reduction_factor: η, one of η trials is promoted from a rung.
    grace_epochs: the first rung.
    """

    name: ClassVar[str] = "promote"
    compares: ClassVar[bool] = True
    chooses: ClassVar[bool] = False
    reduction_factor: int = 3
    grace_epochs: int = 1

    def __post_init__(self) -> None:
        # The same rules as without pauses.
        self._asha()

    def rungs(self, epochs: int) -> tuple[int, ...]:
        """Epochs after which a trial of `epochs` epochs pauses: grace · η^k, below `epochs`."""
        return self._asha().rungs(epochs)

    def after_epoch(self, study: StudyView, trial: TrialRecord) -> tuple[Decision, str]:
        if trial.epoch not in self.rungs(trial.config["epochs"]):
            return Decision.CONTINUE, ""
        return Decision.PAUSE, place_at_rung(study, trial)

    def next(self, study: StudyView, running: Collection[int]) -> Assignment | None:
        return interrupted(study, running) or self._next(study, running)

    def _next(self, study: StudyView, running: Collection[int]) -> Assignment | None:
        begun = len(study.trials) >= study.budget
        chosen = promotable(study, running, self.reduction_factor, at_least_one=begun and not running)
        if chosen is not None:
            return chosen
        return None if begun else Assignment(len(study.trials))

    def soonest_end(self, epoch: int, epochs: int) -> int:
        return self._asha().soonest_end(epoch, epochs)

    def describe(self, epochs: int) -> str:
        return f"ASHA that pauses and promotes, rungs after epochs {self.rungs(epochs)}"

    def settings(self) -> dict[str, Any]:
        return {"name": self.name, **asdict(self)}

    def _asha(self) -> Asha:
        return Asha(self.reduction_factor, self.grace_epochs)


Rungs = Callable[[int], tuple[int, ...]]
"""Of a trial of so many epochs: those after which it pauses, rising."""


def promotable(
    study: StudyView, running: Collection[int], factor: int, at_least_one: bool = False
) -> Assignment | None:
    """The best paused trial that is among the best 1/`factor` of all that have reached its rung, of the highest rung
    that has one; None if no rung has. Of equal trials the one of the lowest number is the better.

    at_least_one: where there are fewer than `factor` at a rung, one is still promoted.
    """
    at_rung: dict[int, list[TrialRecord]] = {}
    for trial in paused(study, running):
        at_rung.setdefault(trial.epoch, []).append(trial)
    for rung in sorted(at_rung, reverse=True):
        reached = sorted(_places(study.trials.values(), rung))
        passing = max(len(reached) // factor, int(at_least_one))
        best = {number: place for place, (_, number) in enumerate(reached[:passing], start=1)}
        candidates = [trial for trial in at_rung[rung] if trial.number in best]
        if candidates:
            chosen = min(candidates, key=lambda trial: best[trial.number])
            reason = f"{ordinal(best[chosen.number])} of {len(reached)} after epoch {rung}"
            return replace(resumed(chosen), reason=reason)
    return None


def place_at_rung(study: StudyView, trial: TrialRecord) -> str:
    """`3rd of 9 after epoch 2`, of those that have reached it so far."""
    assert trial.score is not None, "a study that compares trials holds images out"
    others = study.scores_after(trial.epoch)
    better = len(others) - bisect_right(others, trial.score)
    return f"{ordinal(better + 1)} of {len(others) + 1} after epoch {trial.epoch}"


def _places(trials: Iterable[TrialRecord], rung: int) -> list[tuple[float, int]]:
    """Of all that have done the epoch `rung`; the smallest is the best."""
    return [(-trial.score_after(rung), trial.number) for trial in trials if trial.epoch >= rung]

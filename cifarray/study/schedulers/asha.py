"""ASHA, the variant that stops: whether a trial that reaches a rung goes on.

Li et al., "A System for Massively Parallel Hyperparameter Tuning", arXiv:1810.05934, §3.2, in the stopping form that
needs no pause: at each rung a trial goes on if it is among the best 1/η of all that have reached the rung so far.
"""

from bisect import bisect_right
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from cifarray.study.schedulers.scheduler import Assignment, CountsTrials, StudyView, first_come
from cifarray.study.trial_record import Decision, TrialRecord


@dataclass(frozen=True)
class Asha(CountsTrials):
    """Successive halving on `epoch`.

    reduction_factor: η, one of η trials goes on from a rung.
    grace_epochs: no trial is stopped before it has done so many epochs; the first rung.
    """

    name: ClassVar[str] = "asha"
    compares: ClassVar[bool] = True
    chooses: ClassVar[bool] = False
    reduction_factor: int = 3
    grace_epochs: int = 1

    def __post_init__(self) -> None:
        if self.reduction_factor < 2:
            raise ValueError(f"reduction_factor {self.reduction_factor} stops nobody: choose 2 or more")
        if self.grace_epochs < 1:
            raise ValueError(f"grace_epochs {self.grace_epochs} is not possible: choose 1 or more")

    def rungs(self, epochs: int) -> tuple[int, ...]:
        """Epochs after which a trial of `epochs` epochs may be stopped: grace · η^k, below `epochs`."""
        rungs = []
        rung = self.grace_epochs
        while rung < epochs:
            rungs.append(rung)
            rung *= self.reduction_factor
        return tuple(rungs)

    def after_epoch(self, study: StudyView, trial: TrialRecord) -> tuple[Decision, str]:
        if trial.epoch not in self.rungs(trial.config["epochs"]):
            return Decision.CONTINUE, ""
        assert trial.score is not None, "a study that compares trials holds images out"
        place, reached, passing = self.place(trial.score, study.scores_after(trial.epoch))
        go_on = "1 goes on" if passing == 1 else f"{passing} go on"
        reason = f"{ordinal(place)} of {reached} after epoch {trial.epoch}, {go_on}"
        return (Decision.CONTINUE if place <= passing else Decision.STOP), reason

    def place(self, score: float, others: Sequence[float]) -> tuple[int, int, int]:
        """The place of `score` (from 1, shared by ties) at a rung that trials with the scores `others` (rising) have
        reached before, how many have reached it now, and how many of them go on.

        That is the best max(1, n // η) of all n; so the first to arrive always does.
        """
        reached = len(others) + 1
        return len(others) - bisect_right(others, score) + 1, reached, max(1, reached // self.reduction_factor)

    def next(self, study: StudyView, running: Collection[int]) -> Assignment | None:
        return first_come(study, running)

    def soonest_end(self, epoch: int, epochs: int) -> int:
        return next((rung for rung in self.rungs(epochs) if rung > epoch), epochs)

    def describe(self, epochs: int) -> str:
        return f"ASHA, rungs after epochs {self.rungs(epochs)}"

    def settings(self) -> dict[str, Any]:
        return {"name": self.name, **asdict(self)}


def ordinal(number: int) -> str:
    """1st, 2nd, 3rd, 4th, 11th, 21st."""
    last = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{last}"

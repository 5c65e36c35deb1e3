"""No early stopping: every trial runs to its last epoch."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import ClassVar

from cifarray.study.schedulers.scheduler import Assignment, CountsTrials, StudyView, first_come
from cifarray.study.trial_record import Decision, TrialRecord


@dataclass(frozen=True)
class RunAll(CountsTrials):
    """A study's scheduler if it has no other."""

    name: ClassVar[str] = "none"
    compares: ClassVar[bool] = False
    chooses: ClassVar[bool] = False

    def rungs(self, epochs: int) -> tuple[int, ...]:
        return ()

    def after_epoch(self, study: StudyView, trial: TrialRecord) -> tuple[Decision, str]:
        return Decision.CONTINUE, ""

    def next(self, study: StudyView, running: Collection[int]) -> Assignment | None:
        return first_come(study, running)

    def soonest_end(self, epoch: int, epochs: int) -> int:
        return epochs

    def describe(self, epochs: int) -> str:
        return "none"

    def settings(self) -> None:
        return None

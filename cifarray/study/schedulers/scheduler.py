"""What a scheduler is: pure functions of what is known of a study.

Not here: the schedulers (a file each), what is tried next (`cifarray.study.samplers`).
"""

from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from cifarray.space.space import SearchSpace
from cifarray.study.trial_record import Decision, Metric, TrialRecord

Params = dict[str, Any]
T = TypeVar("T")


@dataclass(frozen=True)
class Assignment:
    """What a free worker group gets: a trial, and the epoch and checkpoint after which it goes on.

    A number that no trial has yet is that of a new one.
    """

    number: int
    epoch: int = 0
    checkpoint: str | None = None
    attempt: int = 1
    restarts: int = 0
    deaths: int = 0
    """Of its worker processes, since that checkpoint."""
    precision: str = ""
    """The number format of its epochs so far; empty where there are none."""
    rungs: tuple[int, ...] = ()
    """Epochs after which it may be told to stop or to pause; the driver fills them in (`Scheduler.rungs`)."""
    params: Mapping[str, Any] | None = field(default=None, hash=False)
    """Of a new trial, where the scheduler chooses them; None: the searcher does."""
    reason: str = ""
    """Why this one, where there was something to choose from."""


class StudyView(Protocol):
    """What a scheduler may know of a study (`cifarray.study.state.StudyState`)."""

    @property
    def trials(self) -> Mapping[int, TrialRecord]: ...
    @property
    def unfinished(self) -> Mapping[int, TrialRecord]:
        """Trials without an outcome, by number."""

    @property
    def earlier(self) -> Mapping[int, TrialRecord]:
        """Finished trials of other studies, by numbers below 0, of which it may learn."""

    @property
    def metric(self) -> Metric: ...
    @property
    def seed(self) -> int: ...
    @property
    def space(self) -> SearchSpace: ...
    @property
    def budget(self) -> int:
        """Trials in all."""

    @property
    def macs_done(self) -> int:
        """Multiply-adds for one image, summed over all epochs of all trials, each once."""

    @property
    def timeline(self) -> Sequence[tuple[int, int]]:
        """(trial, epoch) of every epoch in the order in which they ended; epoch 0 where a trial gave nothing."""

    @property
    def macs_of(self) -> Callable[[dict[str, Any]], int] | None:
        """Multiply-adds of a point's network, as far as that is known."""

    def is_new(self, params: Params) -> bool:
        """Whether a point is within the space's limits and no trial has it."""

    def is_allowed(self, params: Params) -> bool:
        """Whether a point is within the space's limits."""

    def once(self, key: Hashable, make: Callable[[], T], version: int = 0) -> T:
        """What `make` returns, which is a pure function of the study's journal, `key` and `version`: made once, and
        again for another version."""

    def scores_after(self, epoch: int) -> Sequence[float]:
        """Of all trials that have done `epoch`, their scores after it, rising; higher is better."""


class Scheduler(Protocol):
    """Decides who goes on. Its settings are its fields."""

    @property
    def name(self) -> str:
        """The name that the journal keeps."""

    @property
    def compares(self) -> bool:
        """Whether it needs a metric after every epoch."""

    @property
    def chooses(self) -> bool:
        """Whether it chooses the points of new trials, in place of a searcher."""

    def rungs(self, epochs: int) -> tuple[int, ...]:
        """Epochs after which a trial of `epochs` epochs may be told to stop or to pause, rising, the last one aside.

        After any other it goes on, so that its workers need not wait for that to be said.
        """

    def after_epoch(self, study: StudyView, trial: TrialRecord) -> tuple[Decision, str]:
        """What follows the epoch that `trial` has done last, and why, in words (empty if there was nothing to decide).

        `study` does not know that epoch yet. Not asked after a trial's last epoch.
        """

    def next(self, study: StudyView, running: Collection[int]) -> Assignment | None:
        """What a free group does; None if there is nothing to start now. running: numbers of the trials that run."""

    def is_spent(self, study: StudyView, running: Collection[int]) -> bool:
        """Whether nothing is begun or gone on with any more, however many trials there may still be.

        running: as for `next`; what they will do before they pause counts.
        """

    def share_spent(self, study: StudyView, running: Collection[int]) -> float | None:
        """How much of what the study may do is done, from 0 to 1 or a little more; None where only trials are counted.

        running: as for `is_spent`.
        """

    def epochs_at_most(self, trials: int, epochs: int) -> int | None:
        """How many epochs a study of `trials` trials of `epochs` epochs may do in all, of networks of average size;
        None where only trials are counted."""

    def soonest_end(self, epoch: int, epochs: int) -> int:
        """After which epoch a trial of `epochs` epochs that has done `epoch` of them may be over, at the earliest."""

    def describe(self, epochs: int) -> str:
        """For the user: its name and what it does to trials of `epochs` epochs."""

    def settings(self) -> dict[str, Any] | None:
        """`name` and fields, as the study's journal keeps them; None where there is nothing to tell."""


class CountsTrials:
    """A scheduler of which a study asks for so many trials, and for no amount of work."""

    def is_spent(self, study: StudyView, running: Collection[int]) -> bool:
        return False

    def share_spent(self, study: StudyView, running: Collection[int]) -> float | None:
        return None

    def epochs_at_most(self, trials: int, epochs: int) -> int | None:
        return None


def first_come(study: StudyView, running: Collection[int]) -> Assignment | None:
    """The first trial that is unfinished and does not run, else a new one while the budget lasts."""
    return interrupted(study, running) or (Assignment(len(study.trials)) if len(study.trials) < study.budget else None)


def interrupted(study: StudyView, running: Collection[int]) -> Assignment | None:
    """The first trial that was begun, was not told to pause (but for want of time), and does not run."""
    waiting = [
        number
        for number, trial in study.unfinished.items()
        if number not in running and (not trial.is_paused or trial.is_out_of_time)
    ]
    return resumed(study.trials[min(waiting)]) if waiting else None


def paused(study: StudyView, running: Collection[int]) -> list[TrialRecord]:
    """By number; a trial that was told to pause runs until it has left its group."""
    waiting = (trial for number, trial in study.unfinished.items() if trial.is_paused and number not in running)
    return sorted(waiting, key=lambda trial: trial.number)


def resumed(trial: TrialRecord) -> Assignment:
    """Where a trial goes on: after its newest checkpoint, or from the start."""
    epoch, address = trial.checkpoint or (0, None)
    return Assignment(trial.number, epoch, address, trial.attempts + 1, trial.restarts, trial.deaths, trial.precision)

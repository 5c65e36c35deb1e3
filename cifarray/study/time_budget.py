"""How long a study may take: worker-hours in trials, what is spent of them, what those that run are still to spend.

Pure: the seconds are those of the journal's events. Not here: what follows when the budget is reached
(`StudyState.next`, `decisions.after_epoch`), what a user types (`cifarray.cli.budget`).
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from math import ceil, inf
from typing import Protocol

from cifarray.study.events import DriverStarted, EpochEnded, Event, TrialEnded, TrialStarted, WorkersRestarted
from cifarray.study.schedulers import Scheduler, StudyView
from cifarray.study.trial_record import Decision, TrialRecord

UNLIMITED = 10**9
"""Trials of a study that ends with its budget alone."""


@dataclass(frozen=True)
class TimeBudget:
    """seconds: of workers, in trials. workers: of each worker group. Raises ValueError where there is nothing to
    spend."""

    seconds: float
    workers: int = 1

    def __post_init__(self) -> None:
        if not 0 < self.seconds < inf:
            raise ValueError(f"budget {self.seconds:g} s is not possible: choose more than 0, 4h for example")

    @property
    def of_groups(self) -> float:
        """Seconds of worker groups."""
        return self.seconds / self.workers


@dataclass
class Spent:
    """Seconds of worker groups in trials, whatever came of them: from a trial's start in a group until it leaves.

    Each event adds what went by since the trial's last one. So what a killed driver's trials did after their last
    event is not counted, nor is the time in which a group starts or has no trial.
    """

    seconds: float = 0.0
    _since: dict[int, float] = field(default_factory=dict)
    """When the trials that are in a group were last heard of."""

    def take(self, event: Event) -> None:
        match event:
            case DriverStarted():
                self._since.clear()
            case TrialStarted():
                self._since[event.trial] = event.time
            case EpochEnded():
                # A clock may have been set back meanwhile.
                least = float(event.metrics.get("epoch_seconds", 0.0))
                self._add(event.trial, event.time, least, leaves=event.decision is not Decision.CONTINUE)
            case TrialEnded():
                self._add(event.trial, event.time, leaves=True)
            case WorkersRestarted():
                self._add(event.trial, event.time)

    def _add(self, trial: int, time: float, least: float = 0.0, leaves: bool = False) -> None:
        since = self._since.pop(trial, None)
        self.seconds += max(least, 0.0 if since is None else time - since)
        if since is not None and not leaves:
            self._since[trial] = time


class TimedStudy(StudyView, Protocol):
    """What a budget has to know of a study (`cifarray.study.state.StudyState`)."""

    @property
    def scheduler(self) -> Scheduler: ...
    @property
    def time_budget(self) -> TimeBudget | None: ...
    @property
    def spent(self) -> Spent: ...


def is_reached(study: TimedStudy, running: Collection[int]) -> bool:
    """Whether nothing is to be begun: what is spent, and what those that run still need, is all that there is."""
    budget = study.time_budget
    return budget is not None and study.spent.seconds + committed(study, running) >= budget.of_groups


def committed(study: TimedStudy, running: Collection[int]) -> float:
    """Seconds of worker groups that the trials that run are expected to need until their next rung, or their end."""
    return sum(_to_next_rung(study, study.trials[number]) for number in running)


def _to_next_rung(study: TimedStudy, trial: TrialRecord) -> float:
    epochs = trial.config["epochs"]
    if trial.epoch >= epochs or trial.outcome is not None or trial.is_paused:
        return 0.0
    rest = study.scheduler.soonest_end(trial.epoch, epochs) - trial.epoch
    if trial.epoch and trial.seconds:
        return rest * trial.seconds / trial.epoch
    # As long as the others for its size; nothing where no epoch has ended yet.
    return rest * study.spent.seconds * trial.macs / study.macs_done if study.macs_done else 0.0


def why_it_pauses(study: TimedStudy, trial: TrialRecord, running: Collection[int]) -> str:
    """Why `trial`, with an epoch that `study` does not know yet, is not to go on; empty if it is.

    Within a rung it goes on as long as there is time; a rung is begun only where those that run leave time for it.
    running: numbers of the trials that run, that one may be among them.
    """
    budget = study.time_budget
    if budget is None:
        return ""
    seconds = study.spent.seconds + float(trial.epochs[-1].get("epoch_seconds", 0.0))
    if seconds >= budget.of_groups:
        return f"the budget of {say(budget.seconds)} is spent"
    is_rung = study.scheduler.soonest_end(trial.epoch - 1, trial.config["epochs"]) == trial.epoch
    others = [number for number in running if number != trial.number]
    if is_rung and seconds + committed(study, others) >= budget.of_groups:
        return f"what is left of the budget of {say(budget.seconds)} is for the trials that run"
    return ""


_UNITS = ((120.0, 1.0, "s", "s", "seconds"), (7200.0, 60.0, "m", "min", "minutes"), (inf, 3600.0, "h", "h", "hours"))
"""Below how many seconds a time is said in a unit of so many seconds; the unit as it is typed, said, written out."""


def say(seconds: float) -> str:
    """14400 as `4 h`, 5400 as `90 min`."""
    unit, _, name, _ = _unit(seconds)
    return f"{_digits(seconds / unit, 3)} {name}"


def in_unit_of(whole: float, seconds: float) -> str:
    """`seconds` as a number in the unit in which `say` says `whole`."""
    return _digits(seconds / _unit(whole)[0], 3)


def typed(seconds: float) -> str:
    """14400 as `4h`, as a flag takes it; never less than it is."""
    unit, letter, _, _ = _unit(seconds)
    amount = seconds / unit
    return f"{ceil(amount) if amount >= 10 else ceil(amount * 100) / 100:g}{letter}"


def worker_time(seconds: float) -> str:
    """14472 as `4.02 worker-hours`."""
    unit, _, _, name = _unit(seconds)
    return f"{_digits(seconds / unit, 3)} worker-{name}"


def worker_times(low: float, high: float) -> str:
    """As `worker_time`, roughly: `14 to 19 worker-hours`."""
    unit, _, _, name = _unit(high)
    return f"{span(low / unit, high / unit)} worker-{name}"


def span(low: float, high: float) -> str:
    """`14 to 19`, or one number where they are the same in two digits."""
    few, many = _digits(low, 2), _digits(high, 2)
    return few if few == many else f"{few} to {many}"


def _digits(value: float, count: int) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.{count}g}"


def _unit(seconds: float) -> tuple[float, str, str, str]:
    return next(row[1:] for row in _UNITS if seconds < row[0])

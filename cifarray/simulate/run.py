"""One search on the virtual clock, from its first trial to its end: the driver of real studies, asked as Tune asks it.

Not here: what trials do (`study`), what groups do (`machines`).
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from cifarray.engine.driver import EventLog
from cifarray.engine.orders import Answer
from cifarray.simulate.machines import Cluster, Due, Machines
from cifarray.simulate.study import SimulatedDriver
from cifarray.study.events import Event
from cifarray.study.faults import Fault
from cifarray.study.trial_record import Decision


@dataclass(frozen=True)
class Seen:
    """An epoch: of which trial, at which second it ended, with which value, and whether it was the trial's last."""

    at: float
    trial: int
    value: float
    is_last: bool


@dataclass
class Simulated:
    """What came of a search: every epoch in the order in which they ended, each once; seconds in all, of the clock and
    of all groups together while they trained; groups that broke."""

    seen: list[Seen] = field(default_factory=list)
    seconds: float = 0.0
    busy_seconds: float = 0.0
    faults: int = 0


class NoJournal:
    """Where nothing is to be kept. clock: the second that it is."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock

    def append(self, events: Iterable[Event]) -> Sequence[Event]:
        return [replace(event, time=self._clock()) for event in events]

    def when_kept(self, action: Any) -> None: ...


def simulate(study: Any, cluster: Cluster, seconds: float | None = None, journal: EventLog | None = None) -> Simulated:
    """Until the study is over, or the clock has reached so many seconds. study: a `SimulatedStudy` that has begun."""
    machines = Machines(cluster, lambda trial: study.curve_of(study.trials[trial].params).seconds, study.seed)
    driver = SimulatedDriver(
        study,
        journal or NoJournal(lambda: machines.now),
        machines,
        "/study",
        size_of=lambda config: NO_SIZE,
        delete=lambda address: None,
    )
    told = Simulated()
    while not driver.is_over():
        while machines.free and driver.next_trial() is not None:
            pass
        if not machines.due and machines.free and driver.next_trial() is not None:
            # What was paused had ended, after which there is an audit.
            continue
        if not machines.due or (seconds is not None and machines.due[0].at > seconds):
            break
        _follow(machines.advance(), driver, machines, study, told)
    told.seconds, told.busy_seconds, told.faults = machines.now, machines.busy_seconds, machines.faults
    return told


class _Size:
    """Asked of no trial: a simulated one brings its own."""

    num_params, macs = 0, 0


NO_SIZE = _Size()


def _follow(due: Due, driver: SimulatedDriver, machines: Machines, study: Any, told: Simulated) -> None:
    if due.kind == "ready":
        machines.make_ready(due.group)
        return
    trial = study.trials[due.trial]
    if due.kind == "fault":
        driver.end(
            due.trial,
            Answer(due.trial, trial.epoch, fault=Fault.NODE_DIED, message="a simulated fault", group_broken=True),
        )
        return
    curve = study.curve_of(trial.params)
    value = curve.values[due.epoch - 1]
    if due.epoch > trial.epoch:
        told.seen.append(Seen(machines.now, due.trial, value, due.epoch == study.epochs))
    seconds = curve.seconds * machines.leased[due.group].pace
    metrics = {"epoch": due.epoch, "val_accuracy": value, "epoch_seconds": seconds}
    answer = Answer(due.trial, due.epoch, metrics, f"/study/{due.trial}/{due.epoch}")
    if driver.take(answer) is Decision.CONTINUE:
        machines.order_epoch(due.group, due.trial, due.epoch + 1)
    else:
        driver.end(due.trial, answer)

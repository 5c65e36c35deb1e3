"""A study as its journal tells it, as far as a report needs it: its state, and when what happened in which group.

Read as a stream, and of epochs that are not a trial's last only the study's metric is kept, so that a million epochs
need no gigabyte. Not here: what is said of it (a file for each part of the page).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cifarray import places
from cifarray.journal.addresses import Addresses
from cifarray.journal.journal import FILE_NAME, events_in
from cifarray.study.events import (
    AuditStarted,
    CheckpointDropped,
    CheckpointLost,
    DriverEnded,
    DriverStarted,
    EpochEnded,
    Event,
    GroupChanged,
    LesionStudied,
    MicroBatchHalved,
    StudyReported,
    StudyStarted,
    TestOpened,
    TrialEnded,
    TrialReopened,
    TrialStarted,
    WorkersRestarted,
)
from cifarray.study.faults import Fault, last_line
from cifarray.study.state import StudyState
from cifarray.study.time_budget import TimeBudget
from cifarray.study.trial_record import Decision


@dataclass
class Stay:
    """A trial in a worker group, from `began` to `ended`, seconds since 1970."""

    trial: int
    group: str
    began: float
    ended: float


@dataclass
class Presence:
    """A worker group, from the first request for it to its end; `ready` is None where it never was."""

    group: str
    began: float
    ready: float | None = None
    ended: float | None = None
    replaced: bool = False
    """Whether it broke."""
    why: str = ""
    """It ended."""


@dataclass(frozen=True)
class Mark:
    """Something that befell a trial after `epoch`."""

    time: float
    trial: int
    epoch: int
    kind: str
    """restarted, lost its node, checkpoint lost, smaller micro-batches, tried again, audited."""
    reason: str = ""


@dataclass
class Driver:
    """One start of the study; `reason` is empty where it was killed or still runs."""

    began: float
    ended: float
    reason: str = ""
    message: str = ""
    versions: dict[str, str] = field(default_factory=dict)


@dataclass
class Told:
    """What a journal tells.

    validation_images: how many images the study's metric was measured on; None where nobody knows.
    """

    started: StudyStarted
    state: StudyState
    folder: Path
    drivers: list[Driver] = field(default_factory=list)
    stays: list[Stay] = field(default_factory=list)
    groups: list[Presence] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    openings: int = 0
    """Of the test split, by any trial."""
    validation_images: int | None = None

    @property
    def name(self) -> str:
        """That of its folder: a study may have been moved or set aside."""
        return self.folder.name

    @property
    def began(self) -> float:
        return self.started.time

    @property
    def ended(self) -> float:
        """The last thing that a driver is known to have done."""
        return self.drivers[-1].ended if self.drivers else self.started.time

    @property
    def worker_hours(self) -> float:
        """Of all trials together."""
        return self.state.spent.seconds * self.started.workers / 3600

    @property
    def groups_hours(self) -> float:
        """Worker-hours in which worker groups were ready, with a trial or without."""
        seconds = sum(max(0.0, self.end_of(group) - group.ready) for group in self.groups if group.ready is not None)
        return seconds * self.started.workers / 3600

    def end_of(self, group: Presence) -> float:
        """When it ended, or when the journal was last written to."""
        return self.ended if group.ended is None else group.ended

    @property
    def storage(self) -> str:
        """Where the study is now, as --storage takes it."""
        address = places.address(self.folder)
        return str(self.folder.parent) if address is None else address.rpartition("/")[0]


def read(folder: Path) -> Told:
    """Of the study in `folder`. Raises what `events_in` does, and ValueError if it does not begin with a study."""
    told = tell(events_in(folder / FILE_NAME), folder)
    addresses = Addresses(folder)
    for trial in told.state.trials.values():
        trial.checkpoints = {epoch: addresses.checkpoint(address) for epoch, address in trial.checkpoints.items()}
    return told


def tell(events: Iterable[Event], folder: Path) -> Told:
    """As `read`, of events that are at hand. Raises ValueError if the first is not the study's."""
    events = iter(events)
    first = next(events, None)
    heads: Sequence[Event] = [] if first is None else [first]
    state = StudyState.from_events(heads)
    assert isinstance(first, StudyStarted), "as from_events says"
    told = Told(first, state, folder)
    fold = _Fold(told)
    for event in events:
        if isinstance(event, CheckpointDropped):
            # The rest of what the state makes of it is whose checkpoint goes next, which no page asks for.
            state.trials[event.trial].checkpoints.pop(event.epoch, None)
            continue
        state.apply(event)
        fold.take(event)
    # Older journals do not say with how many more a study went on.
    state.num_trials = max(state.num_trials, len(state.trials))
    return told


class _Fold:
    """What the study's state does not keep: times, groups, and what befell trials."""

    def __init__(self, told: Told) -> None:
        self._told = told
        self._staying: dict[int, Stay] = {}
        self._present: dict[str, Presence] = {}

    def take(self, event: Event) -> None:
        """After the state has taken it."""
        told = self._told
        match event:
            case EpochEnded():
                self._slim(event.trial)
                if event.trial in self._staying:
                    self._staying[event.trial].ended = event.time
                if event.decision is Decision.PAUSE:
                    self._leave(event.trial)
            case TestOpened():
                told.openings += 1
            case DriverStarted():
                self._end_all()
                told.state.num_trials = event.num_trials or told.state.num_trials
                seconds = event.budget_seconds
                told.state.time_budget = TimeBudget(seconds, told.started.workers) if seconds else None
                told.drivers.append(Driver(event.time, event.time, versions=dict(event.versions)))
            case DriverEnded():
                self._end_all(event.time)
                if told.drivers:
                    told.drivers[-1].reason, told.drivers[-1].message = event.reason, event.message
            case GroupChanged():
                self._change(event)
            case TrialStarted():
                self._leave(event.trial)
                stay = Stay(event.trial, event.group, event.time, event.time)
                self._staying[event.trial] = stay
                told.stays.append(stay)
            case TrialEnded():
                self._leave(event.trial, event.time)
            case WorkersRestarted():
                kind = "lost its node" if event.fault == Fault.NODE_DIED else "restarted"
                self._mark(event, event.trial, event.epoch, kind, event.reason)
            case CheckpointLost():
                self._mark(event, event.trial, event.epoch, "checkpoint lost", event.message)
            case MicroBatchHalved():
                self._mark(event, event.trial, event.epoch, "smaller micro-batches", f"{event.accumulate} of a batch")
            case AuditStarted():
                for number in event.trials:
                    self._mark(event, number, told.state.trials[number].epoch, "audited", "given up, by the strategy")
            case TrialReopened():
                self._mark(event, event.trial, told.state.trials[event.trial].epoch, "tried again")
        if told.drivers and not isinstance(event, TestOpened | LesionStudied | StudyReported):
            told.drivers[-1].ended = max(told.drivers[-1].ended, event.time)

    def _slim(self, number: int) -> None:
        """Of the epoch before the one that has just ended the study's metric is enough."""
        trial = self._told.state.trials[number]
        if len(trial.epochs) > 1:
            name = trial.metric.name
            before = trial.epochs[-2]
            trial.epochs[-2] = {name: before[name]} if name in before else {}

    def _mark(self, event: Event, trial: int, epoch: int, kind: str, reason: str = "") -> None:
        self._told.marks.append(Mark(event.time, trial, epoch, kind, last_line(reason)))

    def _leave(self, trial: int, when: float | None = None) -> None:
        stay = self._staying.pop(trial, None)
        if stay is not None and when is not None:
            stay.ended = max(stay.ended, when)

    def _change(self, event: GroupChanged) -> None:
        if event.event == "started" or event.group not in self._present:
            self._present[event.group] = Presence(event.group, event.time)
            self._told.groups.append(self._present[event.group])
        presence = self._present[event.group]
        if event.event == "ready":
            presence.ready = event.time
        elif event.event in ("replaced", "closed"):
            presence.ended, presence.why = event.time, last_line(event.reason)
            presence.replaced = event.event == "replaced"
            del self._present[event.group]

    def _end_all(self, when: float | None = None) -> None:
        """A driver has ended; one that was killed has ended with the last event that it wrote."""
        drivers = self._told.drivers
        when = when or (drivers[-1].ended if drivers else self._told.started.time)
        for presence in self._present.values():
            presence.ended = when
        self._present.clear()
        self._staying.clear()

"""The driver's moving part: takes decisions from `StudyState`, writes them to the journal, and carries them out.

Here: the one place where state, journal and pool meet. It knows them as protocols, so that it runs on Ray and on a
virtual clock alike. Not here: the decisions (`cifarray.study`), how Tune asks and tells (`tune_adapters`), setting all
of it up (`run`).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol, TypeVar

from cifarray import storage
from cifarray.engine.orders import Answer
from cifarray.errors import PausedError
from cifarray.redaction import redact
from cifarray.study import decisions
from cifarray.study.events import Event, TrialSampled, TrialStarted
from cifarray.study.faults import Fault, Losses
from cifarray.study.schedulers import Assignment
from cifarray.study.state import StudyState
from cifarray.study.trial_record import Decision


class EventLog(Protocol):
    """The journal, as far as the driver needs it (`cifarray.journal.journal.Journal`)."""

    def append(self, events: Iterable[Event]) -> Sequence[Event]:
        """Returns the events as they are on disk, with their times."""

    def when_kept(self, action: Callable[[], object]) -> None:
        """Calls `action` once the events so far are safe: at once, or when the copy in a bucket has them."""


class LeasedGroup(Protocol):
    @property
    def name(self) -> str: ...


G = TypeVar("G", bound=LeasedGroup)


class Groups(Protocol[G]):
    """The pool, as far as the driver needs it (`cifarray.engine.pool.Pool`)."""

    @property
    def workers(self) -> int:
        """Of each group."""

    def tend(self) -> None:
        """From time to time, even when no trial waits for a group."""

    def acquire(self, remaining: int, wait: bool) -> G | None:
        """A group that is free, until a trial moves in, and warm; None if there is none now. `wait`: block until there
        is one."""

    def move_in(self, group: G, assignment: Assignment, config: Mapping[str, Any], folder: str) -> int:
        """Lease `group` to a trial. Returns the lease."""

    def give_back(self, name: str, lease: int, broken: str | None = None) -> None:
        """End a lease; a `broken` group (why) is not used again."""

    def is_alive(self, name: str) -> bool: ...

    def release(self, remaining: int) -> None:
        """Close the groups that are more than the `remaining` trials need."""


class Size(Protocol):
    @property
    def num_params(self) -> int: ...
    @property
    def macs(self) -> int: ...


@dataclass(frozen=True)
class Tenancy:
    """A trial that has moved into a group."""

    assignment: Assignment
    config: Mapping[str, Any]
    group: str
    lease: int


class StudyDriver:
    """Moves trials through the pool.

    checkpoints: the address below which each trial has its folder. size_of: of a train config's network. delete: takes
    a checkpoint's address away, soon.
    """

    def __init__(
        self,
        state: StudyState,
        journal: EventLog,
        pool: Groups[Any],
        checkpoints: str,
        size_of: Callable[[Mapping[str, Any]], Size],
        delete: Callable[[str], None],
    ) -> None:
        self.state, self.journal, self.pool = state, journal, pool
        self.checkpoints, self._size_of, self._delete = checkpoints, size_of, delete
        self.running: dict[int, Tenancy] = {}
        """By the trial's number."""
        self.pause = ""
        """Why the study is to end here until somebody has mended something; empty if it is not."""

    def record(self, events: Iterable[Event]) -> None:
        """To the journal first; what is on disk has happened."""
        self.state.replay(self.journal.append(events))

    def is_over(self) -> bool:
        """Whether nothing is left to do, or the budget of time is spent and nothing runs."""
        return self.state.is_over(self.running)

    def next_trial(self) -> Tenancy | None:
        """The trial to start now, already on its way; None if none can start. Raises PausedError."""
        if self.pause:
            raise PausedError(self.pause)
        self.pool.tend()
        if self.is_over():
            return None
        self.record(decisions.audit(self.state))
        # With nothing running, Tune would sleep a second before it asks again.
        group = self.pool.acquire(self.state.remaining(self.running), wait=not self.running)
        if group is None:
            # Nor is anything decided, which may take time, before there is a place for it.
            return None
        assignment = self.state.next(self.running.keys())
        if assignment is None:
            self._close_paused()
            return None
        number = assignment.number
        events: list[Event] = []
        if number not in self.state.trials:
            events.append(self._sampled(assignment))
            # Applied before it is written, with the start in one go: a view that hears of the start looks the trial up.
            # Where it cannot be written the study pauses, and this state is not gone on with.
            self.state.replay(events)
        started = TrialStarted(
            trial=number,
            attempt=assignment.attempt,
            group=group.name,
            epoch=assignment.epoch,
            reason=assignment.reason,
        )
        self.state.apply(self.journal.append([*events, started])[-1])
        config = self.state.trials[number].config
        folder = storage.join(self.checkpoints, f"trial-{number:04d}")
        assignment = replace(assignment, rungs=self.state.scheduler.rungs(config["epochs"]))
        lease = self.pool.move_in(group, assignment, config, folder)
        self.running[number] = Tenancy(assignment, config, group.name, lease)
        return self.running[number]

    def take(self, answer: Answer) -> Decision:
        """An answer of a trial: an epoch, or why it cannot go on where it is. Returns whether it goes on in this group.

        STOP after a fault only means that it leaves; whether it is tried again is in the events. So does what comes
        from a trial that was told to pause.
        """
        trial = self.state.trials[answer.trial]
        if trial.outcome is not None or trial.is_paused:
            return Decision.STOP
        restarts = decisions.after_restarts(self.state, answer.trial, answer.losses) if answer.losses else []
        if restarts:
            # By themselves: an epoch does not follow from them, and a fault may be the trial's own.
            self.record(restarts)
        decision = Decision.STOP
        if answer.fault is None:
            decision, events = decisions.after_epoch(
                self.state,
                answer.trial,
                answer.epoch,
                answer.metrics,
                answer.checkpoint,
                answer.precision,
                answer.remark,
                self.running,
            )
            self.record(events)
        else:
            self._take_fault(answer.trial, answer.fault, answer.message, answer.losses)
        self._drop_checkpoints()
        return decision

    def end(self, number: int, answer: Answer | None) -> None:
        """Tune has ended this run of a trial: take its last answer and give its group back.

        Tune shows the scheduler no result with `done=True`, so the last epoch and every fault are first taken here;
        after an early stop the trial has its outcome and nothing more is taken. Without an answer, the Tune actor died.
        """
        tenancy = self.running.pop(number)
        broken = None
        if answer is None:
            trial = self.state.trials[number]
            if trial.outcome is None and not trial.is_paused:
                self._take_fault(number, Fault.ACTOR_DIED, "its Tune actor died")
            if not self.pool.is_alive(tenancy.group):
                broken = "its host died"
        else:
            self.take(answer)
            if answer.group_broken:
                broken = answer.message
        self.pool.give_back(tenancy.group, tenancy.lease, broken)
        if not self.is_over():
            self.pool.release(self.state.groups_wanted(self.running))

    def _take_fault(self, number: int, fault: Fault, message: str, losses: Losses | None = None) -> None:
        # As the journal has it, with which the next one is compared.
        events, pause = decisions.after_fault(self.state, number, fault, redact(message), losses, self.pool.workers)
        self.record(events)
        self.pause = self.pause or pause

    def _close_paused(self) -> None:
        closings = decisions.closings(self.state, self.running.keys())
        if closings:
            self.record(closings)
            self._drop_checkpoints()

    def _sampled(self, assignment: Assignment) -> TrialSampled:
        number = assignment.number
        params = self.state.sample(number) if assignment.params is None else dict(assignment.params)
        config = self.state.space.config(params).to_dict()
        size = self._size_of(config)
        return TrialSampled(trial=number, params=params, config=config, num_params=size.num_params, macs=size.macs)

    def _drop_checkpoints(self) -> None:
        dropped = decisions.superfluous_checkpoints(self.state)
        if dropped:
            self.record(dropped)
            for event in dropped:
                # A journal that another head goes on from must not name a checkpoint that is gone.
                self.journal.when_kept(partial(self._delete, event.checkpoint))

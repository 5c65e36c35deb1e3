"""What a fault costs: every way in which a trial, its workers, their group or a node can fail, and what follows.

One pure function, so that the whole policy is one table (as the failure policy of Ray Train V2). Not here: how a fault
is noticed (`cifarray.engine`: `worker` for errors, `worker_group` for deaths and hangs of workers, `trial` for a group
that does not answer, `driver` for a dead Tune actor, `pool` for groups that cannot start).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from cifarray.study.trial_record import Outcome

MAX_DEATHS = 3
"""Deaths of a trial's worker processes without a new checkpoint in between that end it: it kills them itself."""
MAX_LOSSES = 3
"""Losses of any trials in a row, without a new epoch of any, at which the study pauses: no trial is to blame."""
MAX_DEAD_NODES = 10
"""The same for nodes that die or are taken back, of which a day on spot machines may bring many."""
MAX_ALIKE = 3
"""Trials that fail with the same error in their first epoch, one after the other, at which the study pauses if none
has completed: what they have in common is to blame."""
FAILURES_FILE = "failures.txt"
"""Beside the journal: each error once, with its traceback and the trials that it ended."""
MAX_FAILED_STARTS = 3
"""After so many failed starts on living nodes the study itself is to blame."""
REFUSED_SECONDS = 300.0
"""How long until another group is tried where one was refused or failed to start: somebody may have mended it."""


class Fault(StrEnum):
    """How a trial's stay in a worker group ended before its last epoch; the first three are the trial's own."""

    DIVERGED = "diverged"
    """The loss is not finite any more."""
    OUT_OF_MEMORY = "out_of_memory"
    RAISED = "failed"
    """The training raised an error, as a network's code may."""
    WORKERS_DIED = "workers_died"
    """A worker process is gone on a node that lives; Train starts all of the group's workers again."""
    NODE_DIED = "node_died"
    """A node is gone, or was taken back, and the workers on it; Train starts the group's workers again elsewhere."""
    RANK_LOST = "lost"
    """A collective broke, since another rank is gone; whether that one died shows elsewhere."""
    GROUP_DIED = "group_died"
    """The group's host actor does not answer any more, or its Train run has ended."""
    LEASE_ENDED = "lease_ended"
    """The driver gave the group to another trial while this one's actor still asked."""
    ACTOR_DIED = "actor_died"
    """Tune's actor of the trial is gone; its group may be well."""
    HUNG = "hung"
    """A worker makes no progress any more."""
    STORAGE = "storage"
    """What is outside of the training: a checkpoint cannot be written, the data or a file cannot be read any more."""
    CHECKPOINT = "checkpoint"
    """The checkpoint that it was to go on from is torn, gone, or not its own."""

    @property
    def is_of_the_trial(self) -> bool:
        """Whether the trial's config is to blame, and no machine."""
        return self in _OUTCOMES


_OUTCOMES = {
    Fault.DIVERGED: Outcome.DIVERGED,
    Fault.OUT_OF_MEMORY: Outcome.OUT_OF_MEMORY,
    Fault.RAISED: Outcome.FAILED,
}
_GRAVITY = (
    Fault.RANK_LOST,
    Fault.DIVERGED,
    Fault.RAISED,
    Fault.OUT_OF_MEMORY,
    Fault.STORAGE,
    Fault.CHECKPOINT,
)


def gravest(faults: Iterable[Fault]) -> Fault:
    """Of the faults that the ranks of one trial tell of, the one that explains the others."""
    return max(faults, key=_GRAVITY.index)


@dataclass(frozen=True)
class Losses:
    """How often a trial lost its workers, as far as its group knows.

    total: in all its stays. deaths: of worker processes since its last new checkpoint. fault, message: the last one.
    """

    total: int = 0
    deaths: int = 0
    fault: Fault | None = None
    message: str = ""


@dataclass(frozen=True)
class TrialFault:
    """A trial cannot go on where it is.

    restarts: how often it lost its workers before, in all its stays. deaths: how often processes of them died since its
    last new checkpoint. in_a_row: losses of any trials, of nodes or of all else as this one, since the last new epoch
    of any. alike: trials before this one that failed with the same error, in a row and in their first epoch, while none
    has completed. accumulate: the number of micro-batches to try next where it may be made to need less memory.
    """

    fault: Fault
    message: str
    restarts: int = 0
    deaths: int = 0
    in_a_row: int = 0
    alike: int = 0
    accumulate: int | None = None


@dataclass(frozen=True)
class StartFault:
    """A worker group cannot start.

    refused: a node lacks what the study needs of it. failed_starts: in a row, on nodes that still live, this one
    included. usable: groups that have started.
    """

    message: str
    refused: bool
    failed_starts: int
    usable: int


@dataclass(frozen=True)
class Retry:
    """A trial goes on from its newest checkpoint, or from the one before it (`older`), with `accumulate` micro-batches
    if that is said; a group is started again, `delay` seconds later."""

    restarts: int = 0
    accumulate: int | None = None
    older: bool = False
    delay: float = 0.0


@dataclass(frozen=True)
class End:
    """The trial is over; `pause`: and why the study ends with it, empty if it goes on."""

    outcome: Outcome
    message: str
    restarts: int = 0
    pause: str = ""


@dataclass(frozen=True)
class Pause:
    """The study ends here and can go on when the reason is gone."""

    reason: str
    restarts: int = 0


def decide(status: TrialFault | StartFault) -> Retry | End | Pause:
    """What follows a fault."""
    match status:
        case TrialFault(Fault.OUT_OF_MEMORY, accumulate=int(accumulate)):
            return Retry(status.restarts, accumulate)
        case TrialFault(Fault.RAISED, message, alike=alike) if alike + 1 >= MAX_ALIKE:
            why = (
                f"{alike + 1} trials in a row failed alike in their first epoch, and none has completed "
                f"({last_line(message)}): mend that, its traceback is in {FAILURES_FILE}, and give --retry-failed to "
                "run them again"
            )
            return End(Outcome.FAILED, message, status.restarts, why)
        case TrialFault(fault, message) if fault.is_of_the_trial:
            return End(_OUTCOMES[fault], message, status.restarts)
        case TrialFault(Fault.CHECKPOINT):
            return Retry(status.restarts, older=True)
        case TrialFault(fault, message):
            restarts, deaths, in_a_row = status.restarts + 1, status.deaths + 1, status.in_a_row + 1
            if fault is Fault.WORKERS_DIED and deaths >= MAX_DEATHS:
                why = f"its worker processes died {deaths} times without a checkpoint in between: {message}"
                return End(Outcome.FAILED, why, restarts)
            if in_a_row >= (MAX_DEAD_NODES if fault is Fault.NODE_DIED else MAX_LOSSES):
                return Pause(f"{last_line(message)} ({in_a_row} losses in a row without a new epoch)", restarts)
            return Retry(restarts)
        case StartFault(message, refused, failed_starts, usable):
            if not refused and failed_starts < MAX_FAILED_STARTS:
                return Retry()
            # A node that comes late ends nothing: the study goes on with the groups that it has.
            return Retry(delay=REFUSED_SECONDS) if usable else Pause(message)


def cause_of(message: str) -> str:
    """What is the same in the errors of several trials: of a traceback the kind of the error and where it was raised,
    since what it says may quote a trial's numbers; all of any other message."""
    lines = [line.strip() for line in message.strip().splitlines()]
    places = [line for line in lines if line.startswith('File "')]
    return f"{last_line(message).partition(':')[0]} at {places[-1]}" if places else message.strip()


def last_line(text: str) -> str:
    """Of a traceback, what it says."""
    return (text.strip().splitlines() or [""])[-1].strip()

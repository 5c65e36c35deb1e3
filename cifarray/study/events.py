"""What can happen in a study: one frozen dataclass a kind, each said by one writer, in the order of a study's life.

The journal keeps them (`cifarray.journal`), the state is folded from them (`state`), MLflow and the live view show
them. A decision is an event too, written before it takes effect. Not here: how an event is written in a file
(`cifarray.journal.events`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from cifarray.study.trial_record import Decision, Outcome


@dataclass(frozen=True, kw_only=True)
class Event:
    """`time`: seconds since 1970, given by the journal when it takes the event in."""

    kind: ClassVar[str]
    """How the kind is called in the journal's file."""
    time: float = 0.0


@dataclass(frozen=True, kw_only=True)
class StudyStarted(Event):
    """The first event, by the study's first driver: all that the study is. What differs is another study."""

    kind = "study"
    name: str
    id: str
    config: Mapping[str, Any]
    domains: Mapping[str, Any]
    scheduler: Mapping[str, Any] | None
    """Its `name` and settings."""
    searcher: str
    seed: int
    metric: str
    workers: int
    num_trials: int
    """Asked for at first; a later driver may be asked for more."""
    storage: str
    recipes: Mapping[str, Any] = field(default_factory=dict)
    max_params: int | None = None
    max_macs: int | None = None
    keep_checkpoints: int = 3
    num_classes: int | None = None
    """Of the data, by which networks are counted; None in journals that are older than this field."""
    data_sha256: str = ""
    """Of the training images and labels; empty in journals that are older than this field."""
    train_images: int = 0
    """That a trial is trained on, as the base config says; 0 in journals that are older than this field."""
    held_out_images: int = 0
    """That trials are compared by; 0 where there are none, and in older journals."""
    format: int = 1
    """Of the journal that begins here (`cifarray.journal.events.FORMAT`)."""

    def identity(self) -> dict[str, Any]:
        """As `Study.identity`: what must be the same for a study to go on."""
        limits = {"recipes": self.recipes or None, "max_params": self.max_params, "max_macs": self.max_macs}
        return {
            "config": self.config,
            "domains": self.domains,
            **{name: value for name, value in limits.items() if value is not None},
            "scheduler": self.scheduler,
            "searcher": self.searcher,
            "seed": self.seed,
            "metric": self.metric,
            "workers": self.workers,
        }


@dataclass(frozen=True, kw_only=True)
class EarlierTrials(Event):
    """By a driver, before it starts a trial: what it learns from finished trials of another study, on the same images;
    they are no trials of this one.

    study, id, data_sha256: that study's name, id and images. trials: each its number there (`trial`), its point in this
    study's space (`params`), how many `epochs` it was to have, this study's metric after each that it did (`values`),
    its `outcome`, `num_params` and `macs`. dropped: finished ones that are no points of the space, or not measured.
    """

    kind = "earlier"
    study: str
    id: str
    data_sha256: str
    trials: Sequence[Mapping[str, Any]]
    dropped: int = 0

    def __post_init__(self) -> None:
        # A journal gives lists back.
        object.__setattr__(self, "trials", tuple(self.trials))


@dataclass(frozen=True, kw_only=True)
class DriverStarted(Event):
    """A driver begins, the first one or one that goes on; whatever the one before ran is not running any more."""

    kind = "driver"
    pid: int
    versions: Mapping[str, str]
    num_trials: int = 0
    """That the study is to have now: it may go on with more; 0 in a journal that does not say."""
    budget_seconds: float | None = None
    """Of workers, that its trials may take now, in all; None: as long as they take."""
    command: str = ""
    """As it was typed, without secrets; empty in a journal that does not say."""
    node: str = ""
    """The name of its machine."""


@dataclass(frozen=True, kw_only=True)
class GroupChanged(Event):
    """By the pool: a worker group is started, ready for trials, replaced (it broke) or closed."""

    kind = "group"
    group: str
    event: Literal["started", "ready", "replaced", "closed"]
    reason: str = ""
    """ready: after how many seconds; else why."""
    nodes: tuple[str, ...] = ()
    """ready: names of the machines that its workers are on; none in older journals."""


@dataclass(frozen=True, kw_only=True)
class TrialSampled(Event):
    """By the driver: a new trial, with what the searcher chose for it. It starts at once."""

    kind = "trial"
    trial: int
    params: Mapping[str, Any]
    config: Mapping[str, Any]
    num_params: int
    macs: int


@dataclass(frozen=True, kw_only=True)
class TrialStarted(Event):
    """By the driver: a trial moves into a group, for the first time or again, and goes on after `epoch`."""

    kind = "start"
    trial: int
    attempt: int
    group: str
    epoch: int
    reason: str = ""
    """Why this one, where there was something to choose from."""


@dataclass(frozen=True, kw_only=True)
class EpochEnded(Event):
    """By the driver, from the answer of rank 0: an epoch's metrics, and what the scheduler decided on them."""

    kind = "epoch"
    trial: int
    epoch: int
    metrics: Mapping[str, Any]
    decision: Decision
    checkpoint: str | None
    reason: str = ""
    """Of the decision, in words; empty where there was nothing to decide."""
    precision: str = ""
    """The number format that it was trained in; empty in older journals."""
    remark: str = ""
    """What its workers have to say to the user."""
    out_of_time: bool = False
    """Of a pause: whether it is for the study's budget of time, and not the scheduler's."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "decision", Decision(self.decision))


@dataclass(frozen=True, kw_only=True)
class WorkersRestarted(Event):
    """By the driver: a trial lost its workers. It goes on from its newest checkpoint unless `TrialEnded` follows, or
    `DriverEnded`, where the study pauses."""

    kind = "restart"
    trial: int
    restarts: int
    """So far, in all."""
    epoch: int
    """The last one that is recorded, which may be later than the checkpoint."""
    reason: str = ""
    fault: str = ""
    """A `Fault`, as far as the driver knows it."""
    deaths: int = 0
    """Of the trial's worker processes, since its last new checkpoint."""


@dataclass(frozen=True, kw_only=True)
class CheckpointLost(Event):
    """By the driver: a checkpoint cannot be gone on from; the trial goes on from the one before it, or from the start.

    Epochs that are done again keep the metrics and decisions that they had.
    """

    kind = "checkpoint_lost"
    trial: int
    epoch: int
    checkpoint: str
    message: str


@dataclass(frozen=True, kw_only=True)
class TrialReopened(Event):
    """By the driver, at the user's wish: a failed trial is unfinished again, and goes on from what it has."""

    kind = "reopened"
    trial: int


@dataclass(frozen=True, kw_only=True)
class AuditStarted(Event):
    """By the driver, when the search has decided all: trials that were stopped run to their end, chosen by chance.

    trials: their numbers. given_up: those of all that they were chosen from.
    """

    kind = "audit"
    trials: Sequence[int]
    given_up: Sequence[int]

    def __post_init__(self) -> None:
        object.__setattr__(self, "trials", tuple(self.trials))
        object.__setattr__(self, "given_up", tuple(self.given_up))


@dataclass(frozen=True, kw_only=True)
class MicroBatchHalved(Event):
    """By the driver: a trial is out of memory and goes on after `epoch` with micro-batches of half the size or less.

    accumulate: how many there are of a batch from now on.
    """

    kind = "micro_batch"
    trial: int
    epoch: int
    accumulate: int
    message: str


@dataclass(frozen=True, kw_only=True)
class TrialEnded(Event):
    """By the driver: a trial is over, and why. Its group is given back after this."""

    kind = "outcome"
    trial: int
    outcome: Outcome
    message: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "outcome", Outcome(self.outcome))


@dataclass(frozen=True, kw_only=True)
class CheckpointStored(Event):
    """By the driver: an epoch was done again, after which there was no checkpoint before. The trial goes on from it."""

    kind = "stored"
    trial: int
    epoch: int
    checkpoint: str


@dataclass(frozen=True, kw_only=True)
class CheckpointDropped(Event):
    """By the driver: a checkpoint is not kept; its file is deleted after this is on disk."""

    kind = "dropped"
    trial: int
    epoch: int
    checkpoint: str


@dataclass(frozen=True, kw_only=True)
class WinnerNamed(Event):
    """By the driver, when the study is over: the trial whose network MLflow gets as a model."""

    kind = "winner"
    trial: int
    epoch: int
    checkpoint: str
    register: bool
    """Whether it may become the champion of the study's name."""
    accuracy: float | None = None
    """On the held-out images, in 0..1, after that epoch; None where none was measured."""
    images: int = 0
    """That are held out; 0 where that is not known."""
    split: str = ""
    """The same for two networks that were judged on the same images; empty where that is not known."""


@dataclass(frozen=True, kw_only=True)
class DriverEnded(Event):
    """A driver's last word; without it, it was killed."""

    kind = "ended"
    reason: Literal["finished", "interrupted", "paused", "error"]
    """paused: something must be mended first; `message` says what."""
    message: str = ""
    artifacts: tuple[str, ...] = ()
    """Reports that MLflow gets."""


@dataclass(frozen=True, kw_only=True)
class TestOpened(Event):
    """By the final test: the test split was opened for a trial."""

    kind = "test"
    trial: int
    opening: int
    """From 1."""
    metrics: Mapping[str, float]
    images: int = 0
    """In the split; 0 in older journals."""
    computed: str = ""
    """In which number format and on what, in words; empty in older journals."""


@dataclass(frozen=True, kw_only=True)
class LesionStudied(Event):
    """By a lesion study of a trial's network."""

    kind = "lesion"
    trial: int
    metrics: Mapping[str, float]
    artifacts: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class StudyReported(Event):
    """What was concluded from the whole study after its end, such as an ablation's table."""

    kind = "report"
    metrics: Mapping[str, float]
    artifacts: tuple[str, ...] = ()


KINDS: dict[str, type[Event]] = {
    each.kind: each
    for each in (
        StudyStarted,
        EarlierTrials,
        DriverStarted,
        GroupChanged,
        TrialSampled,
        TrialStarted,
        EpochEnded,
        WorkersRestarted,
        CheckpointLost,
        TrialReopened,
        AuditStarted,
        MicroBatchHalved,
        TrialEnded,
        CheckpointStored,
        CheckpointDropped,
        WinnerNamed,
        DriverEnded,
        TestOpened,
        LesionStudied,
        StudyReported,
    )
}

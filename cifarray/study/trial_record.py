"""One trial as the journal knows it, and the words for what becomes of it. Plain data; not here: decisions."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any


class Outcome(StrEnum):
    """How a trial ended."""

    COMPLETED = "completed"
    STOPPED = "stopped"
    DIVERGED = "diverged"
    OUT_OF_MEMORY = "out_of_memory"
    FAILED = "failed"


class Decision(StrEnum):
    """What follows an epoch."""

    CONTINUE = "continue"
    PAUSE = "pause"
    """The trial leaves its group with a checkpoint, from which it may go on later."""
    STOP = "stop"
    COMPLETE = "complete"


OUTCOME_OF = {Decision.STOP: Outcome.STOPPED, Decision.COMPLETE: Outcome.COMPLETED}
GAVE_NOTHING = frozenset({Outcome.DIVERGED, Outcome.OUT_OF_MEMORY, Outcome.FAILED})
"""Outcomes for a reason of the trial's own, without a network that could be compared."""


@dataclass(frozen=True)
class Metric:
    """What trials are compared by, as of a trial's last epoch."""

    name: str = "val_accuracy"

    @property
    def lower_is_better(self) -> bool:
        return self.name.endswith("loss")

    @property
    def label(self) -> str:
        """`val accuracy`."""
        return self.name.replace("_", " ")

    def score(self, value: float) -> float:
        """Higher is better."""
        return -value if self.lower_is_better else value

    def show(self, value: float | None) -> str:
        """A share as a percentage, a loss as it is."""
        if value is None:
            return "–"
        return f"{value:.4f}" if self.lower_is_better else f"{100 * value:.2f} %"


DEFAULT_METRIC = Metric()


@dataclass
class TrialRecord:
    """`epochs[i]` are the metrics after epoch i + 1; `metric` is the study's."""

    number: int
    params: Mapping[str, Any]
    config: Mapping[str, Any]
    num_params: int = 0
    macs: int = 0
    metric: Metric = DEFAULT_METRIC
    epochs: list[Mapping[str, Any]] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)
    checkpoints: dict[int, str] = field(default_factory=dict)
    outcome: Outcome | None = None
    is_paused: bool = False
    """It has left its group without an outcome, and waits to be chosen again."""
    is_out_of_time: bool = False
    """It paused for the study's budget of time alone: where there is time it goes on before anything is chosen."""
    given_up_after: int | None = None
    """The epoch after which it was stopped, where it goes on all the same, or did, in an audit of early stopping."""
    message: str = ""
    """Why it ended so."""
    outcome_recorded: bool = False
    """Whether that is in the journal; a driver that is killed in between leaves an epoch that implies it."""
    attempts: int = 0
    restarts: int = 0
    deaths: int = 0
    """Of its worker processes, since its last new checkpoint."""
    group: str = ""
    precision: str = ""
    """The number format of its last epoch; empty where the journal does not say."""
    remark: str = ""
    """What its workers had to say to the user last."""
    seconds: float = 0.0
    halvings: list[tuple[int, int]] = field(default_factory=list)
    """After which epoch its micro-batches were made smaller for want of memory, and how many they were then."""
    test: Mapping[str, Any] | None = None
    test_openings: int = 0
    test_images: int = 0
    """In the test split; 0 where the journal does not say."""
    test_computed: str = ""
    """In which number format and on what; empty where the journal does not say."""

    @property
    def epoch(self) -> int:
        """Epochs done."""
        return len(self.epochs)

    @property
    def checkpoints_needed(self) -> int:
        """The newest, and while it runs the one before it too: the newest may turn out to be torn."""
        return 2 if self.outcome is None and not self.is_paused else 1

    @property
    def standing(self) -> str:
        """Its outcome, or that it has none yet."""
        return str(self.outcome or ("paused" if self.is_paused else "unfinished"))

    @property
    def outcome_in_words(self) -> str:
        """The outcome, with what was changed on the way."""
        text = self.standing
        more = [f"{count} micro-batches after epoch {epoch}" for epoch, count in self.halvings[-1:]]
        if self.given_up_after is not None:
            more.append(f"audit, given up after epoch {self.given_up_after}")
        return f"{text} ({', '.join(more)})" if more else text

    @property
    def scores(self) -> tuple[float, ...]:
        """Of every epoch, higher is better."""
        name = self.metric.name
        return tuple(self.metric.score(metrics[name]) for metrics in self.epochs if name in metrics)

    @property
    def value(self) -> float | None:
        """The metric after the last epoch; None without validation images."""
        return self.epochs[-1].get(self.metric.name) if self.epochs else None

    @property
    def score(self) -> float | None:
        """`value` as higher is better."""
        return None if self.value is None else self.metric.score(self.value)

    def score_after(self, epoch: int) -> float:
        """Of an epoch that is done, in a study that holds images out."""
        return self.metric.score(self.epochs[epoch - 1][self.metric.name])

    def with_epoch(self, metrics: Mapping[str, Any]) -> "TrialRecord":
        """As it will be known when its next epoch is."""
        return replace(self, epochs=[*self.epochs, metrics])

    @property
    def checkpoint(self) -> tuple[int, str] | None:
        """The newest: (epoch, address)."""
        return max(self.checkpoints.items()) if self.checkpoints else None

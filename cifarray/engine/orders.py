"""What the driver, the host of a worker group and its workers say to each other. Plain values, no torch."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from cifarray.study.faults import Fault, Losses

STUCK_SECONDS = 60.0


class RefusedError(RuntimeError):
    """A worker's node lacks what the study needs of it; the message is one sentence for the user."""


@dataclass(frozen=True)
class NodeRequirements:
    """What every node must have."""

    versions: Mapping[str, str]
    marker: str
    """Address of a file in the study's storage, which the driver has written."""
    paths: tuple[str, ...] = ()
    """Local files and folders that trials read."""
    code: tuple[str, str] = ("", "")
    """The driver's node and the folder of its cifarray there."""
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Variables of the driver by which storage and data are reached."""


@dataclass(frozen=True)
class GroupSettings:
    """What every group of a study is made of."""

    workers: int
    cpus_per_worker: float
    gpus_per_worker: float
    scratch: str
    """Folder for Train's own bookkeeping."""
    requirements: NodeRequirements
    """What a worker looks for on its node when it begins."""
    patience: float = STUCK_SECONDS
    """Seconds without progress after which a worker counts as stuck; more where its steps are long."""
    study_id: str = ""
    """Which its checkpoints carry."""
    autoscaled: bool = True
    """Whether there may be an autoscaler, which is to hear what the group needs."""
    collectives: Mapping[str, str] = field(default_factory=dict)
    """Variables of NCCL that workers have unless their node sets them."""

    @property
    def worker(self) -> str:
        """What one worker takes, for the user: `1 CPU + 1 GPU`."""
        gpus = f" + {self.gpus_per_worker:g} GPU" if self.gpus_per_worker else ""
        return f"{self.cpus_per_worker:g} CPU{gpus}"

    @property
    def threads(self) -> int:
        return max(1, int(self.cpus_per_worker))

    @property
    def resources_per_worker(self) -> dict[str, float]:
        resources = {"CPU": self.cpus_per_worker}
        if self.gpus_per_worker:
            resources["GPU"] = self.gpus_per_worker
        return resources


@dataclass(frozen=True)
class WorkerProcess:
    """Where a rank is: its process id, the ids of its Ray actor and node."""

    pid: int
    actor: str
    node: str = ""


@dataclass(frozen=True)
class Order:
    """What a worker does next. `lease` numbers the stay of one trial in the group; workers do nothing for another."""

    kind: Literal["move_in", "epoch", "leave"]
    lease: int = 0
    trial: int = 0
    config: Mapping[str, Any] = field(default_factory=dict)
    epoch: int = 0
    """After which the trial goes on, with `checkpoint`."""
    checkpoint: str | None = None
    folder: str = ""
    """Where this trial's checkpoints go."""
    precision: str = ""
    """The number format of its epochs so far, which a checkpoint may not be there to tell."""
    losses: Losses = field(default_factory=Losses)
    """Of its workers before this stay."""
    rungs: tuple[int, ...] = ()
    """Epochs after which the trial may be told to leave: each is answered with a checkpoint."""


@dataclass(frozen=True)
class Failure:
    """How a rank's part of a trial ended before its time.

    clean: no collective of this rank is left half done, so the group can be used again if all ranks say so.
    """

    fault: Fault
    message: str
    clean: bool


@dataclass(frozen=True)
class Answer:
    """What came of one step of a trial, on its way from rank 0 through host and Tune actor to the driver: an epoch, or
    (`fault`) why the trial cannot go on in this group.

    epoch: the one that is done; with a fault, the last one that was told. losses: of the trial's workers so far, where
    that is known. group_broken: it cannot be used again. remark: what the user should know.
    """

    trial: int
    epoch: int
    metrics: dict[str, Any] = field(default_factory=dict)
    checkpoint: str | None = None
    precision: str = ""
    remark: str = ""
    losses: Losses | None = None
    fault: Fault | None = None
    message: str = ""
    group_broken: bool = False

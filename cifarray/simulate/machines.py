"""Worker groups that exist on a virtual clock alone: how fast each is, when it is ready, when it breaks.

Not here: what they train (`run`).
"""

import heapq
import math
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["ready", "epoch", "fault"]


_MOST = {"spread": 3.0, "faults_per_hour": 60.0}
"""A pace twenty times the usual one; more faults and hardly an epoch ends, at which a study pauses."""


@dataclass(frozen=True)
class Cluster:
    """What a simulated study runs on; seconds are virtual.

    groups: worker groups, each of one worker. start_seconds: from the order for a group until it is ready.
    move_seconds: between two trials of a group. spread: deviation of the logarithm of a group's pace.
    faults_per_hour: of each group, which then ends; a new one is started.
    """

    groups: int
    start_seconds: float = 0.0
    move_seconds: float = 0.1
    spread: float = 0.0
    faults_per_hour: float = 0.0

    def __post_init__(self) -> None:
        if self.groups < 1:
            raise ValueError(f"{self.groups} workers are too few: choose 1 or more")
        for what in ("start_seconds", "move_seconds", "spread", "faults_per_hour"):
            value = getattr(self, what)
            most = _MOST.get(what, math.inf)
            if not 0 <= value <= most or value == math.inf:
                high = f" and at most {most:g}" if most < math.inf else ""
                raise ValueError(f"{what} {value:g} is not possible: choose 0 or more{high}")


@dataclass(frozen=True)
class Group:
    name: str
    pace: float
    """Seconds that it takes for what takes others one."""


@dataclass(frozen=True, order=True)
class Due:
    """What happens at second `at`; `order` tells apart what happens at once."""

    at: float
    order: int
    kind: Kind
    group: str
    trial: int = -1
    epoch: int = 0


class Machines:
    """What the driver takes for its pool (`cifarray.engine.driver.Groups`)."""

    workers = 1

    def __init__(self, cluster: Cluster, seconds_of: Callable[[int], float], seed: int) -> None:
        """seconds_of: an epoch of a trial takes, by its number, at a pace of 1."""
        self.cluster, self._seconds_of = cluster, seconds_of
        self._random = random.Random(f"machines/{seed}")
        self.now, self.busy_seconds = 0.0, 0.0
        self.started, self.faults = 0, 0
        self.free: dict[str, Group] = {}
        self.leased: dict[str, Group] = {}
        self.due: list[Due] = []
        self._ordered = 0
        for _ in range(cluster.groups):
            self._start()

    def advance(self) -> Due:
        """To what happens next. Groups that become ready are free from then on."""
        due = heapq.heappop(self.due)
        self.now = due.at
        return due

    def make_ready(self, name: str) -> None:
        self.free[name] = self.leased.pop(name)

    def order_epoch(self, name: str, trial: int, epoch: int, after: float = 0.0) -> None:
        """Of a trial that has moved into that group; or its end by a fault, if one comes before."""
        seconds = after + self._seconds_of(trial) * self.leased[name].pace
        rate = self.cluster.faults_per_hour / 3600
        until_fault = self._random.expovariate(rate) if rate else math.inf
        kind: Kind = "fault" if until_fault < seconds else "epoch"
        self.busy_seconds += min(seconds, until_fault)
        self._put(min(seconds, until_fault), kind, name, trial, epoch)

    # What the driver asks for.

    def tend(self) -> None: ...

    def release(self, remaining: int) -> None: ...

    def is_alive(self, name: str) -> bool:
        return True

    def acquire(self, remaining: int, wait: bool) -> Group | None:
        return next(iter(self.free.values()), None)

    def move_in(self, group: Group, assignment: Any, config: Mapping[str, Any], folder: str) -> int:
        self.leased[group.name] = self.free.pop(group.name)
        self.order_epoch(group.name, assignment.number, assignment.epoch + 1, self.cluster.move_seconds)
        return 1

    def give_back(self, name: str, lease: int, broken: str | None = None) -> None:
        if broken is None:
            self.make_ready(name)
        else:
            del self.leased[name]
            self.faults += 1
            self._start()

    def _start(self) -> None:
        name = f"group-{self.started}"
        self.started += 1
        self.leased[name] = Group(name, math.exp(self.cluster.spread * self._random.gauss(0, 1)))
        if self.now == 0 and not self.cluster.start_seconds:
            self.make_ready(name)
        else:
            self._put(self.cluster.start_seconds, "ready", name)

    def _put(self, seconds: float, kind: Kind, group: str, trial: int = -1, epoch: int = 0) -> None:
        self._ordered += 1
        heapq.heappush(self.due, Due(self.now + seconds, self._ordered, kind, group, trial, epoch))

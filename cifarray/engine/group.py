"""A worker group as the driver sees it: a handle on its host, and whether that still answers.

Not here: when groups are opened and closed (`pool`), what the host does (`worker_group`).
"""

import contextlib
import time
from dataclasses import dataclass, field
from typing import Any

import ray

from cifarray.engine import cluster
from cifarray.study.forecast import Pace

ANSWER_SECONDS = 5.0
"""How long a host may take to a question of the driver that waits for it."""


@dataclass
class Group:
    """A worker group as the driver sees it."""

    name: str
    host: Any
    ready: Any
    """The pending answer of the host's `ready`; None once it has come."""
    requester: Any
    """The pending answer of the host's `requester`."""
    nodes: frozenset[str]
    """Ids of the nodes that have lived since it was opened, while it was not ready."""
    lease: int | None = None
    ping: Any = None
    """A call of the host that is still unanswered."""
    pinged: float = 0.0
    """When it was asked."""
    opened: float = field(default_factory=time.monotonic)
    pace: Pace | None = None
    """How far its workers were, as of the last answer that came."""
    asked_pace: Any = None
    """A question for it that waits for its answer."""

    def answers(self) -> bool:
        """Asks the host, and waits for it."""
        try:
            ray.get(self.host.worker_pids.remote(), timeout=ANSWER_SECONDS)
        except (ray.exceptions.RayError, TimeoutError):
            return False
        return True

    def silent_for(self, now: float) -> float:
        """How many seconds a question has waited for the host's answer; asks the next one where there was one."""
        if self.ping is None or ray.wait([self.ping], timeout=0)[0]:
            self.ping, self.pinged = self.host.worker_pids.remote(), now
        return now - self.pinged

    def latest_pace(self) -> Pace | None:
        """Without waiting: the last answer that came; asks the next question where there was one."""
        with contextlib.suppress(ray.exceptions.RayError):
            if self.asked_pace is not None:
                if not ray.wait([self.asked_pace], timeout=0)[0]:
                    return self.pace
                answered, self.asked_pace = self.asked_pace, None
                self.pace = ray.get(answered)
            self.asked_pace = self.host.pace.remote()
        return self.pace

    def kill(self) -> list[str]:
        """End the host and all behind it. Returns the names under which Train had asked the autoscaler for nodes."""
        with contextlib.suppress(ray.exceptions.RayError):
            answered, _ = ray.wait([self.requester], timeout=0)
            ray.kill(self.host)
            requesters: list[str] = ray.get(answered)
            for requester_id in requesters:
                cluster.cancel_request(requester_id)
            return requesters
        return []

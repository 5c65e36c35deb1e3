"""What follows from worker groups that cannot be started: the study goes on with fewer for a while, or pauses.

Not here: starting them (`pool`), the policy (`cifarray.study.faults`).
"""

import logging

from cifarray.engine.group import Group
from cifarray.errors import PausedError
from cifarray.study.faults import Pause, Retry, StartFault, decide

log = logging.getLogger(__name__)


class GroupStartError(PausedError):
    """Worker groups cannot be started."""


class FailedStarts:
    """Those of one pool since a group became ready last."""

    def __init__(self) -> None:
        self.nodes: list[frozenset[str]] = []
        """Of each, the nodes that lived when its group was opened."""
        self._held: tuple[int, float] | None = None
        """No more than so many groups until then, and one more after it: one was refused or failed to start."""

    def most(self, groups: int, now: float) -> int:
        """How many of `groups` may be open now."""
        if self._held is None:
            return groups
        held, until = self._held
        return min(groups, held if now < until else held + 1)

    def forget(self, groups: int) -> None:
        """A group has become ready; so many are open."""
        self.nodes.clear()
        if self._held is not None and groups > self._held[0]:
            self._held = None

    def take(
        self, group: Group, cause: str, *, refused: bool, living: frozenset[str], usable: int, groups: int, now: float
    ) -> None:
        """Go on without the group that could not start. Raises GroupStartError if the study cannot.

        A start fails too if one of its nodes dies, which is no reason of the study's own; and Ray may know of that much
        later than of the failure. So those on nodes that no longer live do not count.
        refused: a node lacks what the study needs. living: ids of the nodes that live. usable: groups that are ready;
        groups: that are open without this one. now: monotonic seconds.
        """
        self.nodes = [nodes for nodes in (*self.nodes, group.nodes) if nodes <= living]
        match decide(StartFault(cause, refused, len(self.nodes), usable)):
            case Pause(reason):
                raise GroupStartError(reason)
            case Retry(delay=delay) if delay > 0:
                log.warning(
                    "%s; the study goes on with the %s that it has, and tries again in %d minutes",
                    cause,
                    "worker group" if groups == 1 else f"{groups} worker groups",
                    delay // 60,
                )
                self._held = groups, now + delay
                self.nodes.clear()

"""What a user is told while no worker group is ready: that nothing is missing and how far they are, or what is.

Pure functions of what Ray says. Not here: asking Ray (`cluster`), what is said where there is no room (`capacity`).
"""

from dataclasses import dataclass
from typing import Literal

QUIET_SECONDS = 60.0
"""Before anything is said, and before it is said again how far they are."""
SURE_SECONDS = 5.0
"""For so long there must be no room: a Ray that is busy takes a moment to give places that are free."""


@dataclass(frozen=True)
class HowFar:
    """How far Ray is with the worker groups of a study.

    asked, placed: of the groups, for how many Train has asked for the workers' places, and how many of these it has.
    up: worker processes that run, those of groups that are ready included.
    """

    asked: int = 0
    placed: int = 0
    up: int = 0


class Waiting:
    """began: since when nothing has been ready."""

    def __init__(self, began: float) -> None:
        self.began = self._told = began
        self._no_room: float | None = None
        """Since when there has been none."""
        self._told_no_room = False

    def is_long(self, now: float) -> bool:
        """Whether Ray is to be asked how far it is."""
        return now - self._told > QUIET_SECONDS or self._no_room is not None

    def say(self, now: float, starts: HowFar, ready: int) -> Literal["slow", "no room"] | None:
        """What is to be told now, where `is_long`. ready: groups that are."""
        if starts.asked == starts.placed or starts.placed > ready:
            self._told, self._no_room, self._told_no_room = now, None, False
            return "slow"
        if self._no_room is None:
            self._no_room = now
        if self._told_no_room or now - self._no_room < SURE_SECONDS:
            return None
        self._told_no_room = True
        return "no room"


def how_far(starts: HowFar, groups: int, ready: int, workers: int, seconds: float) -> str:
    """One sentence for a user whose worker groups start slowly, though nothing is missing.

    groups: that are open, of which `ready` are. workers: of each. seconds: since when nothing has been ready.
    """
    waiting = groups - ready
    who = "the worker group has" if waiting == 1 else f"{waiting} worker groups have"
    workers_waiting, placed = waiting * workers, (starts.placed - ready) * workers
    if placed <= 0:
        how = "Ray still starts the processes that will ask for the workers' places"
    else:
        up = min(placed, max(0, starts.up - ready * workers))
        have = "has its place" if workers_waiting == 1 else "have their places"
        how = f"{placed} of {workers_waiting} worker{'s' if workers_waiting > 1 else ''} {have}, {up} run"
        if up:
            how += " and are loading their libraries"
    return f"{who} been starting for {seconds:.0f} s: {how}; nothing is missing, a busy machine takes this long"

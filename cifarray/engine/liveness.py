"""Whether the ranks of a worker group get on: by when something is to be heard of each.

Not here: what a worker says of its pace (`worker`), what becomes of a group that is stuck (`worker_group`).
"""

import time
from collections.abc import Iterable

SETUP_SECONDS = 900.0
"""How long a worker may take to the first step of a trial: data are prepared, a network is compiled."""
START_SECONDS = 300.0
"""How long the other ranks may take to come up after the first one did."""
RESTART_SECONDS = 120.0
"""How long Train may take to start the workers again after one died."""


class Deadlines:
    """patience: seconds without a sign of life after which a rank counts as stuck, at least."""

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._asked: dict[int, float] = {}
        """By rank, how many seconds it asked for last."""
        self._deadlines: dict[int, float] = {}

    def clear(self) -> None:
        """There are other workers."""
        self._asked.clear()
        self._deadlines.clear()

    def begin(self, rank: int, anew: bool) -> None:
        """It has got an order; `anew`: of another trial, of which nothing is known yet."""
        if anew:
            self._asked.pop(rank, None)
        self._deadlines[rank] = time.monotonic() + self.seconds(rank)

    def extend(self, rank: int, seconds: float) -> None:
        """It gets on, and will be heard of again within so many seconds."""
        self._asked[rank] = seconds
        self._deadlines[rank] = time.monotonic() + seconds

    def extend_all(self, seconds: float) -> None:
        self._deadlines = dict.fromkeys(self._deadlines, time.monotonic() + seconds)

    def seconds(self, rank: int) -> float:
        """In which something is to be heard of it."""
        return max(self._asked.get(rank, SETUP_SECONDS), self._patience)

    def overdue(self, ranks: Iterable[int], now: float) -> int | None:
        """Of these ranks the one that should have been heard of the longest ago; None if there is time left."""
        busy = [rank for rank in ranks if rank in self._deadlines]
        rank = min(busy, key=self._deadlines.__getitem__, default=None)
        return rank if rank is not None and now > self._deadlines[rank] else None

"""Whether the ranks of a worker group come up and get on: by when something is to be heard of each.

Not here: what a worker says of its pace (`worker`), what becomes of a group that is stuck (`worker_group`).
"""

import time
from collections.abc import Iterable, Sequence

SETUP_SECONDS = 900.0
"""How long a worker may take to the first step of a trial: data are prepared, a network is compiled."""
START_SECONDS = 300.0
"""How long rank 0 may take to begin once its process is up, and the other ranks to come up after that."""
RESTART_SECONDS = 120.0
"""How long Train may take to start the workers again after one died."""


class ComingUp:
    """Whether new workers come up: the process of rank 0, which begins, and then the others."""

    def __init__(self, workers: int) -> None:
        self.newcomer = ""
        """The actor of a rank 0 that is up and has not begun; empty if there is none."""
        self._workers = workers
        self._since = float("inf")

    def arrive(self, actor: str) -> None:
        """The process of rank 0 is up; how it gets on is not heard of until it begins."""
        self.newcomer, self._since = actor, time.monotonic()

    def begin(self) -> None:
        """It has begun, or will never do so."""
        self.newcomer, self._since = "", time.monotonic()

    def why_late(self, missing: Sequence[int], now: float) -> str | None:
        """In words, if it takes too long; `missing` are the ranks that never asked for an order."""
        if now - self._since < START_SECONDS:
            return None
        if self.newcomer:
            return f"worker 0 of {self._workers} was not ready {START_SECONDS:.0f} s after its process came up"
        if missing:
            ranks = ", ".join(map(str, missing))
            return f"worker {ranks} of {self._workers} did not come up within {START_SECONDS:.0f} s after the first"
        return None


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

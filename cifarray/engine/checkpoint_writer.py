"""A checkpoint is written in a thread, while its worker trains on.

Not here: which epochs have a checkpoint (`worker`), what is in it (`cifarray.training`).
"""

from collections.abc import Callable
from concurrent.futures import Future

from cifarray.engine.background import in_background


class CheckpointWriter:
    """Of one worker process. One is written at a time; what goes wrong is raised where the next one would begin."""

    def __init__(self) -> None:
        self.began = 0.0
        """When the last one began, or the trial if it has none yet; on the clock of its worker."""
        self._under_way: Future[None] | None = None

    @property
    def is_busy(self) -> bool:
        """Whether there is something to wait for, if only the news of how it went."""
        return self._under_way is not None

    def begin(self, write: Callable[[], None], now: float) -> None:
        """Have `write` called by a thread, which ends with the process. The one before has been waited for."""
        assert self._under_way is None, "a checkpoint is still being written"
        self.began = now
        self._under_way = in_background(write)

    def wait(self) -> None:
        """Returns when nothing is being written. Raises what went wrong, once."""
        under_way, self._under_way = self._under_way, None
        if under_way is not None:
            under_way.result()

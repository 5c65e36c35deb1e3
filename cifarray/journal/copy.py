"""The journal's copy in a bucket, in numbered segments, from which a driver on another head goes on.

A segment is `journal-FIRST-END-WRITER.jsonl`: the lines of the events FIRST ≤ n < END, by one opening of the journal.
A thread writes what is new at once and then every `SEGMENT_SECONDS`, so a slow bucket stalls no decision and a head
that is gone with its disk takes at most so much with it. What is deleted because of an event goes when the event is in
the copy (`when_kept`), so that the copy never names a checkpoint that is no longer there.

A bucket has no locks. Two heads that drive one study never write over each other's segments: each looks at least
every `SEGMENT_SECONDS`, and the one that finds another's segment where its next should be writes no more. Its driver
hears of that with the next event that it has to tell, in long epochs well after. Where both wrote at the same moment
the lesser name counts for everybody. Not here: the journal itself (`journal`).
"""

import logging
import re
import threading
import uuid
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from cifarray import storage
from cifarray.errors import StudyError

SEGMENT_SECONDS = 30.0
_READERS = 16
_NAME = re.compile(r"journal-(\d{8,})-(\d{8,})-([0-9a-f]+)\.jsonl")

log = logging.getLogger(__name__)


class JournalForkedError(StudyError):
    """The journal on this disk and its copy tell of the study in two ways."""


@dataclass(frozen=True, order=True)
class Segment:
    """The events `first` ≤ n < `end`."""

    first: int
    end: int
    writer: str

    @property
    def name(self) -> str:
        return f"journal-{self.first:08d}-{self.end:08d}-{self.writer}.jsonl"


def chain(names: Iterable[str]) -> list[Segment]:
    """The segments that follow on one another from the first event on; of two for the same place the lesser."""
    segments = [Segment(int(match[1]), int(match[2]), match[3]) for match in map(_NAME.fullmatch, names) if match]
    chosen: list[Segment] = []
    for segment in sorted(segments):
        if segment.first == (chosen[-1].end if chosen else 0):
            chosen.append(segment)
    return chosen


class JournalCopy:
    """The copy at `address` of the journal at `path`, which no other process of this machine has open.

    Brings the journal on this disk up to the copy. Raises JournalForkedError if each has what the other has not,
    StorageError if the bucket cannot be read.
    """

    def __init__(self, path: Path, address: str) -> None:
        self.path, self.address = path, address
        self.fork: str | None = None
        """Why this driver may not go on, once another is found to drive the study or to have set it aside."""
        self._writer = uuid.uuid4().hex[:8]
        storage.refuse_unusable(address)
        self._chain = chain(storage.names(address))
        with ThreadPoolExecutor(_READERS) as pool:
            parts = pool.map(lambda segment: storage.read_bytes(storage.join(address, segment.name)), self._chain)
            copied = b"".join(parts)
        disk = path.read_bytes() if path.exists() else b""
        if not disk.startswith(copied):
            if not copied.startswith(disk):
                raise JournalForkedError(
                    f"{path} and its copy in {address} differ from event {_first_difference(disk, copied)} on, since "
                    "another head has gone on with the study: delete the file to go on from the copy, or choose "
                    "another --name"
                )
            storage.write_bytes(str(path), copied)
        self._bytes = len(copied)
        self._tried: tuple[Segment, int] | None = None
        self._kept: list[tuple[int, Callable[[], object]]] = []
        self._writing = threading.Lock()
        self._news, self._closed = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._follow, name="cifarray-journal-copy", daemon=True)

    def start(self) -> None:
        """Begin to follow the journal."""
        self._thread.start()

    def tell(self) -> None:
        """The journal has grown."""
        self._news.set()

    def when_kept(self, action: Callable[[], object]) -> None:
        """Call `action`, in another thread, when all that the journal has now is in the copy."""
        self._kept.append((self.path.stat().st_size, action))
        self._news.set()

    def update(self) -> bool:
        """Write one more segment with what is new; False if there was nothing to write.

        What goes wrong is only logged: the next segment has it all.
        """
        with self._writing:
            try:
                return self._update()
            except storage.StorageError as error:
                log.warning("the journal's copy waits: %s", error)
            except Exception:
                log.exception("the journal's copy waits")
        return True

    def close(self) -> None:
        """Write what is new, a last time."""
        self._closed.set()
        self._news.set()
        self._thread.join()
        self.update()

    def _follow(self) -> None:
        written = False
        while self.fork is None:
            # News go at once, but not one by one.
            (self._closed if written else self._news).wait(SEGMENT_SECONDS)
            if self._closed.is_set():
                return
            self._news.clear()
            written = self.update()

    def _update(self) -> bool:
        if self.fork is None:
            self._compare()
        if self.fork is not None:
            return False
        with open(self.path, "rb") as file:
            file.seek(self._bytes)
            new = file.read()
        # The driver may be in the middle of a line.
        new = new[: new.rfind(b"\n") + 1]
        if new:
            first = self._chain[-1].end if self._chain else 0
            segment = Segment(first, first + new.count(b"\n"), self._writer)
            self._tried = segment, len(new)
            storage.write_bytes(storage.join(self.address, segment.name), new)
            self._add_tried()
        while self._kept and self._kept[0][0] <= self._bytes:
            self._kept.pop(0)[1]()
        return bool(new)

    def _compare(self) -> None:
        """Sets `fork` where the bucket's chain is not this driver's own."""
        listed = storage.names(self.address)
        present = chain(listed)
        if self._tried is not None and present == [*self._chain, self._tried[0]]:
            # The bucket has it, though it was away before it said so.
            self._add_tried()
        if present == self._chain:
            return
        mine = {segment.name for segment in self._chain}
        if mine.issubset(listed):
            other = next(segment.name for segment in present if segment.name not in mine)
            self.fork = (
                f"the study is driven by another head too ({other} in {self.address} is not of this one): "
                "stop one of the two, or choose another --name"
            )
        else:
            self.fork = (
                f"the study was set aside by another head with --fresh ({self.address} no longer has what this one "
                "wrote): leave the name to it, or choose another --name"
            )

    def _add_tried(self) -> None:
        assert self._tried is not None
        segment, size = self._tried
        self._tried = None
        self._chain.append(segment)
        self._bytes += size


def _first_difference(one: bytes, other: bytes) -> int:
    lines = zip(one.split(b"\n"), other.split(b"\n"), strict=False)
    return next((number for number, (mine, theirs) in enumerate(lines, start=1) if mine != theirs), 0)

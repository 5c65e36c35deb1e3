"""The journal: a study's append-only record on the driver's disk, one JSON object a line, from which it goes on.

Here: appending with fsync, reading with a torn last line, the lock that keeps a study to one driver, and the mirror in
numbered segments where the study's storage is remote. Not here: what the events mean (`study_state`, `tracking`).
"""

import json
import logging
import os
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from cifarray import storage
from cifarray.search.plan import StudyError

FILE_NAME = "journal.jsonl"
SEGMENT_EVENTS = 100
SEGMENT_SECONDS = 30.0

log = logging.getLogger(__name__)


class StudyRunningError(StudyError):
    """Another driver works on the study."""


class JournalError(StudyError):
    """A journal that cannot be read."""


def read_events(path: Path) -> list[dict[str, Any]]:
    """All complete lines; a torn last one (the driver was killed while writing) is left out.

    Raises JournalError if a line in the middle is damaged.
    """
    lines = path.read_bytes().split(b"\n")
    events = []
    for number, line in enumerate(lines[:-1], start=1):
        try:
            events.append(json.loads(line))
        except ValueError:
            raise JournalError(
                f"{path} is damaged at line {number}: restore the file, or start the study anew with --fresh"
            ) from None
    return events


class Journal:
    """An open journal: this process is the study's one driver.

    mirror: address of a folder that gets the events in numbered segments, for studies with remote storage; a journal
    that is not on this disk is first brought back from there.
    Raises StudyRunningError if another process has it open.
    """

    def __init__(self, folder: Path, mirror: str | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / FILE_NAME
        self._lock = FileLock(folder / "driver.lock")
        try:
            self._lock.acquire(blocking=False)
        except Timeout:
            raise StudyRunningError(
                f"study {folder.name!r} has a driver that lives: wait for it, stop it, or choose another --name"
            ) from None
        self._mirror = mirror
        if mirror and not self.path.exists():
            restored = b"".join(
                storage.read_bytes(storage.join(mirror, name))
                for name in storage.names(mirror)
                if name.endswith(".jsonl")
            )
            if restored:
                storage.write_bytes(str(self.path), restored)
        self.events = read_events(self.path) if self.path.exists() else []
        self._truncate_torn_line()
        self._file = open(self.path, "ab", buffering=0)  # noqa: SIM115 (open for the life of the journal)
        self._listeners: list[Callable[[Mapping[str, Any]], None]] = []
        self._mirrored = self._count_mirrored()
        self._mirror_time = time.monotonic()

    def listen(self, listener: Callable[[Mapping[str, Any]], None]) -> None:
        """Call `listener(event)` after each event is on disk."""
        self._listeners.append(listener)

    def append(self, events: Iterable[Mapping[str, Any]]) -> None:
        """Write events in one go and return when they are on disk; then tell the listeners."""
        stamped = [{"kind": event["kind"], "time": time.time(), **event} for event in events]
        if not stamped:
            return
        data = "".join(json.dumps(event, allow_nan=False) + "\n" for event in stamped).encode()
        self._file.write(data)
        os.fsync(self._file.fileno())
        self.events.extend(stamped)
        for event in stamped:
            for listener in self._listeners:
                listener(event)
        if len(self.events) - self._mirrored >= SEGMENT_EVENTS or (
            time.monotonic() - self._mirror_time > SEGMENT_SECONDS
        ):
            self.mirror()

    def mirror(self) -> None:
        """Bring the remote copy up to date: one more segment with what is new. Nothing to do without a mirror."""
        self._mirror_time = time.monotonic()
        if self._mirror is None or self._mirrored == len(self.events):
            return
        new = self.events[self._mirrored :]
        name = f"journal-{self._mirrored:08d}-{len(self.events):08d}.jsonl"
        data = "".join(json.dumps(event) + "\n" for event in new).encode()
        try:
            storage.write_bytes(storage.join(self._mirror, name), data)
        except storage.StorageError as error:
            # The journal on this disk is what counts; the next segment brings what this one did not.
            log.warning("the journal's remote copy waits: %s", error)
            return
        self._mirrored = len(self.events)

    def close(self) -> None:
        self.mirror()
        self._file.close()
        self._lock.release()

    def _truncate_torn_line(self) -> None:
        if self.path.exists():
            data = self.path.read_bytes()
            end = data.rfind(b"\n") + 1
            if end != len(data):
                os.truncate(self.path, end)

    def _count_mirrored(self) -> int:
        if self._mirror is None:
            return 0
        ends = [int(name.split("-")[2][:8]) for name in storage.names(self._mirror) if name.startswith("journal-")]
        return max(ends, default=0)

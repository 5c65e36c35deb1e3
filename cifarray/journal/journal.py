"""The journal: a study's append-only record on the driver's disk, one JSON object a line, from which it goes on.

Here: appending with fsync, reading with a torn last line, the lock that keeps a study to one driver of this machine.
Not here: the copy in an object store (`journal_copy`), what the events mean (`study_state`, `tracking`).
"""

import json
import os
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from cifarray import places, storage
from cifarray.errors import StudyError
from cifarray.journal.copy import JournalCopy

FILE_NAME = "journal.jsonl"


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

    copy: address of a folder that gets the events too; for a study in an object store, by itself, the one there. Where
    that has more than this disk, the disk is first brought up to it.
    Raises StudyRunningError if another process has it open, and what `JournalCopy` raises.
    """

    def __init__(self, folder: Path, copy: str | None = None) -> None:
        address = places.address(folder)
        copy = copy or (storage.join(address, "journal") if address else None)
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / FILE_NAME
        self._lock = FileLock(folder / "driver.lock")
        try:
            self._lock.acquire(blocking=False)
        except Timeout:
            raise StudyRunningError(
                f"study {folder.name!r} has a driver that lives: wait for it, stop it, or choose another --name"
            ) from None
        try:
            self._truncate_torn_line()
            self._copy = JournalCopy(self.path, copy) if copy else None
            self.events = read_events(self.path) if self.path.exists() else []
        except BaseException:
            self._lock.release()
            raise
        self._file = open(self.path, "ab", buffering=0)  # noqa: SIM115 (open for the life of the journal)
        self._listeners: list[Callable[[Mapping[str, Any]], None]] = []
        self._stopped = False
        if self._copy is not None:
            self._copy.start()

    @property
    def is_copied(self) -> bool:
        """Whether a driver of another machine could go on with it."""
        return self._copy is not None

    def listen(self, listener: Callable[[Mapping[str, Any]], None]) -> None:
        """Call `listener(event)` after each event is on disk."""
        self._listeners.append(listener)

    def append(self, events: Iterable[Mapping[str, Any]]) -> None:
        """Write events in one go and return when they are on disk; then tell the listeners.

        Raises StudyRunningError, once, when another head was found to drive the study or to have set it aside.
        """
        stamped = [{"kind": event["kind"], "time": time.time(), **event} for event in events]
        if not stamped:
            return
        if self._copy is not None and self._copy.fork is not None and not self._stopped:
            self._stopped = True
            raise StudyRunningError(self._copy.fork)
        data = "".join(json.dumps(event, allow_nan=False) + "\n" for event in stamped).encode()
        self._file.write(data)
        os.fsync(self._file.fileno())
        self.events.extend(stamped)
        for event in stamped:
            for listener in self._listeners:
                listener(event)
        if self._copy is not None:
            self._copy.tell()

    def when_kept(self, action: Callable[[], object]) -> None:
        """Call `action` when the events so far are where the study goes on from: now, or when the copy has them."""
        if self._copy is None:
            action()
        else:
            self._copy.when_kept(action)

    def keep(self) -> None:
        """Bring the copy up to date. Nothing to do without one."""
        if self._copy is not None:
            self._copy.update()

    def close(self) -> None:
        if self._copy is not None:
            self._copy.close()
        self._file.close()
        self._lock.release()

    def _truncate_torn_line(self) -> None:
        if self.path.exists():
            data = self.path.read_bytes()
            end = data.rfind(b"\n") + 1
            if end != len(data):
                os.truncate(self.path, end)

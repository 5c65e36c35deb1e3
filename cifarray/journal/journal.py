"""The journal: a study's append-only record on the driver's disk, one JSON object a line, from which it goes on.

Here: appending with fsync, reading with a torn last line, the lock that keeps a study to one driver of this machine.
Not here: what a line says (`events`), the copy in a bucket (`copy`), what follows from the events
(`cifarray.study`).
"""

import contextlib
import errno
import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from cifarray import places, storage
from cifarray.errors import PausedError, StudyError
from cifarray.journal.addresses import Addresses
from cifarray.journal.copy import JournalCopy
from cifarray.journal.events import JournalError, from_json, to_json
from cifarray.redaction import redact
from cifarray.study.events import Event

FILE_NAME = "journal.jsonl"


class StudyRunningError(StudyError):
    """Another driver works on the study."""


class JournalFullError(PausedError):
    """The journal cannot be written; what was decided and is not in it has not happened."""


class DamagedError(JournalError):
    """A line in the middle of a journal is no event; `offset` is where it begins."""

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(message)
        self.offset = offset


def read_events(path: Path) -> list[Event]:
    """Of all complete lines; a torn last one (the driver was killed while writing) is left out.

    Raises DamagedError if a line in the middle is damaged, JournalError if the journal is of a newer format.
    """
    addresses = Addresses(path.parent)
    return [addresses.whole(event) for event in events_in(path)]


def events_in(path: Path) -> Iterator[Event]:
    """As `read_events`, one after the other, with addresses as they are written (`Addresses.whole`): a journal of a
    million epochs need not be in memory at once."""
    offset = 0
    with open(path, "rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):
                return
            try:
                event = from_json(line.decode())
            except JournalError:
                raise
            except (ValueError, TypeError) as error:
                raise DamagedError(
                    f"{path} is damaged at line {number} ({error}): restore the file, go on from what is before that "
                    "line with --repair, or start the study anew with --fresh",
                    offset,
                ) from None
            if event is not None:
                yield event
            offset += len(line)


class Journal:
    """An open journal: this process is the study's one driver.

    copy: address of a folder that gets the events too; for a study in a bucket, by itself, the one there. Where
    that has more than this disk, the disk is first brought up to it. unread: only to be moved, whatever its lines say.
    repair: what follows a damaged line is put beside it (`damaged`), and the study goes on from what is before.
    Raises StudyRunningError if another process has it open, and what `JournalCopy` raises.
    """

    def __init__(self, folder: Path, copy: str | None = None, unread: bool = False, repair: bool = False) -> None:
        address = places.address(folder)
        copy = copy or (storage.join(address, "journal") if address else None)
        self.path = folder / FILE_NAME
        self.damaged: Path | None = None
        self._addresses = Addresses(folder)
        self._lock = FileLock(folder / "driver.lock")
        self._made = [each for each in (folder, *folder.parents) if not each.exists()]
        """Folders that are here for this study, the innermost first."""
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(blocking=False)
        except Timeout:
            raise StudyRunningError(
                f"study {folder.name!r} has a driver that lives: wait for it, stop it, or choose another --name"
            ) from None
        except OSError as error:
            raise _unwritable(folder, error) from error
        try:
            self._truncate_torn_line()
            self._copy = JournalCopy(self.path, copy) if copy else None
            if repair:
                self._cut_off_damage()
            self.events = read_events(self.path) if self.path.exists() and not unread else []
            self._file = open(self.path, "ab", buffering=0)  # noqa: SIM115 (open for the life of the journal)
        except BaseException as error:
            self._lock.release()
            if isinstance(error, PermissionError):
                raise _unwritable(folder, error) from error
            raise
        self._size = os.fstat(self._file.fileno()).st_size
        self._listeners: list[Callable[[Event], None]] = []
        self._stopped = False
        if self._copy is not None:
            self._copy.start()

    @property
    def is_copied(self) -> bool:
        """Whether a driver of another machine could go on with it."""
        return self._copy is not None

    def listen(self, listener: Callable[[Event], None]) -> None:
        """Call `listener(event)` after each event is on disk."""
        self._listeners.append(listener)

    def append(self, events: Iterable[Event]) -> list[Event]:
        """Write events in one go, tell the listeners once they are on disk, and return them with their times.

        Raises StudyRunningError, once, when another head was found to drive the study or to have set it aside, and
        JournalFullError if they could not be written; then none of them is in the file.
        """
        now = time.time()
        stamped = [replace(event, time=event.time or now, **_without_secrets(event)) for event in events]
        if not stamped:
            return []
        if self._copy is not None and self._copy.fork is not None and not self._stopped:
            self._stopped = True
            raise StudyRunningError(self._copy.fork)
        self._write("".join(to_json(self._addresses.shortened(event)) + "\n" for event in stamped).encode())
        self.events.extend(stamped)
        for event in stamped:
            for listener in self._listeners:
                listener(event)
        if self._copy is not None:
            self._copy.tell()
        return stamped

    def when_kept(self, action: Callable[[], object]) -> None:
        """Call `action` once the events so far are safe: now, or, for a study with a copy, when the copy has them."""
        if self._copy is None:
            action()
        else:
            self._copy.when_kept(action)

    def keep(self) -> None:
        """Bring the copy up to date. Nothing to do without one."""
        if self._copy is not None:
            self._copy.update()

    def close(self) -> None:
        """A study that was refused before its first event leaves nothing behind, nor the folders made for it."""
        self._close_files()
        try:
            if self._made and not self._size:
                self.path.unlink(missing_ok=True)
                Path(self._lock.lock_file).unlink(missing_ok=True)
                with contextlib.suppress(OSError):  # Somebody has put something there.
                    for folder in self._made:
                        folder.rmdir()
        finally:
            self._lock.release()

    def set_aside(self, name: str) -> None:
        """Close it and move the study, on this disk and in a bucket, to `name` beside it.

        Nobody can open it in between. Raises StorageError.
        """
        folder = self.path.parent
        self._close_files()
        try:
            address = places.address(folder)
            if address is not None:
                storage.move_folder(address, storage.join(address.rpartition("/")[0], name))
            folder.rename(folder.with_name(name))
        finally:
            self._lock.release()

    def _write(self, data: bytes) -> None:
        """All or nothing."""
        rest = memoryview(data)
        try:
            # What a failed write has left, if it could not be cut off then.
            os.ftruncate(self._file.fileno(), self._size)
            while rest:
                rest = rest[self._file.write(rest) :]
            os.fsync(self._file.fileno())
        except OSError as error:
            with contextlib.suppress(OSError):
                os.ftruncate(self._file.fileno(), self._size)
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            remedy = "make room for it" if full else "look at the disk that it is on"
            raise JournalFullError(f"{self.path} cannot be written ({error.strerror}): {remedy}") from error
        self._size += len(data)

    def _cut_off_damage(self) -> None:
        """At the first damaged line, if there is one. Raises StorageError where it cannot be put aside."""
        try:
            if self.path.exists():
                read_events(self.path)
        except DamagedError as error:
            if self._copy is not None:
                raise
            self.damaged = self.path.with_name(f"journal.damaged-{time.strftime('%Y%m%d-%H%M%S')}.jsonl")
            storage.write_bytes(str(self.damaged), self.path.read_bytes()[error.offset :])
            os.truncate(self.path, error.offset)

    def _close_files(self) -> None:
        if self._copy is not None:
            self._copy.close()
        self._file.close()

    def _truncate_torn_line(self) -> None:
        if self.path.exists():
            data = self.path.read_bytes()
            end = data.rfind(b"\n") + 1
            if end != len(data):
                os.truncate(self.path, end)


def _unwritable(folder: Path, error: OSError) -> storage.StorageError:
    return storage.StorageError(
        f"{folder} cannot be written ({error.strerror}): choose a folder for --storage that you may write to"
    )


def _without_secrets(event: Event) -> dict[str, Any]:
    """What an event quotes of errors, without the passwords and keys in them: everybody may read a journal."""
    quoted = {name: getattr(event, name, "") for name in ("message", "reason", "remark")}
    return {name: redact(text) for name, text in quoted.items() if text}

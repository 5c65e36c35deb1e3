"""What of a folder on disk is data: regular files and folders with a visible name, links followed.

Not here: what a file's or folder's name means (`folders`, `parquet_files`).
"""

import errno
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import BinaryIO

from cifarray.data.errors import DataError

_SYSTEM_NAMES = {
    "__macosx",
    "__pycache__",
    "#recycle",
    "#snapshot",
    "$recycle.bin",
    "_gsdata_",
    "lost+found",
    "system volume information",
}
"""Folders that archives, file servers and other programs leave behind, in lower case."""


def is_hidden(name: str) -> bool:
    """By convention: a leading dot, or @ as file servers write their own (@eaDir, @Recycle)."""
    return name.startswith((".", "@")) or name.lower() in _SYSTEM_NAMES


def list_folder(folder: str) -> tuple[list[str], list[str]]:
    """The names of the visible folders and of all other visible entries, both sorted. Raises DataError."""
    try:
        with os.scandir(folder) as entries:
            visible = sorted((entry for entry in entries if not is_hidden(entry.name)), key=lambda entry: entry.name)
    except OSError as error:
        raise _unlistable(folder, error) from error
    folders: list[str] = []
    others: list[str] = []
    for entry in visible:
        (folders if _is_folder(entry) else others).append(entry.name)
    return folders, others


def regular_stat(path: str) -> os.stat_result:
    """Raises DataError for what is no regular file: a pipe would be waited for, and a device never ends."""
    try:
        status = os.stat(path)
    except OSError as error:
        raise _unreadable(path, error) from error
    _refuse_special(path, status)
    return status


@contextmanager
def open_regular(path: str, max_bytes: int) -> Iterator[BinaryIO]:
    """The file for reading; it may have become another one since it was listed. Raises DataError."""
    try:
        file = os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb")
    except OSError as error:
        raise _unreadable(path, error) from error
    with file:
        status = os.fstat(file.fileno())
        _refuse_special(path, status)
        refuse_size(status.st_size, max_bytes, path)
        yield file


def refuse_size(size: int, max_bytes: int, where: str) -> None:
    if size > max_bytes:
        raise DataError(
            f"{where} is too large for an image, {size:,} bytes where {max_bytes:,} are allowed: make it smaller"
        )


def walk(root: str, skip: tuple[str, ...] = ()) -> Iterator[str]:
    """The paths below `root` of all visible entries that are no folders, each folder once, whatever leads to it.

    skip: what names begin with that are not visible, either. Raises DataError.
    """
    seen = set()
    waiting = [root]
    while waiting:
        folder = waiting.pop()
        try:
            status = os.stat(folder)
        except OSError as error:
            raise _unlistable(folder, error) from error
        if (status.st_dev, status.st_ino) in seen:
            continue
        seen.add((status.st_dev, status.st_ino))
        folders, others = list_folder(folder)
        waiting += [f"{folder}/{name}" for name in reversed(folders) if not name.startswith(skip)]
        yield from (f"{folder}/{name}" for name in others if not name.startswith(skip))


def refuse_same(paths: Iterable[str]) -> None:
    """Links may lead to one folder or file twice, whose images would count twice."""
    seen: dict[tuple[int, int], str] = {}
    for path in paths:
        status = os.stat(path)
        other = seen.setdefault((status.st_dev, status.st_ino), path)
        if other != path:
            raise DataError(f"{other} and {path} are one and the same, by a link: remove the link")


def refuse_broken_link(path: str) -> None:
    if os.path.islink(path):
        try:
            os.stat(path)
        except OSError as error:
            raise _unreadable(path, error) from error


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        # A link to itself, or to where nobody may look: said by whoever wants to read it.
        return False


def _refuse_special(path: str, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise DataError(f"{path} is no regular file but a folder, pipe, socket or device: remove it or rename it")


def _unreadable(path: str, error: OSError) -> DataError:
    if error.errno in (errno.ENOENT, errno.ELOOP) and os.path.islink(path):
        return DataError(f"{path} is a link that leads nowhere ({error.strerror}): correct it or remove it")
    return DataError(f"{path} cannot be read ({error.strerror}): check its permissions, or remove it")


def _unlistable(folder: str, error: OSError) -> DataError:
    return DataError(f"{folder} cannot be listed ({error}): check its address, and the links and permissions in it")

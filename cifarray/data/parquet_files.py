"""Which Parquet files below a folder or an s3:// or gs:// prefix are the splits of one data set.

A file or, failing that, the nearest folder that is named train… or test… says the split. Files of other splits are
ignored, and so is what is hidden: names that begin with a dot or an underscore, as Spark and Arrow have it. What would
make rows count twice (copies, two snapshots, two configurations) is refused.
Not here: what is in the files (`parquet`).
"""

import os
import re
from collections.abc import Iterator
from typing import NamedTuple

import pyarrow as pa
from pyarrow import fs

from cifarray import storage
from cifarray.data.errors import DataError
from cifarray.data.files import is_hidden, refuse_same, regular_stat, walk

_HIDDEN_PREFIXES = ("_",)
_SPLIT_NAME = re.compile(r"(train|test|validation|valid|val|dev)(?![a-z])", re.IGNORECASE)
_SHARD = re.compile(r"-(\d+)-of-(\d+)")
_NUMBER = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{8,}|\d+")


class ParquetPath(NamedTuple):
    """One file: below the data's folder, in its file system, and what changes with its content."""

    name: str
    path: str
    size: int | None
    mtime_ns: int | None


def list_files(address: str) -> dict[str, list[ParquetPath]]:
    """The Parquet files of train and test, sorted by path; empty if there are none.

    `address` is an absolute folder or a remote prefix. Raises DataError if it cannot be reached, or is not one data
    set.
    """
    files: dict[str, list[ParquetPath]] = {}
    try:
        for file in sorted(_remote(address) if storage.is_remote(address) else _local(address)):
            files.setdefault(_split_of(file.name), []).append(file)
    except (pa.ArrowException, OSError, UnicodeError) as error:
        raise DataError(f"{address} cannot be listed ({error}): check the address and its credentials") from error
    for split in files:
        _refuse_several_folders(address, split, [file.name for file in files[split]])
        _refuse_copies(address, split, [file.name for file in files[split]])
    _refuse_several_sets(address, [file.name for split in files.values() for file in split])
    return files


def _local(root: str) -> Iterator[ParquetPath]:
    identities = []
    for path in walk(root, skip=_HIDDEN_PREFIXES):
        name = path.removeprefix(f"{root.rstrip('/')}/")
        if _is_wanted(name):
            if not path.isprintable():
                raise DataError(f"{path} has a name that cannot be printed: rename it")
            status = regular_stat(path)
            identities.append(path)
            yield ParquetPath(name, path, status.st_size, status.st_mtime_ns)
    refuse_same(identities)


def _remote(address: str) -> Iterator[ParquetPath]:
    filesystem, root = storage.resolve(address)
    for info in filesystem.get_file_info(fs.FileSelector(root, recursive=True)):
        name = info.path.removeprefix(root).strip("/")
        hidden = any(is_hidden(part) or part.startswith(_HIDDEN_PREFIXES) for part in name.split("/"))
        if info.is_file and not hidden and _is_wanted(name):
            yield ParquetPath(name, info.path, info.size, info.mtime_ns)


def _is_wanted(name: str) -> bool:
    return name.lower().endswith(".parquet") and _split_of(name) in ("train", "test")


def _split_of(name: str) -> str:
    """From the file's name or, failing that, the nearest folder that names a split; empty if there is none."""
    for part in reversed(name.split("/")):
        if match := _SPLIT_NAME.match(part):
            return match.group(1).lower()
    return ""


def _refuse_several_folders(address: str, split: str, names: list[str]) -> None:
    folders = {os.path.dirname(name): name for name in reversed(names)}
    if len(folders) > 1:
        one, other = sorted(folders.values())[:2]
        raise DataError(
            f"{address} has {split} images in several folders ({one} and {other}): give the folder of one data set, "
            "or put the parts of one in one folder"
        )


def _refuse_several_sets(address: str, names: list[str]) -> None:
    """The training images of one with the test images of another."""
    places = {_place(name): name for name in reversed(names)}
    if len(places) > 1:
        one, other = sorted(places.values())[:2]
        raise DataError(
            f"{address} has training and test images of different data sets ({one} and {other}): give the folder of one"
        )


def _place(name: str) -> str:
    """The folder of a data set: above the outermost name of a split."""
    parts = name.split("/")
    first = next(index for index, part in enumerate(parts) if _SPLIT_NAME.match(part))
    return "/".join(parts[:first])


def _refuse_copies(address: str, split: str, names: list[str]) -> None:
    """A copy or another version beside the parts of a split, and parts that are missing."""
    parts: dict[int, str] = {}
    first, total = names[0], None
    for name in names:
        number, total = _part(name)
        twin = parts.setdefault(number, name) if total else name
        if _kind(name) != _kind(first) or twin != name:
            raise DataError(
                f"{address} has both {twin if twin != name else first} and {name} for {split}, which are not numbered "
                "parts of one set: remove the one that is a copy or another version, or number them "
                f"({split}-0.parquet, {split}-1.parquet)"
            )
    if total and len(parts) < total:
        raise DataError(
            f"{address} has {len(parts)} of the {total} parts of {split} that {first} speaks of: copy the others, too, "
            "or rename those that are to be all"
        )


def _part(name: str) -> tuple[int, int]:
    """2 and 5 for train-00002-of-00005.parquet, which datasets and Spark's users write; else zeros."""
    match = _SHARD.search(os.path.basename(name))
    return (int(match[1]), int(match[2])) if match else (0, 0)


def _kind(name: str) -> str:
    """What the parts of one set have in common: their name without its number, or without a hash behind that."""
    stem = os.path.splitext(os.path.basename(name))[0]
    match = _SHARD.search(stem)
    return f"{stem[: match.start()]} of {int(match[2])}" if match else _NUMBER.sub("#", stem)

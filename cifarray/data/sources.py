"""From the one string that names the data to something that can be read.

Not here: the readers themselves (`download`, `parquet`, `folders`, `synthetic`) and what is stored (`store`).
"""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from cifarray.data import download, folders, parquet, parquet_files, synthetic
from cifarray.data.errors import DataError
from cifarray.data.files import regular_stat
from cifarray.data.images import Dataset
from cifarray.storage import is_remote

CHOICES = (
    "cifar10, cifar100, synthetic, synthetic:N, a folder or s3://, gs:// prefix of Parquet files, "
    "or a folder of class folders"
)


@dataclass(frozen=True)
class Source:
    """`name` is the resolved string, `fingerprint` changes when the data does, `read(side)` decodes everything."""

    name: str
    fingerprint: str
    read: Callable[[int], Dataset]


def resolve(source: str) -> str:
    """The string that means the same data in every working directory: folders become absolute paths.

    Raises DataError if it is no known name and no folder.
    """
    if source in download.NAMES or is_remote(source):
        return source.rstrip("/")
    if source.partition(":")[0] == "synthetic":
        return f"synthetic:{_num_synthetic(source)}"
    try:
        folder = Path(source).expanduser().absolute()
        is_file, is_folder = folder.is_file(), folder.is_dir()
    except (OSError, RuntimeError) as error:
        # A name that is too long, a folder that may not be looked into, a ~user that is not known.
        raise DataError(f"data {source!r} cannot be looked at ({error}): choose {CHOICES}") from error
    if is_file:
        raise DataError(f"data {source!r} is a file: give the folder that holds the files of train and test")
    if not source or "://" in source or not is_folder:
        raise DataError(f"data {source!r} is neither a known name nor a folder: choose {CHOICES}")
    if not str(folder).isprintable():
        raise DataError(f"data {source!r} is a folder whose name cannot be printed: rename it")
    return str(folder)


def local_folder(source: str) -> str | None:
    """The folder that a source is on this machine's disk; None for a known name or a remote prefix."""
    named = source in download.NAMES or is_remote(source) or source.partition(":")[0] == "synthetic"
    return None if named else str(Path(source).expanduser().absolute())


def find(source: str) -> Source:
    """Looks at names, sizes and times only, so that it is fast enough for every start. Raises DataError."""
    name = resolve(source)
    if name in download.NAMES:
        return Source(name, name, partial(download.read, name))
    if name.startswith("synthetic:"):
        return Source(name, name, partial(synthetic.generate, _num_synthetic(name)))
    files = parquet_files.list_files(name)
    if "train" in files:
        stamps = (file[1:] for paths in files.values() for file in paths)
        return Source(name, _fingerprint(name, stamps), partial(parquet.read, name, files))
    tree = folders.Tree() if is_remote(name) else folders.list_tree(name)
    if not tree.train:
        raise DataError(
            f"{name} holds no training images: train*.parquet files"
            + ("" if is_remote(name) else f", or class folders with {', '.join(folders.SUFFIXES)} files,")
            + " are needed"
        )
    stamps = ((path, (stat := regular_stat(path)).st_size, stat.st_mtime_ns) for path in tree.files())
    return Source(name, _fingerprint(f"{name} {tree.no_test or ''}", stamps), partial(folders.read, tree))


def _num_synthetic(source: str) -> int:
    _, colon, number = source.partition(":")
    if not colon:
        return synthetic.DEFAULT_TRAIN
    fewest = 5 * len(synthetic.CLASSES)
    # No machine generates more, and Python refuses to read thousands of digits.
    if not number.isdecimal() or len(number) > 15 or int(number) < fewest:
        raise DataError(
            f"data {source!r} needs a whole number of training images from {fewest} on, and no more than memory holds: "
            "synthetic:2000"
        )
    return int(number)


def _fingerprint(name: str, stamps: Iterable[tuple[str, int | None, int | None]]) -> str:
    digest = hashlib.sha256(name.encode())
    for stamp in stamps:
        digest.update(repr(stamp).encode())
    return digest.hexdigest()

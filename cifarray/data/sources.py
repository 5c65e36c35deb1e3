"""From the one string that names the data to something that can be read.

Not here: what sources are called (`names`), the readers themselves (`download`, `parquet`, `folders`, `synthetic`) and
what is stored (`store`).
"""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

from cifarray.data import download, folders, parquet, parquet_files, synthetic
from cifarray.data.errors import DataError
from cifarray.data.files import regular_stat
from cifarray.data.images import Dataset
from cifarray.data.names import PUBLISHED, num_synthetic, resolve
from cifarray.storage import is_remote


@dataclass(frozen=True)
class Source:
    """`name` is the resolved string, `fingerprint` changes when the data does, `read(side)` decodes everything."""

    name: str
    fingerprint: str
    read: Callable[[int], Dataset]


def find(source: str) -> Source:
    """Looks at names, sizes and times only, so that it is fast enough for every start. Raises DataError."""
    name = resolve(source)
    if name in PUBLISHED:
        return Source(name, name, partial(download.read, name))
    if name.startswith("synthetic:"):
        return Source(name, name, partial(synthetic.generate, num_synthetic(name)))
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


def _fingerprint(name: str, stamps: Iterable[tuple[str, int | None, int | None]]) -> str:
    digest = hashlib.sha256(name.encode())
    for stamp in stamps:
        digest.update(repr(stamp).encode())
    return digest.hexdigest()

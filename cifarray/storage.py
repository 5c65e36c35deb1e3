"""The one place that knows how to read, write and delete at an address: a local path, `s3://…` or `gs://…`.

Here: atomic writes (temporary name, then rename; an object store's put is atomic by itself), reads, deletion.
Not here: what is stored (checkpoints, journal segments, data stores).
"""

import contextlib
import os
import uuid
from pathlib import Path

import pyarrow
from pyarrow import fs

REMOTE_SCHEMES = ("s3://", "gs://", "gcs://")


class StorageError(OSError):
    """An address that cannot be read or written, in one sentence."""


def is_remote(address: str) -> bool:
    return address.startswith(REMOTE_SCHEMES)


def absolute(address: str) -> str:
    """Local paths made absolute (workers change directory); remote addresses unchanged.

    Raises ValueError for a scheme that is not known.
    """
    if is_remote(address):
        return address.rstrip("/")
    if "://" in address:
        raise ValueError(f"storage {address!r} has an unknown scheme: give a folder, or an s3:// or gs:// address")
    return str(Path(address).expanduser().absolute())


def join(base: str, *parts: str) -> str:
    return "/".join([base.rstrip("/"), *parts])


def _resolve(address: str) -> tuple[fs.FileSystem, str]:
    if not is_remote(address):
        return fs.LocalFileSystem(), str(Path(address).absolute())
    try:
        filesystem, path = fs.FileSystem.from_uri(address)
    except (pyarrow.ArrowException, OSError) as error:
        raise StorageError(f"{address} cannot be opened ({error}): check the address and its credentials") from error
    return filesystem, path


def write_bytes(address: str, data: bytes | memoryview) -> None:
    """Write all of `data` or nothing. Missing folders are made. Raises StorageError (full disk, no permission)."""
    filesystem, path = _resolve(address)
    partial = path if is_remote(address) else f"{path}.{uuid.uuid4().hex[:8]}.partial"
    try:
        filesystem.create_dir(os.path.dirname(path), recursive=True)
        with filesystem.open_output_stream(partial) as stream:
            stream.write(data)
        if partial != path:
            os.replace(partial, path)
    except (pyarrow.ArrowException, OSError) as error:
        if partial != path:
            with contextlib.suppress(OSError):
                os.unlink(partial)
        raise StorageError(f"{address} cannot be written ({error}): free space or choose another --storage") from error


def read_bytes(address: str) -> bytes:
    """Raises StorageError if there is no such file."""
    filesystem, path = _resolve(address)
    try:
        with filesystem.open_input_stream(path) as stream:
            return bytes(stream.read())
    except (pyarrow.ArrowException, OSError) as error:
        raise StorageError(f"{address} cannot be read ({error}): check the address") from error


def exists(address: str) -> bool:
    filesystem, path = _resolve(address)
    return bool(filesystem.get_file_info(path).type != fs.FileType.NotFound)


def names(address: str) -> list[str]:
    """Names directly below a folder or prefix, sorted; empty if there is none."""
    filesystem, path = _resolve(address)
    infos = filesystem.get_file_info(fs.FileSelector(path, allow_not_found=True))
    return sorted(info.base_name for info in infos)


def delete(address: str) -> None:
    """Delete one file; one that is already gone is no error."""
    filesystem, path = _resolve(address)
    with contextlib.suppress(FileNotFoundError):
        filesystem.delete_file(path)


def delete_folder(address: str) -> None:
    """Delete a folder or prefix and all below it; one that is already gone is no error."""
    filesystem, path = _resolve(address)
    with contextlib.suppress(OSError):
        filesystem.delete_dir(path)


def move(source: str, target: str) -> None:
    """Rename a folder or file (object stores copy and delete)."""
    filesystem, path = _resolve(source)
    filesystem.move(path, _resolve(target)[1])

"""The one place that knows how to read, write and delete at an address: a local path, `s3://…` or `gs://…`.

Here: atomic writes (temporary name, then rename; a bucket's put is atomic by itself), reads, deletion, and
whether a bucket can be used at all. How a bucket is reached (credentials, region, another endpoint than Amazon's) is
said by the environment (`VARIABLES`) and not by the address. Buckets are never made.
Not here: what is stored (checkpoints, journal segments, data stores).
"""

import contextlib
import errno
import os
import re
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pyarrow
from pyarrow import fs

from cifarray.places import REMOTE_SCHEMES
from cifarray.redaction import has_password, redact

T = TypeVar("T")
VARIABLES = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
)
"""What the environment says of buckets, where a node's own role does not. Some of it is secret."""
AWAY_SECONDS = 60.0
"""How long `patiently` asks a bucket that does not answer."""
FULL_SECONDS = 10.0
"""How long `patiently` waits for a disk that is full or away; others may clear it up."""
_MAY_PASS = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ESTALE, errno.ETIMEDOUT}
_PATIENCE_SECONDS = 15
"""How long Google's client asks again; by itself it would for a quarter of an hour."""
_ANSWER_SECONDS = 30.0
"""How long Amazon's client waits for an answer; by itself it would for 3 s, thirty times."""
_CONNECT_SECONDS = 5.0
_ATTEMPTS = 3
"""How often Amazon's client asks in all, within some seconds if nobody is there."""
_REASON_LENGTH = 200


class StorageError(OSError):
    """An address that cannot be read or written, in one sentence."""


def is_remote(address: str) -> bool:
    return address.startswith(REMOTE_SCHEMES)


def environment() -> dict[str, str]:
    """Those of `VARIABLES` that are set here."""
    return {name: os.environ[name] for name in VARIABLES if name in os.environ}


def absolute(address: str) -> str:
    """Local paths made absolute (workers change directory); remote addresses without superfluous slashes.

    Raises ValueError for a scheme that is not known, for options in the address and for one without a bucket.
    """
    scheme, _, path = address.partition("://")
    refuse_keys(address)
    if is_remote(address):
        if "?" in address:
            raise ValueError(
                f"storage {redact(address)!r} has options after the question mark: leave them out and set the "
                "environment instead (AWS_ENDPOINT_URL, AWS_REGION)"
            )
        if "#" in address:
            raise ValueError(f"storage {address!r} has a # in it, after which nothing is read: choose another folder")
        # Folders on the driver's disk are named after addresses, and no folder is called nothing or a dot.
        parts = [part for part in path.split("/") if part not in ("", ".")]
        if not parts:
            raise ValueError(f"storage {address!r} names no bucket: give {scheme}://BUCKET or {scheme}://BUCKET/FOLDER")
        return f"{scheme}://{'/'.join(parts)}"
    if "://" in address:
        raise ValueError(f"storage {address!r} has an unknown scheme: give a folder, or an s3:// or gs:// address")
    return str(Path(address).expanduser().absolute())


def refuse_keys(text: str) -> None:
    """Raises StorageError for an address with keys in it: journals, logs and MLflow keep addresses."""
    if has_password(text):
        raise StorageError(
            f"{redact(text)} has keys in it, which would stand in journals and logs: leave them out and set the "
            "environment instead (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or GOOGLE_APPLICATION_CREDENTIALS)"
        )


def join(base: str, *parts: str) -> str:
    return "/".join([base.rstrip("/"), *parts])


def resolve(address: str) -> tuple[fs.FileSystem, str]:
    """The file system of an address and the path in it. Raises what pyarrow raises."""
    if not is_remote(address):
        return fs.LocalFileSystem(), str(Path(address).absolute())
    refuse_keys(address)
    if not address.startswith("s3://"):
        filesystem, path = fs.FileSystem.from_uri(f"{address}?retry_limit_seconds={_PATIENCE_SECONDS}")
        return filesystem, path
    path = address.removeprefix("s3://")
    # As `from_uri` would, which takes no time limits.
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    filesystem = fs.S3FileSystem(
        endpoint_override=endpoint,
        region=None if endpoint else fs.resolve_s3_region(path.partition("/")[0]),
        request_timeout=_ANSWER_SECONDS,
        connect_timeout=_CONNECT_SECONDS,
        retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=_ATTEMPTS),
    )
    return filesystem, path


def refuse_unusable(address: str) -> None:
    """Raises StorageError for a remote address whose bucket does not exist or cannot be reached."""
    if not is_remote(address):
        return
    with _in_a_sentence(address, "reached"):
        filesystem, path = resolve(address)
        bucket = path.split("/")[0]
        if address.startswith("s3://"):
            is_there = bool(bucket) and filesystem.get_file_info(bucket).type != fs.FileType.NotFound
        else:
            is_there = _is_in_a_bucket_of_google(filesystem, path)
    if not is_there:
        raise StorageError(f"the bucket {bucket!r} of {address} does not exist: create it, or give another address")


def _is_in_a_bucket_of_google(filesystem: fs.FileSystem, prefix: str) -> bool:
    """Who may read, write and list objects may not look at the bucket itself (storage.buckets.get)."""
    if filesystem.get_file_info(prefix).type == fs.FileType.NotFound:
        try:
            filesystem.get_file_info(fs.FileSelector(prefix))
        except FileNotFoundError:
            return False
        except OSError:
            # So Arrow says that the bucket has nothing there yet. Whatever else is wrong was raised above.
            pass
    return True


def patiently(address: str, action: Callable[[], T], seconds: float = AWAY_SECONDS) -> T:
    """What `action` gives; it is done again for so long if `address` is in a bucket that is away, and for
    FULL_SECONDS if it is on a disk that has no room.

    Training for hours is not to be lost because a network is gone for a moment. Raises StorageError when time is up.
    """
    remote, began = is_remote(address), time.monotonic()
    while True:
        try:
            return action()
        except StorageError as error:
            cause = error.__cause__
            may_pass = remote or (isinstance(cause, OSError) and cause.errno in _MAY_PASS)
            if not may_pass or time.monotonic() - began >= (seconds if remote else FULL_SECONDS):
                raise
            time.sleep(1.0)


def write_bytes(address: str, data: bytes | memoryview) -> None:
    """Write all of `data` or nothing, and return when it would outlive a loss of power. Missing folders are made.

    Raises StorageError (full disk, no permission).
    """
    with _in_a_sentence(address, "written"):
        filesystem, path = resolve(address)
        if is_remote(address):
            with filesystem.open_output_stream(path) as stream:
                stream.write(data)
        else:
            _write_file(Path(path), data)


def _write_file(path: Path, data: bytes | memoryview) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{uuid.uuid4().hex[:8]}.partial")
    try:
        with open(partial, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise
    # The rename, too.
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def read_bytes(address: str) -> bytes:
    """Raises StorageError if there is no such file."""
    with _in_a_sentence(address, "read"):
        filesystem, path = resolve(address)
        with filesystem.open_input_stream(path) as stream:
            return bytes(stream.read())


def exists(address: str) -> bool:
    """Raises StorageError if that cannot be found out."""
    with _in_a_sentence(address, "looked at"):
        filesystem, path = resolve(address)
        return bool(filesystem.get_file_info(path).type != fs.FileType.NotFound)


def names(address: str) -> list[str]:
    """Names directly below a folder or prefix, sorted; empty if there is none. Raises StorageError."""
    with _in_a_sentence(address, "listed"):
        filesystem, path = resolve(address)
        infos = filesystem.get_file_info(fs.FileSelector(path, allow_not_found=True))
    return sorted(info.base_name for info in infos)


def files(address: str) -> list[str]:
    """All files below a folder or prefix, by their path in it, sorted; empty if there is none. Raises StorageError."""
    with _in_a_sentence(address, "listed"):
        filesystem, path = resolve(address)
        infos = filesystem.get_file_info(fs.FileSelector(path, recursive=True, allow_not_found=True))
    return sorted(info.path.removeprefix(f"{path.rstrip('/')}/") for info in infos if info.is_file)


def delete(address: str) -> None:
    """Delete one file; one that is already gone is no error. Raises StorageError."""
    with _in_a_sentence(address, "deleted"), contextlib.suppress(FileNotFoundError):
        filesystem, path = resolve(address)
        filesystem.delete_file(path)


def delete_folder(address: str) -> None:
    """Delete a folder or prefix and all below it; one that is already gone or stays is no error."""
    with contextlib.suppress(OSError, pyarrow.ArrowException):
        filesystem, path = resolve(address)
        filesystem.delete_dir(path)


def move_folder(source: str, target: str) -> None:
    """Rename a folder; in a bucket each object is copied there and the old ones deleted. Raises StorageError."""
    with _in_a_sentence(source, "moved"):
        filesystem, path = resolve(source)
        goal = resolve(target)[1]
        if not is_remote(source):
            filesystem.move(path, goal)
            return
        for info in filesystem.get_file_info(fs.FileSelector(path, recursive=True, allow_not_found=True)):
            if info.is_file:
                filesystem.copy_file(info.path, goal + info.path.removeprefix(path))
        with contextlib.suppress(FileNotFoundError):
            filesystem.delete_dir(path)


@contextlib.contextmanager
def _in_a_sentence(address: str, done: str) -> Iterator[None]:
    """Whatever goes wrong in here is a StorageError: `address` cannot be `done`, why, and what helps."""
    try:
        yield
    except StorageError:
        raise
    except (pyarrow.ArrowException, OSError) as error:
        # Those of buckets go on about requests and hosts over several lines.
        reason = redact(" ".join(str(error).split()))
        shortened = reason if len(reason) <= _REASON_LENGTH else f"{reason[:_REASON_LENGTH]}…"
        remedy = _remedy(address, reason) if is_remote(address) else _local_remedy(error, done)
        raise StorageError(f"{address} cannot be {done} ({shortened}): {remedy}") from error


def _local_remedy(error: Exception, done: str) -> str:
    if done != "written":
        return "check the address"
    match getattr(error, "errno", None):
        case errno.ENOSPC | errno.EDQUOT:
            return "free space or choose another --storage"
        case errno.EROFS:
            return "mount it so that it can be written, or choose another --storage"
        case _:
            return "look at its folder, or choose another --storage"


def _remedy(address: str, reason: str) -> str:
    """Of an address in an object store."""
    amazon = address.startswith("s3://")
    if any(word in reason for word in ("ACCESS_DENIED", "INVALID_ACCESS_KEY", "SIGNATURE", "UNAUTHENTICATED")) or (
        any(word in reason for word in ("OAuth2", "PERMISSION_DENIED", "credentials"))
    ):
        variables = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY" if amazon else "GOOGLE_APPLICATION_CREDENTIALS"
        return f"set {variables} to an account that may use the bucket, or give the nodes a role that may"
    if any(word in reason for word in ("NETWORK_CONNECTION", "UNAVAILABLE", "resolve host", "DEADLINE_EXCEEDED")):
        return f"check the network{' and AWS_ENDPOINT_URL' if amazon else ''}"
    # Many other errors name the bucket too.
    if re.search(r"NO_SUCH_BUCKET|bucket does not exist|Bucket '[^']*' not found", reason):
        return "create the bucket, or give another address"
    if amazon:
        # An expired session and a bucket of another region are often no more than a status to its client.
        return "check the address, AWS_REGION and the credentials (those with AWS_SESSION_TOKEN expire)"
    return "check the address and its credentials"

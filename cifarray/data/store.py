"""The prepared data on disk: one memory-mapped Arrow IPC file per split, made once per node.

Or once for all nodes, whose CIFARRAY_HOME is then one network folder. The first process prepares, the others wait for
its lock. NFS 4, EFS and Lustre pass such locks on; where a folder does not, several hosts may prepare at once, and the
store of the first one to end stays.

A store is a folder below `home()/data` with `train.arrow` and, if the source has one, `test.arrow`; `no_test.txt` says
why test images are no split. Columns: `image` (fixed_size_binary[3·side²], height × width × channel, uint8) and `label`
(int64), in a single record batch, so that all images are one stretch of memory. The schema's metadata holds, as JSON:
source, side, classes, mean, std, covariance, rows, sha256.
Not here: reading sources (`sources`), choosing rows (`splits`).
"""

import contextlib
import hashlib
import json
import logging
import mmap
import os
import platform
import re
import shutil
import warnings
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

import pyarrow as pa
import torch
from filelock import FileLock
from torch import Tensor

from cifarray.data import sources
from cifarray.data.classes import refuse_unlearnable
from cifarray.data.colors import Channels, Covariance
from cifarray.data.errors import DataError
from cifarray.data.images import Dataset, Split
from cifarray.places import home

# Part of a store's name: a new layout or a change of the readers prepares everything anew.
_FORMAT = 3

_NO_TEST = "no_test.txt"
"""Why the source's test images are no test split, for whoever asks for it."""

log = logging.getLogger(__name__)

_prepared: dict[tuple[str, str, int], Path] = {}
"""Where this process has found a source (home, source, side) prepared."""


@dataclass(frozen=True)
class ImageStore:
    """One split. The tensors are views of the memory map, shared by all processes that open it.

    The map is copy-on-write: whoever writes to a tensor changes it in this process alone.
    """

    path: Path
    images: Tensor
    """(N, side, side, 3) uint8."""
    labels: Tensor
    """(N,) int64."""
    source: str
    side: int
    classes: tuple[str, ...]
    mean: Channels
    """Of the training split's pixels, per channel, in 0..1 units; likewise `std`."""
    std: Channels
    covariance: Covariance
    """Of the training split's channels, in the same units."""
    sha256: str
    """Of the images' bytes followed by the labels' (little-endian int64)."""


def prepare(source: str, image_size: int = 32) -> Path:
    """Reads the source and stores it, unless that was done already; many processes may call it at once.

    Returns the store's folder. Classes without names are told in a warning of the log. Raises DataError; then nothing
    half-written stays.
    """
    if image_size < 1:
        raise DataError(f"image size {image_size} is no side of an image: give the pixels of one, such as 32")
    origin = sources.find(source)
    folder = _folder(origin, image_size)
    if (folder / "train.arrow").exists():
        return folder
    # Of this host: a network folder may keep processes of one host apart and not those of two, who then both prepare.
    partial = folder.with_name(f"{folder.name}.{platform.node()}.partial")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_name(f"{folder.name}.lock")):
            if (folder / "train.arrow").exists():
                return folder
            # Left by a process that was killed; the lock says that nobody is writing there.
            shutil.rmtree(partial, ignore_errors=True)
            with warnings.catch_warnings():
                # Of descriptions that cannot be read, in images that can.
                warnings.filterwarnings("ignore", module=r"PIL\.")
                dataset = origin.read(image_size)
            refuse_unlearnable(dataset, source)
            if dataset.no_names is not None:
                log.warning("%s", dataset.no_names)
            try:
                partial.mkdir()
                _write(partial, origin.name, dataset)
                _put(partial, folder)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
    except OSError as error:
        raise DataError(
            f"{folder} cannot be written ({error}): free some space, or set CIFARRAY_HOME to a folder on another disk"
        ) from error
    return folder


def open_store(source: str, split: Literal["train", "test"], image_size: int = 32) -> ImageStore:
    """Opens a split, prepared first if it is not yet. Raises DataError, also if the source has no such split.

    A process looks at a source once, however many trials it trains: listing a large folder or a bucket takes seconds.
    """
    key = (str(home()), source, image_size)
    if key not in _prepared or not (_prepared[key] / "train.arrow").exists():
        _prepared[key] = prepare(source, image_size)
    path = _prepared[key] / f"{split}.arrow"
    try:
        stat = path.stat()
    except FileNotFoundError:
        with contextlib.suppress(FileNotFoundError):
            raise DataError((_prepared[key] / _NO_TEST).read_text(encoding="utf-8")) from None
        raise DataError(f"data {source!r} has no {split} split: add one to it, or choose data that has one") from None
    return _open(path, stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=8)
def _open(path: Path, size: int, mtime_ns: int) -> ImageStore:
    """Cached, since the checksum takes a tenth of a second for CIFAR; a file that changed is opened anew."""
    try:
        with path.open("rb") as file:
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
        whole = pa.py_buffer(mapped)
        batch = pa.ipc.open_file(whole).get_batch(0)
        metadata = {key.decode(): json.loads(value) for key, value in batch.schema.metadata.items()}
        rows, side = metadata["rows"], metadata["side"]
        views = []
        for column, dtype, count in (("image", torch.uint8, rows * side * side * 3), ("label", torch.int64, rows)):
            offset = batch.column(column).buffers()[1].address - whole.address
            views.append(torch.frombuffer(mapped, dtype=dtype, count=count, offset=offset))
        images, labels = views[0].view(rows, side, side, 3), views[1]
        if _sha256(Split(images, labels)) != metadata["sha256"]:
            raise ValueError("its checksum is wrong")
        red, green, blue = map(tuple, metadata["covariance"])
        return ImageStore(
            path=path,
            images=images,
            labels=labels,
            source=metadata["source"],
            side=side,
            classes=tuple(metadata["classes"]),
            mean=tuple(metadata["mean"]),
            std=tuple(metadata["std"]),
            covariance=(red, green, blue),
            sha256=metadata["sha256"],
        )
    except (pa.ArrowException, OSError, ValueError, KeyError, AttributeError) as error:
        raise DataError(
            f"{path} cannot be read ({error}): it is damaged, delete the folder {path.parent} and run again, "
            "it is prepared anew"
        ) from error


def _folder(source: sources.Source, side: int) -> Path:
    """Named for people, and by a hash that changes with the data."""
    readable = re.sub(r"[^A-Za-z0-9]+", "-", source.name.rstrip("/").rpartition("/")[2]).strip("-")
    digest = hashlib.sha256(f"{_FORMAT} {side} {source.fingerprint}".encode()).hexdigest()
    return home() / "data" / f"{readable}-{side}-{digest[:10]}"


def _write(folder: Path, source: str, dataset: Dataset) -> None:
    if dataset.no_test is not None:
        (folder / _NO_TEST).write_text(dataset.no_test, encoding="utf-8")
    mean, std, covariance = channel_statistics(dataset.train.images)
    for name, split in (("train", dataset.train), ("test", dataset.test)):
        if split is None:
            continue
        rows, side = split.images.shape[:2]
        metadata = {
            "source": source,
            "side": side,
            "classes": dataset.classes,
            "mean": mean,
            "std": std,
            "covariance": covariance,
            "rows": rows,
            "sha256": _sha256(split),
        }
        image_type = pa.binary(3 * side * side)
        schema = pa.schema(
            [pa.field("image", image_type, nullable=False), pa.field("label", pa.int64(), nullable=False)],
            metadata={key: json.dumps(value) for key, value in metadata.items()},
        )
        columns = [
            pa.Array.from_buffers(kind, rows, [None, pa.py_buffer(tensor.contiguous().numpy())])
            for kind, tensor in ((image_type, split.images), (pa.int64(), split.labels))
        ]
        with pa.OSFile(str(folder / f"{name}.arrow"), "wb") as file, pa.ipc.new_file(file, schema) as writer:
            writer.write_batch(pa.record_batch(columns, schema=schema))
        # A rename may outlive a power cut that the file's content does not.
        with (folder / f"{name}.arrow").open("rb") as file:
            os.fsync(file.fileno())


def _put(partial: Path, folder: Path) -> None:
    """Give a store its name, unless another host was faster: its files may be mapped already and must stay."""
    try:
        partial.rename(folder)
    except OSError:
        if (folder / "train.arrow").exists():
            return
        # A store that was emptied by hand.
        shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)


def channel_statistics(images: Tensor) -> tuple[Channels, Channels, Covariance]:
    """Mean, deviation and covariance of the channels of (N, side, side, 3) uint8, in 0..1 units; the sums are exact."""
    sums, products = torch.zeros(3, dtype=torch.int64), torch.zeros(3, 3, dtype=torch.int64)
    for start in range(0, len(images), 1024):
        # Whole numbers below 2**53, which float64 adds up exactly, and faster than int64.
        pixels = images[start : start + 1024].reshape(-1, 3).double()
        sums += pixels.sum(0).long()
        products += (pixels.T @ pixels).long()
    count = images.numel() // 3
    means = sums.double() / count
    variances = (products.diagonal().double() / count - means**2).clamp(min=0)
    # A constant channel would be divided by zero: one grey level is the least that differs.
    stds = variances.sqrt().clamp(min=1)
    covariance = (products.double() / count - means[:, None] * means) / 255**2
    red, green, blue = (_channels(line) for line in covariance)
    return _channels(means / 255), _channels(stds / 255), (red, green, blue)


def _channels(values: Tensor) -> Channels:
    red, green, blue = values.tolist()
    return red, green, blue


def _sha256(split: Split) -> str:
    digest = hashlib.sha256(split.images.contiguous().numpy().data)
    digest.update(split.labels.contiguous().numpy().data)
    return digest.hexdigest()

"""CIFAR-10 and CIFAR-100 from their home page, by torchvision's download, which checks their MD5.

The archives are kept below `home()/downloads`. Not here: other ways to get data (`sources`).
"""

import contextlib
import socket
import sys
from collections.abc import Iterator
from typing import Any

import torch
from PIL import Image

from cifarray.data.errors import DataError
from cifarray.data.images import Dataset, Split, stack
from cifarray.places import home

_PATIENCE_SECONDS = 30.0


def read(name: str, side: int) -> Dataset:
    """`name` is one of `names.PUBLISHED`. Raises DataError if it is neither on disk nor to be had."""
    # Takes as long to import as torch itself, and every worker would pay for what only a download needs.
    from torchvision.datasets import CIFAR10, CIFAR100

    kind = {"cifar10": CIFAR10, "cifar100": CIFAR100}[name]
    folder = home() / "downloads"
    try:
        # torchvision draws a progress bar and prints; standard output belongs to the job.
        with contextlib.redirect_stdout(sys.stderr), _network_patience(_PATIENCE_SECONDS):
            train, test = (kind(folder, train=train, download=True) for train in (True, False))
    except (OSError, RuntimeError) as error:
        raise DataError(
            f"{name} is not below {folder} and cannot be downloaded ({error}): run once on a machine with network and "
            "the same CIFARRAY_HOME, or give --data a folder or s3://, gs:// prefix of Parquet files, a folder of "
            "class folders, or synthetic"
        ) from error
    return Dataset(tuple(train.classes), _split(train, side), _split(test, side))


def _split(dataset: Any, side: int) -> Split:
    images = map(Image.fromarray, dataset.data)
    return Split(stack(images, len(dataset.data), side), torch.tensor(dataset.targets, dtype=torch.int64))


@contextlib.contextmanager
def _network_patience(seconds: float) -> Iterator[None]:
    """torchvision opens the address without a timeout: behind a silent firewall that hangs for minutes."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)

"""What a data source is called, and how many images are known by its name alone: looked at without torch.

Not here: what is in it (`sources`).
"""

import difflib
from pathlib import Path

from cifarray.data.errors import DataError
from cifarray.storage import is_remote

PUBLISHED = {"cifar10": 50_000, "cifar100": 50_000}
"""Data sets that are downloaded, and their training images."""
SYNTHETIC = "synthetic"
DEFAULT_SYNTHETIC = 10_000
FEWEST_SYNTHETIC = 50
"""Five of each of the ten classes."""

CHOICES = (
    "cifar10, cifar100, synthetic, synthetic:N, a folder or s3://, gs:// prefix of Parquet files, "
    "or a folder of class folders"
)


def resolve(source: str) -> str:
    """The string that means the same data in every working directory: folders become absolute paths.

    Raises DataError if it is no known name and no folder.
    """
    if source in PUBLISHED or is_remote(source):
        return source.rstrip("/")
    if source.partition(":")[0] == SYNTHETIC:
        return f"synthetic:{num_synthetic(source)}"
    try:
        folder = Path(source).expanduser().absolute()
        is_file, is_folder = folder.is_file(), folder.is_dir()
    except (OSError, RuntimeError) as error:
        # A name that is too long, a folder that may not be looked into, a ~user that is not known.
        raise DataError(f"data {source!r} cannot be looked at ({error}): choose {CHOICES}") from error
    if is_file:
        raise DataError(f"data {source!r} is a file: give the folder that holds the files of train and test")
    if not source or "://" in source or not is_folder:
        similar = difflib.get_close_matches(source, [*PUBLISHED, SYNTHETIC], n=1, cutoff=0.7)
        meant = f"did you mean {similar[0]}?" if similar else f"choose {CHOICES}"
        raise DataError(f"data {source!r} is neither a known name nor a folder: {meant}")
    if not str(folder).isprintable():
        raise DataError(f"data {source!r} is a folder whose name cannot be printed: rename it")
    return str(folder)


def is_known(source: str) -> bool:
    """Whether it is a name and no place."""
    return source in PUBLISHED or source.partition(":")[0] == SYNTHETIC


def hidden_folder(source: str) -> str:
    """What is said where a known name is that of a folder here, too; empty where it is not."""
    if not is_known(source) or not Path(source).is_dir():
        return ""
    return f"{source} is the data set of that name, and not the folder here, which is ./{source}"


def local_folder(source: str) -> str | None:
    """The folder that a source is on this machine's disk; None for a known name or a remote prefix."""
    return None if is_known(source) or is_remote(source) else str(Path(source).expanduser().absolute())


def num_synthetic(source: str) -> int:
    """Training images of `synthetic` or `synthetic:N`. Raises DataError for a number that cannot be."""
    _, colon, number = source.partition(":")
    if not colon:
        return DEFAULT_SYNTHETIC
    # No machine generates more, and Python refuses to read thousands of digits.
    if not number.isdecimal() or len(number) > 15 or int(number) < FEWEST_SYNTHETIC:
        raise DataError(
            f"data {source!r} needs a whole number of training images from {FEWEST_SYNTHETIC} on, and no more than "
            "memory holds: synthetic:2000"
        )
    return int(number)


def known_size(source: str) -> int | None:
    """Training images, where the name says it; None for what has to be opened. Raises DataError as `resolve` does."""
    name = resolve(source)
    if name.startswith(f"{SYNTHETIC}:"):
        return num_synthetic(name)
    return PUBLISHED.get(name)

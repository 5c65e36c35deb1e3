"""Where prepared data lives on this machine, and the error that every fault of the data raises.

Not here: the results of studies (`cifarray.storage`).
"""

import os
from pathlib import Path

import platformdirs


class DataError(ValueError):
    """Data that cannot be found, read, understood or stored, in one sentence: file, rule, remedy."""


def home() -> Path:
    """`$CIFARRAY_HOME`, or the user's cache folder. Not created here."""
    chosen = os.environ.get("CIFARRAY_HOME")
    return Path(chosen).expanduser().absolute() if chosen else Path(platformdirs.user_cache_dir("cifarray"))

"""What is made once for all processes of a test run. Not here: any test."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock


def once(folders: pytest.TempPathFactory, name: str, make: Callable[[], bytes]) -> bytes:
    """What `make` gives, called by the first process that asks for `name`; the others wait and read it."""
    shared = folders.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    file = Path(shared, name)
    with FileLock(f"{file}.lock"):
        if not file.exists():
            file.write_bytes(make())
    return file.read_bytes()

"""Processes that begin with nothing of ours, for tests and benchmarks, and that end with whoever asked for them.

A `ProcessPoolExecutor` stops its processes when it is closed. Where it never is, because its owner was killed, they
would wait for work for ever.
"""

import multiprocessing
import os
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.connection import wait
from typing import Any


def fresh_processes(
    count: int, initializer: Callable[..., object] | None = None, *arguments: Any
) -> ProcessPoolExecutor:
    """A pool of `count` processes, in each of which `initializer(*arguments)` was called first."""
    return ProcessPoolExecutor(
        count, multiprocessing.get_context("spawn"), initializer=_begin, initargs=(initializer, arguments)
    )


def _begin(initializer: Callable[..., object] | None, arguments: tuple[Any, ...]) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if initializer is not None:
        initializer(*arguments)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)

"""What is being done before a study's first trial: a line a stage with its seconds, on a terminal while it lasts too.

Not here: the study while it runs (`live`).
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

SHORT_SECONDS = 0.5
"""A stage that is over so soon is not worth a line."""


@contextmanager
def stage(console: Console, doing: str) -> Iterator[None]:
    """A stage while the block lasts; its line says how many seconds it took, and there is none after an exception."""
    began = time.monotonic()
    with console.status(f"{doing} …"):
        yield
    seconds = time.monotonic() - began
    if seconds >= SHORT_SECONDS:
        console.print(f"{doing}: {seconds:.1f} s", highlight=False, soft_wrap=True)

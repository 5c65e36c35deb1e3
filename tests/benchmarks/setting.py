"""What the benchmarks share: a place of their own for the data, a view that only remembers, the printed table.

Not here: what is measured.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


class Quiet:
    """A study's view that shows nothing and keeps the events."""

    def __init__(self) -> None:
        self.events: list[Mapping[str, Any]] = []

    def start(self, study: Any, state: Any, groups: Any) -> None: ...

    def event(self, event: Mapping[str, Any]) -> None:
        self.events.append(event)

    def stop(self) -> None: ...


def data_in(folder: str | Path) -> None:
    """Prepare data below `folder`, and start a Ray of one's own whose workers find this package."""
    os.environ["CIFARRAY_HOME"] = str(folder)
    os.environ.pop("RAY_ADDRESS", None)
    root = str(Path(__file__).parents[2])
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))


def print_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Plain columns: the first to the left, the others to the right. Says how busy the machine was."""
    widths = [max(len(line[column]) for line in [head, *rows]) for column in range(len(head))]
    for line in [head, ["-" * width for width in widths], *rows]:
        cells = [
            line[0].ljust(widths[0]),
            *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True)),
        ]
        print("  ".join(cells))
    print(
        f"{os.cpu_count()} cores; load average over the last 1, 5, 15 minutes: "
        f"{', '.join(f'{load:.1f}' for load in os.getloadavg())}"
    )

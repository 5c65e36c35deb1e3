"""What the benchmarks share: a place of their own for the data, a view that only remembers, the printed table and its
lines.

Not here: what is measured.
"""

import contextlib
import os
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cifarray.study.events import Event


class Quiet:
    """A study's view that shows nothing and keeps the events."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def stage(self, doing: str) -> Any:
        return contextlib.nullcontext()

    def start(self, study: Any, state: Any, worker: Any) -> None: ...

    def event(self, event: Event) -> None:
        self.events.append(event)

    def stop(self) -> None: ...


def data_in(folder: str | Path) -> None:
    """Prepare data below `folder`, and start a Ray of one's own whose workers find this package."""
    os.environ["CIFARRAY_HOME"] = str(folder)
    os.environ.pop("RAY_ADDRESS", None)
    root = str(Path(__file__).parents[2])
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))


def compared(case: str, own: list[float], other: list[float], target: float | None) -> tuple[str, ...]:
    """A line: medians over all turns but the first, the median of the turns' ratios, the ratio that is claimed."""
    own, other = own[1:] or own, other[1:] or other
    ratio = statistics.median(a / b for a, b in zip(own, other, strict=True))
    figures = f"{statistics.median(own):,.0f}", f"{statistics.median(other):,.0f}", f"{ratio:.2f}"
    return case, *figures, "" if target is None else f"≥ {target}"


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

"""Tables that fit: which columns there is room for, and how their headings are broken. Not here: what is in them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from rich.cells import cell_len
from rich.table import Table

GAP = 2


@dataclass(frozen=True)
class Column:
    """left: justified so. spare: 0 for a column that is always there; of the others the largest is left out first."""

    heading: str
    cells: Sequence[str]
    left: bool = False
    spare: int = 0

    @property
    def width(self) -> int:
        """Cells."""
        return max(map(cell_len, (*self.heading.splitlines(), *self.cells)), default=0)

    def broken(self) -> "Column":
        """The same with its heading on as many lines as make it no wider than it must be."""
        lines: list[str] = []
        parts = re.findall(r"[^_. ]+[_. ]*", self.heading)
        most = max(map(cell_len, (*self.cells, *(part.rstrip() for part in parts))), default=0)
        for part in parts:
            if lines and cell_len(lines[-1] + part.rstrip()) <= most:
                lines[-1] += part
            else:
                lines.append(part)
        return replace(self, heading="\n".join(line.rstrip() for line in lines))


def fitting(columns: Sequence[Column], width: int) -> tuple[list[Column], list[Column]]:
    """The columns that fit into `width` cells side by side, their headings broken if they must be; and those left out.

    What is always there is in the first, whether it fits or not.
    """
    shown, left_out = list(columns), list[Column]()
    while True:
        for gap, tried in ((GAP, shown), (GAP, _broken(shown)), (1, _broken(shown))):
            if _width(tried, gap) <= width:
                return tried, left_out
        spare = max(shown, key=lambda column: column.spare)
        if not spare.spare:
            return _broken(shown), left_out
        shown.remove(spare)
        left_out.insert(0, spare)


def draw(columns: Sequence[Column], width: int, styles: Sequence[str] = ()) -> Table:
    """Columns that `fitting` gave; styles: of each row."""
    gap = GAP if _width(columns, GAP) <= width else 1
    table = Table(box=None, padding=(0, gap, 0, 0), pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column.heading, justify="left" if column.left else "right", no_wrap=True, vertical="bottom")
    rows = zip(*(column.cells for column in columns), strict=True)
    for index, row in enumerate(rows):
        table.add_row(*row, style=styles[index] if styles else None)
    return table


def heading_lines(columns: Sequence[Column]) -> int:
    return max((len(column.heading.splitlines()) for column in columns), default=0)


def _broken(columns: Sequence[Column]) -> list[Column]:
    return [column.broken() for column in columns]


def _width(columns: Sequence[Column], gap: int) -> int:
    return sum(column.width for column in columns) + gap * (len(columns) - 1)

"""What a page is made of: parts of sentences, facts, commands, figures and tables, as plain values.

Not here: what a part says (a file for each), how it looks (`page.html`, `page.css`).
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

BLUE, ORANGE, GREY, RED, GREEN, PURPLE = "#1f77b4", "#e8710a", "#9aa0a6", "#d93025", "#188038", "#9334e6"
"""Readable on white and on black."""


@dataclass(frozen=True)
class Figure:
    """A plotly figure, `{"data": …, "layout": …}`. says: what it shows, for whoever cannot see it.

    height, width: in pixels; it is as wide as there is room, and at least `width`.
    """

    says: str
    content: Mapping[str, Any]
    height: int = 420
    width: int = 0
    wide: bool = False
    """Whether it has a row to itself."""


@dataclass(frozen=True)
class Column:
    """kind: how the page writes a value: text, long (prose), and to the right count, number, size, percent, minutes."""

    heading: str
    kind: str = "text"


@dataclass(frozen=True)
class Table:
    """Sortable by its columns, in pages; values are plain, None where there is none."""

    says: str
    columns: Sequence[Column]
    cells: Sequence[Sequence[Any]]


@dataclass(frozen=True)
class Picture:
    """A PNG with what is written below it."""

    png: bytes
    caption: str

    @property
    def address(self) -> str:
        return f"data:image/png;base64,{base64.b64encode(self.png).decode()}"


@dataclass(frozen=True)
class Part:
    """What one study has to say under one heading; the sentence is what the part shows in this study."""

    sentence: str
    facts: Sequence[tuple[str, str]] = ()
    commands: Sequence[tuple[str, str]] = ()
    figures: Sequence[Figure] = ()
    tables: Sequence[Table] = ()
    pictures: Sequence[Picture] = ()
    notes: Sequence[str] = field(default_factory=tuple)


def plain(text: str) -> str:
    """As plotly shows it: of its own it takes <b> and <a> for markup."""
    return escape(text, quote=False)


def plural(count: int, noun: str) -> str:
    """`1 trial`, `2,000 trials`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def hours(value: float) -> str:
    """Worker-hours, or hours, with as many digits as they are worth."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.2g}" if value < 10 else f"{value:.1f}"

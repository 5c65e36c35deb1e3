"""Sentences for the user, broken between words where a terminal would break them within.

Not here: what they say.
"""

import shutil
import sys
import textwrap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


def print_error(text: str) -> None:
    """To standard error: each line of it as one, unless it is longer than the terminal is wide."""
    width = shutil.get_terminal_size().columns if sys.stderr.isatty() else None
    print("\n".join(wrapped(line, width) for line in text.splitlines()), file=sys.stderr)


def say(console: "Console", text: str) -> None:
    """To a console, line by line."""
    width = console.width if console.is_terminal else None
    lines = "\n".join(wrapped(line, width) for line in text.split("\n"))
    console.print(lines, highlight=False, markup=False, soft_wrap=True)


def wrapped(line: str, width: int | None) -> str:
    """A line as it is where nobody looks at it; else over several, with nothing cut: a path stays whole."""
    if width is None or len(line) <= width:
        return line
    return textwrap.fill(line, width, break_long_words=False, break_on_hyphens=False)

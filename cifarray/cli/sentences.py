"""Sentences for the user on standard error, broken between words where a terminal would break them within.

Not here: what they say.
"""

import shutil
import sys
import textwrap


def print_error(text: str) -> None:
    """Each line of it as one, unless it is longer than the terminal is wide."""
    print("\n".join(wrapped(line) for line in text.splitlines()), file=sys.stderr)


def wrapped(line: str) -> str:
    """A line as it is where nobody looks at it; else over several, with nothing cut: a path stays whole."""
    if not sys.stderr.isatty():
        return line
    width = shutil.get_terminal_size().columns
    return line if len(line) <= width else textwrap.fill(line, width, break_long_words=False, break_on_hyphens=False)

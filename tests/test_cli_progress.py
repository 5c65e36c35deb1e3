"""How far an examination is, on a terminal and where no bar can be drawn."""

import io

import pytest
from rich.console import Console

from cifarray.cli.progress import progress_on


def told(monkeypatch, **options):
    """What is written while two tasks of 1,000 images are told, and a line is printed between them."""
    monkeypatch.setenv("TERM", options.pop("term", "xterm"))
    file = io.StringIO()
    console = Console(file=file, width=80, **options)
    with progress_on(console) as tell:
        for done in (0, 500, 1000):
            tell("testing a", done, 1000)
        console.print("a is well")
        tell("testing b", 250, 1000)
    return file.getvalue()


def test_a_terminal_shows_how_much_is_done(monkeypatch):
    text = told(monkeypatch, force_terminal=True)
    shown = text[text.index("a is well") :]
    assert "testing b" in shown
    assert "250/1000" in shown
    # The bar that is full is gone, and at the end so is the other one, with its line.
    assert "testing a" not in shown
    assert text.endswith("\x1b[2K")


@pytest.mark.parametrize("options", [{}, {"force_terminal": True, "term": "dumb"}], ids=["pipe", "dumb terminal"])
def test_where_no_line_can_be_taken_back_each_task_is_one(monkeypatch, options):
    assert told(monkeypatch, **options) == "testing a: 1,000 images\na is well\ntesting b: 1,000 images\n"

"""The live view as a terminal shows it: on tmux, of which the screen can be read and the size changed."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(shutil.which("tmux") is None, reason="no tmux here")

ROOT = Path(__file__).parents[2]
SECONDS = 60
"""In which a step must be seen."""


class Terminal:
    """The study of `on_a_terminal`, on so many columns and lines."""

    def __init__(self, folder, columns, lines, **variables):
        self.steps = folder / "steps"
        os.mkfifo(self.steps)
        self._tmux = ["tmux", "-S", str(folder / "tmux"), "-f", "/dev/null"]
        path = os.pathsep.join(map(str, (ROOT, ROOT / "tests", ROOT / "tests" / "report")))
        given = [f"{name}={value}" for name, value in {"PYTHONPATH": path, **variables}.items()]
        # pytest sets a size for rich, which then looks at no other.
        command = [
            "env",
            "-u",
            "COLUMNS",
            "-u",
            "LINES",
            *given,
            sys.executable,
            str(ROOT / "tests" / "report" / "on_a_terminal.py"),
            str(self.steps),
        ]
        shell = f"{shlex.join(command)}; cat"
        self.tmux("new-session", "-d", "-x", str(columns), "-y", str(lines), shell)
        self.pipe = self.steps.open("w", buffering=1)

    def tmux(self, *arguments):
        return subprocess.run([*self._tmux, *arguments], capture_output=True, text=True, check=True).stdout

    def do(self, step):
        self.pipe.write(f"{step}\n")

    def resize(self, columns, lines):
        self.tmux("resize-window", "-x", str(columns), "-y", str(lines))

    def screen(self, *patterns):
        """As soon as all of these are there."""
        deadline = time.monotonic() + SECONDS
        while True:
            text = self.tmux("capture-pane", "-p")
            if all(re.search(pattern, text, re.MULTILINE) for pattern in patterns):
                return text
            assert time.monotonic() < deadline, f"{patterns} are not all in:\n{text}"

    def close(self):
        self.pipe.close()
        self.tmux("kill-server")


@pytest.fixture
def terminal(tmp_path):
    opened = []

    def open_(columns, lines, **variables):
        opened.append(Terminal(tmp_path, columns, lines, **variables))
        return opened[-1]

    yield open_
    for each in opened:
        each.close()


ROW = r"^ +0 +running +1/20 .*25\.00 % .*110 +False +multiplicative +4\.75 +0\.05"


@pytest.mark.parametrize(("columns", "lines"), [(80, 24), (120, 35)])
def test_a_table_is_drawn_in_place_and_warnings_stand_above_it(terminal, columns, lines):
    shown = terminal(columns, lines)
    shown.do("train")
    text = shown.screen(ROW, "best so far 25.00 %: trial 0 after epoch 1 of 20, running")
    assert ("images/s" in text) == (columns == 120)
    shown.do("warn")
    text = shown.screen("the disk is slow", "said to standard error", ROW)
    above, _, below = text.partition(" trial ")
    assert "the disk is slow: look at it" in above
    assert "said to standard error" in above
    assert below.count("trials done") == text.count("trials done") == 1
    assert "…" not in text
    shown.do("stop")
    text = shown.screen("^over in ")
    assert "trials done" not in text
    assert "the disk is slow" in text


def test_a_terminal_that_changes_its_size_shows_one_table_and_what_was_said(terminal):
    shown = terminal(120, 35)
    shown.do("train")
    shown.do("warn")
    shown.screen(ROW, "the disk is slow")
    for columns, lines, heading in (
        (80, 24, r"^ trial state +epoch accuracy depth bottleneck +widening alpha +lr$"),
        (100, 30, r"^ trial +state +epoch +step +accuracy +images/s +depth"),
        (60, 20, r"^ no room for \d more that vary"),
    ):
        shown.resize(columns, lines)
        text = shown.screen(heading, r"\A *(study|results|the disk)", "the disk is slow")
        assert text.count("trials done") == 1
        assert text.count("the disk is slow") == 1
        assert text.count("best so far") == 1


SAID = r"^(\^C| )?stopping: waits for the workers"
"""The terminal itself may show the keys."""


@pytest.mark.parametrize(("term", "table"), [("xterm", True), ("dumb", False)])
def test_ctrl_c_is_answered_at_once_and_what_is_waited_for_stays_on_the_screen(terminal, term, table):
    shown = terminal(80, 24, TERM=term)
    shown.do("train")
    shown.screen("25\\.00 %")
    shown.tmux("send-keys", "C-c")
    text = shown.screen(SAID)
    assert ("trials done" in text) == table
    shown.do("stop")
    text = shown.screen("^over in", SAID)
    assert "trials done" not in text


def test_a_simple_terminal_has_lines(terminal):
    shown = terminal(80, 24, TERM="dumb")
    shown.do("train")
    text = shown.screen(r"^\[0:00\] trial 0 epoch 1/20: .*25\.00 %")
    assert "trials done" not in text
    shown.do("stop")
    shown.screen("^over in dumb")

"""Output that fails: a reader that has gone, a full disk, an encoding without the letters."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FULL = Path("/dev/full")


def run(code, stdout=subprocess.PIPE, **environment):
    return subprocess.run(
        [sys.executable, "-c", f"from cifarray import output\noutput.take_streams()\n{code}"],
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        check=False,
    )


@pytest.fixture
def closed_pipe():
    """Standard output whose reader has gone."""
    reader, writer = os.pipe()
    os.close(reader)
    yield writer
    os.close(writer)


def test_where_there_are_no_letters_for_it_plain_ones_say_the_same():
    code = "print('2 × 3 ± 1 · 4–7 min → ☃')\nimport sys; print('–', file=sys.stderr)"
    process = run(code, PYTHONIOENCODING="ascii")
    assert (process.returncode, process.stdout, process.stderr) == (0, "2 x 3 +/- 1 | 4-7 min -> ?\n", "-\n")


@pytest.mark.skipif(not FULL.exists(), reason="no /dev/full here")
def test_a_full_disk_ends_nothing():
    with FULL.open("w") as full:
        process = run("print('lost')\nprint(output.is_broken())\nimport sys; print('said', file=sys.stderr)", full)
    assert (process.returncode, process.stderr) == (0, "said\n")


def test_a_reader_that_has_gone_is_noticed_without_a_word(closed_pipe):
    code = "import sys\nfor i in range(3): print('lost')\nsys.exit(7 if output.is_broken() else 0)"
    process = run(code, closed_pipe)
    assert (process.returncode, process.stderr) == (7, "")


def test_a_reader_that_has_gone_ends_a_study_as_sigterm_does(closed_pipe):
    code = """
import sys, threading
from cifarray.engine.signals import interruptible
print("lost, before there is a study", flush=True)
try:
    with interruptible():
        thread = threading.Thread(target=print, args=("lost",))
        thread.start()
        thread.join()
        print("lost", flush=True)
except KeyboardInterrupt:
    sys.exit(7)
"""
    process = run(code, closed_pipe)
    assert (process.returncode, process.stderr) == (7, "")


def test_what_is_shown_with_rich_is_no_exception(closed_pipe):
    """It would end the process with 1, and say nothing."""
    process = run("from rich.console import Console\nConsole().print('lost')\nimport sys; sys.exit(7)", closed_pipe)
    assert (process.returncode, process.stderr) == (7, "")


def test_streams_that_others_have_replaced_stay_theirs(capsys):
    from cifarray import output

    output.take_streams()
    print("4 × 3")
    assert capsys.readouterr().out == "4 × 3\n"

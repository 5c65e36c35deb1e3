"""Whoever asks for processes may be killed at any moment: none stays behind."""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

OWNER = """
import threading
from fresh_processes import fresh_processes

def work():
    print("works", flush=True)
    threading.Event().wait()

if __name__ == "__main__":
    with fresh_processes(2) as pool:
        [pool.submit(work) for _ in range(2)]
"""


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_processes_end_with_their_owner_in_the_middle_of_their_work(tmp_path: Path, end: signal.Signals) -> None:
    script = tmp_path / "owner.py"
    script.write_text(OWNER)
    owner = subprocess.Popen(
        [sys.executable, str(script)],
        env={"PYTHONPATH": str(Path(__file__).parent)},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert owner.stdout is not None
    assert [owner.stdout.readline() for _ in range(2)] == ["works\n"] * 2
    owner.send_signal(end)
    try:
        # The pipe is closed when nobody is left who could write to it.
        assert owner.communicate(timeout=30) == ("", None)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(owner.pid, signal.SIGKILL)

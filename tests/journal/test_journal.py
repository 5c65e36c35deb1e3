"""The journal survives kills, torn lines and a second driver."""

import subprocess
import sys

import pytest

from cifarray.journal.journal import Journal, JournalError, StudyRunningError, read_events


def make_events(count, start=0):
    return [{"kind": "epoch", "trial": 0, "epoch": number} for number in range(start, start + count)]


def test_what_was_appended_is_read_again(tmp_path):
    journal = Journal(tmp_path)
    journal.append(make_events(3))
    journal.close()
    again = Journal(tmp_path)
    again.append(make_events(2, start=3))
    assert [event["epoch"] for event in read_events(again.path)] == [0, 1, 2, 3, 4]
    again.close()


def test_a_torn_last_line_is_dropped_and_written_over(tmp_path):
    journal = Journal(tmp_path)
    journal.append(make_events(2))
    journal.close()
    with open(journal.path, "ab") as file:
        file.write(b'{"kind": "epoch", "tri')
    again = Journal(tmp_path)
    assert len(again.events) == 2
    again.append(make_events(1, start=2))
    again.close()
    assert [event["epoch"] for event in read_events(again.path)] == [0, 1, 2]


def test_a_damaged_line_is_named_with_the_remedy(tmp_path):
    journal = Journal(tmp_path)
    journal.append(make_events(2))
    journal.close()
    journal.path.write_bytes(b"garbage\n" + journal.path.read_bytes())
    with pytest.raises(JournalError, match=r"line 1: restore the file, or start the study anew with --fresh"):
        Journal(tmp_path)


def test_a_second_driver_is_refused_while_the_first_lives(tmp_path):
    journal = Journal(tmp_path / "wrn")
    with pytest.raises(StudyRunningError, match="'wrn' has a driver that lives"):
        Journal(tmp_path / "wrn")
    journal.close()
    Journal(tmp_path / "wrn").close()


def test_the_lock_of_a_killed_driver_is_free(tmp_path):
    code = (
        "import os, signal, sys; from pathlib import Path; from cifarray.journal.journal import Journal\n"
        "journal = Journal(Path(sys.argv[1])); journal.append([{'kind': 'driver'}])\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False).returncode == -9
    journal = Journal(tmp_path)
    assert [event["kind"] for event in journal.events] == ["driver"]
    journal.close()


def test_listeners_hear_an_event_after_it_is_on_disk(tmp_path):
    journal = Journal(tmp_path)
    on_disk = []
    journal.listen(lambda event: on_disk.append(len(read_events(journal.path))))
    journal.append(make_events(2))
    assert on_disk == [2, 2]
    journal.close()


def test_numbers_that_json_has_not_are_an_error_here_and_not_later(tmp_path):
    journal = Journal(tmp_path)
    with pytest.raises(ValueError, match="JSON"):
        journal.append([{"kind": "epoch", "metrics": {"train_loss": float("nan")}}])
    assert read_events(journal.path) == []
    journal.close()

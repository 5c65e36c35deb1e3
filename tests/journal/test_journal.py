"""The journal survives kills, torn lines and a second driver."""

import contextlib
import errno
import subprocess
import sys
from dataclasses import replace

import pytest
from histories import driver_ended, driver_started, epoch_ended

from cifarray.journal.journal import Journal, JournalError, StudyRunningError, read_events
from cifarray.storage import StorageError
from cifarray.study.events import GroupChanged


def make_events(count, start=0):
    return [epoch_ended(0, number) for number in range(start, start + count)]


def test_what_was_appended_is_read_again(tmp_path):
    journal = Journal(tmp_path)
    journal.append(make_events(3))
    journal.close()
    again = Journal(tmp_path)
    again.append(make_events(2, start=3))
    assert [event.epoch for event in read_events(again.path)] == [0, 1, 2, 3, 4]
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
    assert [event.epoch for event in read_events(again.path)] == [0, 1, 2]


def test_a_damaged_line_is_named_with_the_remedy(tmp_path):
    journal = Journal(tmp_path)
    journal.append(make_events(2))
    journal.close()
    journal.path.write_bytes(b"garbage\n" + journal.path.read_bytes())
    with pytest.raises(JournalError, match=r"damaged at line 1 \(.*\): restore .* --repair, or start .* --fresh"):
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
        "from cifarray.study.events import DriverStarted\n"
        "journal = Journal(Path(sys.argv[1])); journal.append([DriverStarted(pid=1, versions={})])\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False).returncode == -9
    journal = Journal(tmp_path)
    assert [event.kind for event in journal.events] == ["driver"]
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
        journal.append([epoch_ended(0, 1, train_loss=float("nan"))])
    assert read_events(journal.path) == []
    journal.close()


def test_an_event_is_given_the_time_at_which_it_is_taken_in(tmp_path, monkeypatch):
    monkeypatch.setattr("time.time", lambda: 1_700_000_000.0)
    journal = Journal(tmp_path)
    journal.append([driver_started(), replace(epoch_ended(0, 1), time=3.0)])
    assert [event.time for event in journal.events] == [1_700_000_000.0, 3.0]
    assert read_events(journal.path) == journal.events
    journal.close()


def test_a_journal_of_a_newer_cifarray_is_refused_and_left_free(tmp_path):
    """It is not damaged: what would help is another cifarray."""
    Journal(tmp_path).close()
    (tmp_path / "journal.jsonl").write_text('{"kind": "driver", "pid": 1, "versions": {}, "mood": "good"}\n')
    for _ in range(2):
        with pytest.raises(JournalError, match="written by a newer cifarray") as refused:
            Journal(tmp_path)
        assert "damaged" not in str(refused.value)


def test_what_an_event_quotes_of_errors_is_written_without_passwords(tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "sesame-open")
    with contextlib.closing(Journal(tmp_path)) as journal:
        heard = []
        journal.listen(heard.append)
        journal.append(
            [
                driver_ended("error", message="no answer of http://me:hunter22@mlflow"),
                GroupChanged(group="wrn/group-0", event="replaced", reason="key sesame-open is not known"),
            ]
        )
        assert heard == journal.events == read_events(journal.path)
    text = journal.path.read_text()
    assert "http://me:***@mlflow" in text
    assert "key *** is not known" in text
    assert "hunter22" not in text


def test_a_folder_that_cannot_be_is_told_in_a_sentence(tmp_path):
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "study"):
        with pytest.raises(StorageError, match=f"{folder} cannot be written .* choose a folder for --storage"):
            Journal(folder)


def test_a_study_that_one_may_not_write_to_is_told_in_a_sentence(tmp_path, monkeypatch):
    """Whoever runs the tests may be root, who may write everywhere."""
    Journal(tmp_path).close()

    def refuse(path, mode="r", **options):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("cifarray.journal.journal.open", refuse, raising=False)
    with pytest.raises(StorageError, match=r"Permission denied.*--storage"):
        Journal(tmp_path)
    monkeypatch.undo()
    Journal(tmp_path).close()

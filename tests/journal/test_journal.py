"""The journal survives kills, torn lines and a second driver."""

import contextlib
import errno
import shutil
import subprocess
import sys
from dataclasses import replace

import pytest
from histories import driver_ended, driver_started, epoch_ended

from cifarray.journal.events import to_json
from cifarray.journal.journal import Journal, JournalError, JournalFullError, StudyRunningError, read_events
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


def test_a_journal_that_was_never_written_to_goes_with_the_folders_that_were_made_for_it(tmp_path):
    for folder in (tmp_path / "results" / "wrn", tmp_path):
        journal = Journal(folder)
        assert journal.path.exists()
        journal.close()
    # A folder of somebody else's stays, and what is in it.
    assert not (tmp_path / "results").exists()
    assert tmp_path.exists()
    with_notes = Journal(tmp_path / "results" / "wrn")
    (tmp_path / "results" / "notes.txt").touch()
    with_notes.close()
    assert [path.name for path in (tmp_path / "results").iterdir()] == ["notes.txt"]


def test_what_was_written_stays_with_its_folders(tmp_path):
    journal = Journal(tmp_path / "results" / "wrn")
    journal.append(make_events(1))
    journal.close()
    assert len(read_events(journal.path)) == 1
    Journal(tmp_path / "results" / "wrn").close()
    assert journal.path.exists()


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


def test_what_follows_a_damaged_line_is_put_aside_by_a_repair(tmp_path):
    journal = Journal(tmp_path)
    journal.append(make_events(4))
    journal.close()
    first, second, *rest = journal.path.read_bytes().splitlines(keepends=True)
    journal.path.write_bytes(b"".join([first, second, b'{"kind": "epo' + rest[0], *rest]))
    repaired = Journal(tmp_path, repair=True)
    assert [event.epoch for event in repaired.events] == [0, 1]
    repaired.append(make_events(1, start=2))
    repaired.close()
    assert [event.epoch for event in read_events(journal.path)] == [0, 1, 2]
    assert repaired.damaged.read_bytes() == b"".join([b'{"kind": "epo' + rest[0], *rest])
    whole = Journal(tmp_path, repair=True)
    assert whole.damaged is None
    whole.close()


class Disk:
    """A file on a disk that takes few bytes at a time, and only `room` in all."""

    def __init__(self, file, room):
        self.file, self.room = file, room

    def write(self, data):
        data = bytes(data[: min(7, self.room)])
        if not data:
            raise OSError(errno.ENOSPC, "No space left on device")
        self.room -= len(data)
        return self.file.write(data)

    def __getattr__(self, name):
        return getattr(self.file, name)


def test_a_disk_that_is_full_leaves_only_whole_lines_and_is_told(tmp_path):
    """What did not get in may be appended again when there is room; it is in the file once."""
    journal = Journal(tmp_path)
    journal.append(make_events(2))
    journal._file = Disk(journal._file, room=40)
    told = []
    journal.listen(told.append)
    with pytest.raises(
        JournalFullError, match=r"journal.jsonl cannot be written \(No space left on device\): make room"
    ):
        journal.append(make_events(1, start=2))
    assert told == []
    assert [event.epoch for event in read_events(journal.path)] == [0, 1]
    assert journal.path.read_bytes().endswith(b"}\n")
    journal._file.room = 10**6
    journal.append(make_events(1, start=2))
    assert [event.epoch for event in read_events(journal.path)] == [0, 1, 2]
    journal.close()


def test_a_study_that_is_copied_or_moved_keeps_to_its_own_checkpoints(tmp_path):
    address = tmp_path / "a" / "trial-0000" / "epoch-0001.pt"
    journal = Journal(tmp_path / "a")
    journal.append(
        [epoch_ended(0, 1, checkpoint=str(address)), driver_ended(artifacts=(str(tmp_path / "a" / "t.csv"),))]
    )
    journal.close()
    assert str(tmp_path) not in journal.path.read_text()
    assert read_events(journal.path)[0].checkpoint == str(address)
    shutil.copytree(tmp_path / "a", tmp_path / "b" / "c")
    epoch, ended = read_events(tmp_path / "b" / "c" / "journal.jsonl")
    assert epoch.checkpoint == str(tmp_path / "b" / "c" / "trial-0000" / "epoch-0001.pt")
    assert ended.artifacts == (str(tmp_path / "b" / "c" / "t.csv"),)


def test_older_journals_name_whole_addresses_of_where_the_study_was_then(tmp_path):
    line = to_json(epoch_ended(0, 1, checkpoint="/elsewhere/a/trial-0000/epoch-0001.pt"))
    (tmp_path / "journal.jsonl").write_text(line + "\n")
    assert read_events(tmp_path / "journal.jsonl")[0].checkpoint == str(tmp_path / "trial-0000" / "epoch-0001.pt")


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

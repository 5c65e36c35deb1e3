"""MLflow's database outlives its head: a copy in the storage, and the way back."""

import sqlite3
import threading

import pytest

from cifarray import storage
from cifarray.cluster_file import database_copy
from cifarray.cluster_file.__main__ import main


@pytest.fixture
def database(tmp_path):
    file = tmp_path / "mlflow.db"
    with sqlite3.connect(file) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE metrics (value REAL)")
        connection.execute("INSERT INTO metrics VALUES (0.5)")
    return file


def values(file):
    with sqlite3.connect(file) as connection:
        return [row[0] for row in connection.execute("SELECT value FROM metrics")]


@pytest.fixture
def copy(tmp_path):
    return database_copy.address(str(tmp_path / "results"))


def test_the_copy_has_what_is_committed_and_not_what_a_server_is_writing(database, tmp_path, copy):
    writer = sqlite3.connect(database)
    writer.execute("INSERT INTO metrics VALUES (0.75)")  # never committed
    storage.write_bytes(copy, database_copy.snapshot(database))
    writer.close()
    new_head = tmp_path / "new" / "mlflow.db"
    assert database_copy.restore(new_head, copy)
    assert values(new_head) == [0.5]


def test_a_database_that_is_there_is_never_overwritten(database, copy):
    storage.write_bytes(copy, b"of another head")
    assert not database_copy.restore(database, copy)
    assert values(database) == [0.5]


def test_the_first_head_of_all_begins_without(tmp_path, copy):
    assert not database_copy.restore(tmp_path / "new.db", copy)
    assert not (tmp_path / "new.db").exists()


@pytest.mark.parametrize("place", ["s3://YOUR-BUCKET/results", "s3://nobody-made-this/results"])
def test_a_bucket_that_is_none_is_one_sentence_and_nothing_is_started(s3_server, place, monkeypatch, capsys):
    monkeypatch.setenv("CIFARRAY_STORAGE", place)
    monkeypatch.setattr("sys.argv", ["cluster_file", "restore"])
    assert main() == 2
    (sentence,) = capsys.readouterr().err.splitlines()
    assert place in sentence
    assert "create" in sentence


def test_what_was_logged_last_is_copied_at_the_end(database, copy, tmp_path):
    stop = threading.Event()
    stop.set()
    database_copy.keep_copying(database, copy, stop, seconds=3600)
    database_copy.restore(tmp_path / "new.db", copy)
    assert values(tmp_path / "new.db") == [0.5]


def test_only_changes_are_copied(database, copy, monkeypatch):
    written = []
    monkeypatch.setattr(storage, "write_bytes", lambda address, data: written.append(address))
    turns = iter([False, False, "change", False, True])

    class Turns(threading.Event):
        def wait(self, seconds=None):
            turn = next(turns)
            if turn == "change":
                with sqlite3.connect(database) as connection:
                    connection.execute("INSERT INTO metrics VALUES (0.75)")
            return turn is True

    database_copy.keep_copying(database, copy, Turns())
    assert written == [copy, copy]


def test_a_storage_that_is_away_is_tried_again(database, copy, monkeypatch, caplog):
    answers = iter([storage.StorageError("away"), None])

    def write(address, data):
        if answer := next(answers):
            raise answer

    monkeypatch.setattr(storage, "write_bytes", write)
    turns = iter([False, False, True])
    stop = threading.Event()
    monkeypatch.setattr(stop, "wait", lambda seconds: next(turns))
    database_copy.keep_copying(database, copy, stop)
    assert next(answers, "asked twice") == "asked twice"
    assert "was not copied, the next time in 60.0 s: away" in caplog.text

"""The journal's copy: another head goes on from it, two heads never spoil it, and it never names what is deleted."""

import json
import threading
from pathlib import Path

import pytest
from histories import driver_ended, driver_started, epoch_ended, study_started

from cifarray import storage
from cifarray.journal import copy as journal_copy
from cifarray.journal.copy import JournalCopy, JournalForkedError, Segment, chain
from cifarray.journal.journal import Journal, StudyRunningError, read_events
from cifarray.storage import StorageError
from cifarray.study.events import CheckpointDropped


def make_events(count, start=0):
    return [epoch_ended(0, number, train_loss=1 / (number + 3)) for number in range(start, count)]


@pytest.fixture
def opened(tmp_path):
    """Opens the journal of a head whose disk has that name; all share one copy."""
    journals = []

    def open_(head):
        journals.append(Journal(tmp_path / head / "wrn", str(tmp_path / "bucket")))
        return journals[-1]

    yield open_
    for journal in journals:
        if not journal._file.closed:
            journal.close()


def segments(tmp_path):
    return chain(storage.names(str(tmp_path / "bucket")))


def copied(tmp_path):
    parts = (storage.read_bytes(str(tmp_path / "bucket" / segment.name)) for segment in segments(tmp_path))
    return [json.loads(line) for line in b"".join(parts).splitlines()]


def test_another_head_goes_on_with_the_same_journal_byte_for_byte(opened, tmp_path):
    here = opened("here")
    here.append(make_events(5))
    here.keep()
    here.append(make_events(7, start=5))
    here.close()
    assert [(segment.first, segment.end) for segment in segments(tmp_path)][-1][1] == 7
    there = opened("there")
    assert there.path.read_bytes() == here.path.read_bytes()
    assert [event.epoch for event in there.events] == list(range(7))
    there.append(make_events(8, start=7))
    there.close()
    assert [event["epoch"] for event in copied(tmp_path)] == list(range(8))


def test_a_head_that_comes_back_takes_what_the_other_did_meanwhile(opened):
    here = opened("here")
    here.append(make_events(2))
    here.close()
    there = opened("there")
    there.append(make_events(4, start=2))
    there.close()
    assert [event.epoch for event in opened("here").events] == [0, 1, 2, 3]


def lose_the_head(journal, monkeypatch):
    """From now on the bucket hears nothing of this head, as if it were gone with its disk's news."""
    monkeypatch.setattr(journal._copy, "_update", lambda: None)


def test_what_was_not_copied_is_lost_and_is_never_mixed_with_what_came_after(opened, monkeypatch):
    here = opened("here")
    here.append(make_events(2))
    here.keep()
    lose_the_head(here, monkeypatch)
    here.append([epoch_ended(0, 2, train_loss=9.0)])
    here.close()
    there = opened("there")
    assert [event.epoch for event in there.events] == [0, 1]
    there.append(make_events(3, start=2))
    there.close()
    with pytest.raises(JournalForkedError, match=r"differ from event 3 on.*delete the file to go on from the copy"):
        opened("here")
    here.path.unlink()
    assert opened("here").path.read_bytes() == there.path.read_bytes()


def taken_over(opened):
    """A head with two events, and another that has gone on with its study."""
    here = opened("here")
    here.append(make_events(2))
    here.keep()
    there = opened("there")
    there.append([driver_started()])
    there.keep()
    return here, there


def test_a_head_whose_study_another_takes_over_stops_and_spoils_nothing(opened, tmp_path):
    here, there = taken_over(opened)
    here.append(make_events(3, start=2))
    here.keep()
    with pytest.raises(StudyRunningError, match="driven by another head too .*: stop one of the two"):
        here.append(make_events(4, start=3))
    # Its last words are for its own disk.
    here.append([driver_ended()])
    here.close()
    there.append([driver_ended()])
    there.close()
    assert [event["kind"] for event in copied(tmp_path)] == ["epoch", "epoch", "driver", "ended"]


def test_a_head_that_has_nothing_to_tell_finds_out_too_that_another_took_over(opened, monkeypatch):
    monkeypatch.setattr(journal_copy, "SEGMENT_SECONDS", 0.01)
    here, _ = taken_over(opened)
    here._copy._thread.join(60)
    assert not here._copy._thread.is_alive()
    with pytest.raises(StudyRunningError, match="driven by another head too"):
        here.append(make_events(3, start=2))


@pytest.mark.parametrize("begun", [True, False], ids=["and begun anew", "alone"])
def test_a_head_whose_study_another_sets_aside_is_told_so(opened, tmp_path, begun):
    path = tmp_path / "journal.jsonl"
    path.write_text('{"epoch": 0}\n')
    here = JournalCopy(path, str(tmp_path / "bucket"))
    here.update()
    storage.move_folder(str(tmp_path / "bucket"), str(tmp_path / "aside"))
    if begun:
        there = opened("there")
        there.append([study_started()])
        there.keep()
    path.write_text('{"epoch": 0}\n{"epoch": 1}\n')
    here.update()
    assert here.fork == (
        f"the study was set aside by another head with --fresh ({tmp_path}/bucket no longer has what this one wrote): "
        "leave the name to it, or choose another --name"
    )
    assert [event["kind"] for event in copied(tmp_path)] == ["study"] * begun


def test_a_segment_that_the_bucket_took_without_saying_so_is_this_heads_own(opened, tmp_path, monkeypatch):
    write = storage.write_bytes

    def lose_the_answer(address, data):
        write(address, data)
        raise StorageError("the bucket is away")

    here = opened("here")
    with monkeypatch.context() as patch:
        patch.setattr(storage, "write_bytes", lose_the_answer)
        here.append(make_events(2))
        here.keep()
    here.append(make_events(3, start=2))
    here.close()
    assert [event["epoch"] for event in copied(tmp_path)] == [0, 1, 2]


def test_of_two_segments_for_one_place_all_choose_the_same():
    first, mine, theirs, after = Segment(0, 4, "aa"), Segment(4, 9, "aa"), Segment(4, 6, "bb"), Segment(6, 7, "bb")
    names = [segment.name for segment in (after, mine, first, theirs)]
    assert chain(names) == chain(reversed(names)) == [first, theirs, after]
    assert chain([*names, "README", "journal-00000000-00000100.jsonl"]) == [first, theirs, after]


def test_a_hole_ends_the_chain():
    assert chain([Segment(0, 4, "aa").name, Segment(5, 9, "aa").name]) == [Segment(0, 4, "aa")]


def test_the_copy_never_names_a_checkpoint_that_is_deleted(opened, tmp_path, monkeypatch):
    journal = opened("here")
    seen = []
    journal.append([CheckpointDropped(trial=0, epoch=1, checkpoint="a")])
    journal.when_kept(lambda: seen.append([event["checkpoint"] for event in copied(tmp_path)]))
    journal.keep()
    assert seen == [["a"]]

    def away(*arguments):
        raise StorageError("the bucket is away")

    with monkeypatch.context() as patch:
        patch.setattr(storage, "write_bytes", away)
        journal.append([CheckpointDropped(trial=0, epoch=1, checkpoint="b")])
        journal.when_kept(lambda: seen.append([event["checkpoint"] for event in copied(tmp_path)]))
        journal.keep()
        assert len(seen) == 1
    journal.keep()
    assert seen == [["a"], ["a", "b"]]


def test_what_is_dropped_while_a_segment_is_on_its_way_waits_for_the_next(tmp_path, monkeypatch):
    write, seen = storage.write_bytes, []
    path = tmp_path / "journal.jsonl"
    path.write_text('{"checkpoint": "a"}\n')
    copy = JournalCopy(path, str(tmp_path / "bucket"))

    def write_while_the_driver_drops_more(address, data):
        if path.read_bytes() == data:
            path.write_bytes(data + b'{"checkpoint": "b"}\n')
            copy.when_kept(lambda: seen.append(copied(tmp_path)[-1]["checkpoint"]))
        write(address, data)

    monkeypatch.setattr(storage, "write_bytes", write_while_the_driver_drops_more)
    copy.update()
    assert seen == []
    copy.update()
    assert seen == ["b"]


def test_without_a_copy_what_is_superfluous_goes_at_once(tmp_path):
    journal = Journal(tmp_path)
    done = []
    journal.when_kept(lambda: done.append(1))
    assert done == [1]
    journal.close()


def test_a_bucket_that_is_away_or_slow_stalls_no_decision(opened, tmp_path, monkeypatch):
    write, asked, let_go = storage.write_bytes, threading.Event(), threading.Event()

    def slow(address, data):
        asked.set()
        assert let_go.wait(60)
        write(address, data)

    monkeypatch.setattr(storage, "write_bytes", slow)
    journal = opened("here")
    journal.append(make_events(1))
    assert asked.wait(60)
    journal.append(make_events(50, start=1))
    assert len(read_events(journal.path)) == 50
    assert segments(tmp_path) == []
    let_go.set()
    journal.close()
    assert len(copied(tmp_path)) == 50


def test_news_are_copied_at_once_and_then_by_and_by(opened, tmp_path, monkeypatch):
    monkeypatch.setattr(journal_copy, "SEGMENT_SECONDS", 0.01)
    kept = threading.Event()
    journal = opened("here")
    for number in range(3):
        journal.append(make_events(number + 1, start=number))
        journal.when_kept(kept.set)
        assert kept.wait(60)
        kept.clear()
    assert [(segment.first, segment.end) for segment in segments(tmp_path)] == [(0, 1), (1, 2), (2, 3)]


def test_an_error_that_nobody_expects_does_not_end_the_copying(opened, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(journal_copy, "SEGMENT_SECONDS", 0.01)
    write, failed, kept = storage.write_bytes, threading.Event(), threading.Event()

    def fail_once(address, data):
        if not failed.is_set():
            failed.set()
            raise RuntimeError("nobody expects this")
        write(address, data)

    monkeypatch.setattr(storage, "write_bytes", fail_once)
    journal = opened("here")
    journal.append(make_events(1))
    journal.when_kept(kept.set)
    assert kept.wait(60)
    assert len(copied(tmp_path)) == 1
    assert "nobody expects this" in caplog.text


def test_a_torn_line_is_never_copied(opened, tmp_path):
    journal = opened("here")
    journal.append(make_events(1))
    with open(journal.path, "ab") as file:
        file.write(b'{"kind": "ep')
    journal.close()
    assert copied(tmp_path)[0]["epoch"] == 0
    assert len(copied(tmp_path)) == 1


def test_a_bucket_that_cannot_be_read_is_told_before_anything_is_done(tmp_path, s3_server):
    with pytest.raises(StorageError, match="the bucket 'none' of s3://none/wrn/journal does not exist"):
        Journal(tmp_path / "wrn", "s3://none/wrn/journal")
    Journal(tmp_path / "wrn").close()
    assert Path(tmp_path / "wrn" / "journal.jsonl").read_bytes() == b""

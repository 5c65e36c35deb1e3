"""Rank 0 trains on while its checkpoints are written; when an epoch is answered, and who hears what went wrong.

The storage here stores when it is told to. Not here: what the host makes of it (`test_host`), what happens if somebody
dies meanwhile (`test_protocol`).
"""

import contextlib
import errno
import threading
from types import SimpleNamespace

import pytest
import torch

from cifarray import storage
from cifarray.config import TrainConfig
from cifarray.engine import worker
from cifarray.engine.checkpoint_writer import CheckpointWriter
from cifarray.engine.failures import failure_of
from cifarray.engine.orders import Order
from cifarray.study.faults import Fault
from cifarray.training.checkpoint import PARTS
from cifarray.training.loop import Diverged

pytestmark = pytest.mark.timeout(20)
EPOCHS = 9


class Steps:
    """A training that learns nothing."""

    precision, remark, in_backward, world_size = "fp32", "", False, 1

    def __init__(self, epoch=0, **values):
        self.epoch, self.error = epoch, None
        self.has_done_two = threading.Event()
        self.config = TrainConfig(epochs=EPOCHS, **{"checkpoint_minutes": 0, **values})

    def run_epoch(self, on_step):
        if self.error is not None:
            raise self.error
        self.epoch += 1
        if self.epoch == 2:
            self.has_done_two.set()
        return {"val_accuracy": 0.5}

    def snapshot(self):
        return dict.fromkeys(PARTS, self.epoch)


class Slow:
    """A storage that stores when it may, and may fail."""

    def __init__(self):
        self.may, self.asked = threading.Event(), threading.Event()
        self.error = None
        self.stored = []
        self.writers = []

    def save(self, address, state):
        self.asked.set()
        self.may.wait()
        if self.error is not None:
            raise self.error
        self.stored.append((address.rpartition("/")[2], state["epoch"]))


class Scene:
    """Rank 0 and its host."""

    def __init__(self, training, slow):
        self.training, self.slow, self.writer = training, slow, CheckpointWriter()
        slow.writers.append(self.writer)
        self.heard = []
        """By the host: what was trained, and what was answered with which checkpoint."""
        self.host = SimpleNamespace(
            trained=SimpleNamespace(remote=lambda lease, epoch: self.heard.append(("trained", epoch))),
            answer=SimpleNamespace(remote=lambda lease, answer: self.heard.append(self._shown(answer))),
        )
        self.pulse = SimpleNamespace(begin=lambda: None, expect=lambda seconds: None, step=lambda *_: None)

    def _shown(self, answer):
        name = (answer.checkpoint or "").rpartition("/")[2]
        assert not name or (name, answer.epoch) in self.slow.stored, "answered before it is stored"
        return ("answered", answer.epoch, name)

    def run_epoch(self, rungs=()):
        order = Order("epoch", 1, 3, folder="/study/trial-0003", rungs=rungs)
        worker._run_epoch(self.training, order, 0, self.host, self.pulse, self.writer, "ours")


@pytest.fixture
def slow(monkeypatch):
    made = Slow()
    monkeypatch.setattr(worker, "save_checkpoint", made.save)
    monkeypatch.setattr(worker.ray, "get", lambda ref: ref)
    yield made
    made.may.set()
    for writer in made.writers:
        with contextlib.suppress(OSError):
            writer.wait()


def test_the_next_epoch_is_trained_while_a_checkpoint_is_written(slow):
    scene = Scene(Steps(), slow)
    scene.run_epoch()
    assert scene.heard == [("trained", 1)]
    slow.asked.wait()
    finished = []
    second = threading.Thread(target=lambda: finished.append(scene.run_epoch()), daemon=True)
    second.start()
    scene.training.has_done_two.wait()
    # It is not told of before what was first, and there is one checkpoint at a time.
    assert (finished, slow.stored, scene.heard) == ([], [], [("trained", 1)])
    slow.may.set()
    second.join()
    scene.writer.wait()
    answers = [("answered", 1, "epoch-0001.pt"), ("answered", 2, "epoch-0002.pt")]
    assert [heard for heard in scene.heard if heard[0] == "answered"] == answers
    assert slow.stored == [("epoch-0001.pt", 1), ("epoch-0002.pt", 2)]


@pytest.mark.parametrize(
    ("epoch", "checkpoint"),
    [(1, ""), (2, "epoch-0002.pt"), (4, "epoch-0004.pt"), (5, "?"), (8, ""), (9, "epoch-0009.pt")],
)
def test_there_is_a_checkpoint_before_a_trial_may_be_told_to_leave(slow, epoch, checkpoint):
    """After the rungs 2 and 4 and the last of nine epochs it is waited for; that after five is not."""
    slow.may.set()
    scene = Scene(Steps(epoch - 1, checkpoint_every=5), slow)
    scene.run_epoch(rungs=(2, 4))
    if checkpoint == "?":
        assert ("trained", epoch) in scene.heard
        scene.writer.wait()
        assert ("answered", epoch, "epoch-0005.pt") in scene.heard
    else:
        assert scene.heard == [("answered", epoch, checkpoint)]


def test_there_is_a_checkpoint_when_so_many_minutes_have_passed_since_the_last(slow, monkeypatch):
    """Epochs of 50 s, a checkpoint every 2 minutes but for the rungs 4 and the last one, after which one is stored in
    any case; the clock begins anew at each."""
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(worker.time, "monotonic", lambda: clock.now)
    slow.may.set()
    scene = Scene(Steps(checkpoint_minutes=2.0), slow)
    scene.writer.began = clock.now
    for _ in range(EPOCHS):
        clock.now += 50.0
        scene.run_epoch(rungs=(4,))
    assert [epoch for _, epoch in slow.stored] == [3, 4, 7, 9]
    answered = [heard[1:] for heard in scene.heard if heard[0] == "answered"]
    assert [epoch for epoch, _ in answered] == list(range(1, EPOCHS + 1))
    assert [epoch for epoch, name in answered if name] == [3, 4, 7, 9]


def test_every_epoch_has_a_checkpoint_where_micro_batches_may_be_halved(slow):
    slow.may.set()
    scene = Scene(Steps(checkpoint_every=5, checkpoint_minutes=60.0, auto_micro_batch=True), slow)
    scene.run_epoch()
    scene.writer.wait()
    assert slow.stored == [("epoch-0001.pt", 1)]


@pytest.mark.parametrize("later", [None, Diverged("the loss is nan"), torch.OutOfMemoryError("CUDA out of memory")])
def test_what_went_wrong_is_raised_after_the_next_epoch_as_if_that_had_not_been(slow, later):
    """Whatever became of that one: it is the storage that failed first."""
    scene = Scene(Steps(), slow)
    slow.error = storage.StorageError("/study cannot be written")
    slow.error.__cause__ = OSError(errno.EROFS, "Read-only file system")
    scene.run_epoch()
    slow.may.set()
    scene.training.error = later
    with pytest.raises(storage.StorageError, match="/study cannot be written") as raised:
        scene.run_epoch()
    assert failure_of(raised.value, scene.training).fault is Fault.STORAGE
    assert scene.heard == [("trained", 1)]
    assert not scene.writer.is_busy


def test_an_epoch_is_answered_before_the_failure_of_the_next_one_is_told(slow):
    scene = Scene(Steps(), slow)
    scene.run_epoch()
    scene.training.error = Diverged("the loss is nan")
    scene.pulse.expect = lambda seconds: slow.may.set()
    with pytest.raises(Diverged):
        scene.run_epoch()
    assert scene.heard == [("trained", 1), ("answered", 1, "epoch-0001.pt")]


def test_a_broken_device_is_told_at_once(slow):
    """The process ends, and with it what it writes."""
    scene = Scene(Steps(), slow)
    scene.run_epoch()
    scene.training.error = torch.AcceleratorError("an illegal memory access was encountered")
    with pytest.raises(torch.AcceleratorError):
        scene.run_epoch()
    assert slow.stored == []


def test_who_leaves_waits_for_what_is_being_written_and_hears_of_no_error(slow):
    """Its memory is in use; the trial is not there any more to be blamed."""
    closed = []
    scene = Scene(Steps(), slow)
    scene.training.close = lambda: closed.append(list(slow.stored))
    scene.run_epoch()
    threading.Thread(target=lambda: slow.asked.wait() and slow.may.set(), daemon=True).start()
    worker._close(scene.training, scene.writer)
    assert closed == [[("epoch-0001.pt", 1)]]
    slow.error = storage.StorageError("/study cannot be written")
    scene.run_epoch()
    worker._close(scene.training, scene.writer)
    assert len(closed) == 2

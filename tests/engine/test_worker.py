"""What a worker makes of errors, of the checkpoint that it is to go on from, and of its own pace."""

import errno
from types import SimpleNamespace

import pytest
import torch

from cifarray import storage
from cifarray.data.errors import DataError, SplitError
from cifarray.engine import worker
from cifarray.engine.failures import LostCheckpointError, failure_of, is_sticky
from cifarray.engine.worker import Pulse
from cifarray.study.faults import Fault
from cifarray.study.forecast import Pace
from cifarray.training.checkpoint import PARTS, OtherTrainingError, save_checkpoint
from cifarray.training.loop import Diverged


def storage_error(cause):
    error = storage.StorageError("/results cannot be written")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (Diverged("the loss is nan"), Fault.DIVERGED),
        (torch.OutOfMemoryError("CUDA out of memory"), Fault.OUT_OF_MEMORY),
        (RuntimeError("CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate"), Fault.OUT_OF_MEMORY),
        (RuntimeError("[gloo/transport/tcp/pair.cc:534] Connection closed by peer"), Fault.RANK_LOST),
        (ValueError("batch_size 100000 is more than the 300 training images"), Fault.RAISED),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), Fault.RAISED),
        (SplitError("data.validation 400 leaves none of 300 images to train on"), Fault.RAISED),
        # What is outside of the training is no fault of the trial.
        (storage_error(OSError(errno.ENOSPC, "No space left on device")), Fault.STORAGE),
        (DataError("/data/cifar10 is gone"), Fault.STORAGE),
        (FileNotFoundError(errno.ENOENT, "No such file or directory", "train.arrow"), Fault.STORAGE),
        (LostCheckpointError("checkpoint is gone"), Fault.CHECKPOINT),
        (OtherTrainingError("the checkpoint is of another training"), Fault.CHECKPOINT),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else value,
)
def test_which_fault_an_error_is(error, fault):
    assert failure_of(error, None).fault is fault


def test_an_illegal_access_ends_the_process_and_a_lack_of_memory_does_not():
    """After the first nothing on the GPU works in this process any more."""
    assert is_sticky(torch.AcceleratorError("CUDA error: an illegal memory access was encountered"))
    assert is_sticky(torch.AcceleratorError("CUDA error: device-side assert triggered"))
    assert not is_sticky(torch.AcceleratorError("CUDA error: out of memory"))
    assert not is_sticky(torch.OutOfMemoryError("CUDA out of memory"))
    assert not is_sticky(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))


@pytest.fixture
def saved(tmp_path):
    """Address of a checkpoint of study "ours", and the study's marker."""
    marker, address = str(tmp_path / "study.json"), str(tmp_path / "trial-0000" / "epoch-0001.pt")
    storage.write_bytes(marker, b"{}")
    save_checkpoint(address, {**dict.fromkeys(PARTS, 0), "study": "ours"})
    return address, marker


def test_a_checkpoint_of_this_study_is_gone_on_from(saved):
    address, marker = saved
    assert worker._own_checkpoint(address, "ours", marker)["study"] == "ours"
    save_checkpoint(address, dict.fromkeys(PARTS, 0))  # as older ones are
    assert worker._own_checkpoint(address, "ours", marker)["study"] is None


def test_a_checkpoint_that_is_torn_gone_or_another_studys_is_lost(saved, tmp_path):
    address, marker = saved
    with pytest.raises(LostCheckpointError, match="of another study"):
        worker._own_checkpoint(address, "theirs", marker)
    with pytest.raises(LostCheckpointError, match="is gone"):
        worker._own_checkpoint(str(tmp_path / "trial-0000" / "epoch-0002.pt"), "ours", marker)
    storage.write_bytes(address, storage.read_bytes(address)[:-100])
    with pytest.raises(LostCheckpointError, match="not a whole checkpoint"):
        worker._own_checkpoint(address, "ours", marker)


def test_where_the_storage_itself_is_away_no_checkpoint_is_given_up(saved, tmp_path):
    """A network folder that is not mounted is an empty one."""
    address, marker = saved
    storage.delete(address)
    storage.delete(marker)
    with pytest.raises(storage.StorageError):
        worker._own_checkpoint(address, "ours", marker)


class Host:
    """Remembers what a worker has told it: how many seconds of silence it asks for, and its pace."""

    def __init__(self):
        self.progress, self.asked, self.paces = self, [], []

    def remote(self, generation, rank, seconds, pace):
        self.asked.append(seconds)
        self.paces.append(pace)


class Steps:
    """A training of 100 steps an epoch and 64 images a step, after its second epoch."""

    epoch, step, steps_per_epoch = 2, -1, 100
    config = SimpleNamespace(batch_size=64)


@pytest.fixture
def clock(monkeypatch):
    """The worker's, which only moves on when it is told to: `clock.now += seconds`."""
    made = SimpleNamespace(now=100.0)
    monkeypatch.setattr(worker.time, "monotonic", lambda: made.now)
    return made


def do_steps(pulse, training, clock, count, seconds):
    for _ in range(count):
        clock.now += seconds
        training.step += 1
        pulse.step(training, trial=7)


def test_a_worker_asks_for_as_much_patience_as_its_steps_need(clock):
    """At least what the user gives, and 20 of its usual steps; it is told of the first step, then once a second."""
    host, training = Host(), Steps()
    pulse = Pulse(host, generation=1, rank=0, patience=60.0)
    pulse.begin()
    do_steps(pulse, training, clock, 30, 0.1)
    assert host.asked == [60.0] * 3
    pulse.begin()
    do_steps(pulse, training, clock, 80, 5.0)
    assert host.asked[-1] == 20 * 5.0


def test_rank_0_tells_how_far_it_is_and_how_fast_of_late(clock):
    host, training = Host(), Steps()
    pulse = Pulse(host, generation=1, rank=0, patience=60.0)
    pulse.begin()
    do_steps(pulse, training, clock, 1, 9.0)  # compiles, and is no measure
    do_steps(pulse, training, clock, 24, 0.125)
    first, *_, last = host.paces
    assert first == Pace(trial=7, epoch=3, step=1, steps=100, batch_size=64, images_per_second=0.0)
    assert (last.step, last.images_per_second) == (25, 8 * 64)
    told = len(host.paces)
    for _ in range(3):  # parts of the evaluation: no steps
        clock.now += 1.0
        pulse.step(training, trial=7)
    assert host.paces[told:] == [last] * 3


def test_other_ranks_tell_no_pace(clock):
    host, training = Host(), Steps()
    pulse = Pulse(host, generation=1, rank=1, patience=60.0)
    pulse.begin()
    do_steps(pulse, training, clock, 30, 0.1)
    assert host.paces == [None] * len(host.asked)

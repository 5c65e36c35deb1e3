"""What a worker makes of errors, of the checkpoint that it is to go on from, and of its own pace."""

import errno

import pytest
import torch

from cifarray import storage
from cifarray.data.errors import DataError, SplitError
from cifarray.engine import worker
from cifarray.engine.worker import LostCheckpointError, Pulse
from cifarray.study.faults import Fault
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
    assert worker._failure(error, None).fault is fault


def test_an_illegal_access_ends_the_process_and_a_lack_of_memory_does_not():
    """After the first nothing on the GPU works in this process any more."""
    assert worker._is_sticky(torch.AcceleratorError("CUDA error: an illegal memory access was encountered"))
    assert worker._is_sticky(torch.AcceleratorError("CUDA error: device-side assert triggered"))
    assert not worker._is_sticky(torch.AcceleratorError("CUDA error: out of memory"))
    assert not worker._is_sticky(torch.OutOfMemoryError("CUDA out of memory"))
    assert not worker._is_sticky(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))


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
    """Remembers how many seconds of silence a worker has asked for."""

    def __init__(self):
        self.progress, self.asked = self, []

    def remote(self, generation, rank, seconds):
        self.asked.append(seconds)


def test_a_worker_asks_for_as_much_patience_as_its_steps_need(monkeypatch):
    """At least what the user gives, and 20 of its usual steps; it is told of the first step, then once a second."""
    now = 100.0
    monkeypatch.setattr(worker.time, "monotonic", lambda: now)
    host = Host()
    pulse = Pulse(host, generation=1, rank=0, patience=60.0)
    pulse.begin()
    for _ in range(30):  # 10 steps a second
        now += 0.1
        pulse.step()
    assert host.asked == [60.0] * 3
    pulse.begin()
    for _ in range(80):  # 5 s a step
        now += 5.0
        pulse.step()
    assert host.asked[-1] == 20 * 5.0

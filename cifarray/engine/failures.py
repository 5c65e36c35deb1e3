"""Which fault an exception of a training is, and whether its process can go on.

Not here: what follows from a fault (`cifarray.study.faults`). Needs no Ray.
"""

import traceback

import torch

from cifarray.data.errors import DataError, SplitError
from cifarray.engine.orders import Failure
from cifarray.redaction import redact
from cifarray.study.faults import Fault
from cifarray.training.checkpoint import OtherTrainingError
from cifarray.training.loop import Diverged, Training

_ALLOCATION_FAILED = ("out of memory", "CUBLAS_STATUS_ALLOC_FAILED", "CUDNN_STATUS_ALLOC_FAILED")
"""What CUDA and its libraries say when there is no memory, where it is not a torch.OutOfMemoryError."""


class LostCheckpointError(Exception):
    """The checkpoint that a trial was to go on from is torn, gone or another study's, though its storage is there."""


def failure_of(error: Exception, training: Training | None) -> Failure:
    """Which fault an error is; what follows from it is decided elsewhere (`cifarray.study.faults`)."""
    clean = training is None or training.world_size == 1 or not training.in_backward
    if isinstance(error, Diverged):
        return Failure(Fault.DIVERGED, str(error), clean=True)
    if isinstance(error, torch.OutOfMemoryError) or any(text in str(error) for text in _ALLOCATION_FAILED):
        return Failure(Fault.OUT_OF_MEMORY, str(error).split("\n")[0], clean)
    if isinstance(error, LostCheckpointError | OtherTrainingError):
        return Failure(Fault.CHECKPOINT, str(error), clean)
    if isinstance(error, OSError | DataError) and not isinstance(error, SplitError):
        return Failure(Fault.STORAGE, str(error), clean)
    if isinstance(error, torch.distributed.DistError) or (isinstance(error, RuntimeError) and "gloo" in str(error)):
        # Another rank is gone. Whether the trial goes on is not for this one to say.
        return Failure(Fault.RANK_LOST, str(error), clean=False)
    return Failure(Fault.RAISED, redact("".join(traceback.format_exception(error))), clean)


def is_sticky(error: Exception) -> bool:
    """Whether CUDA is broken for this process: an illegal access or an assertion on the device stays for good."""
    return isinstance(error, torch.AcceleratorError) and not any(text in str(error) for text in _ALLOCATION_FAILED)

"""A training's state as one file at any address of `cifarray.storage`, and whether it belongs to a training.

Not here: what is in it (`Training.state`).
"""

import io
import pickle
import struct
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from cifarray import storage
from cifarray.config import WHEN_SAVED, TrainConfig
from cifarray.fields import difference

PARTS = ("model", "optimizer", "scheduler", "scaler", "epoch", "config", "metrics", "data")

FREE = (*WHEN_SAVED, "cuda_graph", "accumulate", "auto_micro_batch")
"""Fields that may be others when a training goes on."""


class OtherTrainingError(ValueError):
    """A checkpoint is whole and of another training."""


def copied_to_cpu(value: Any, copy: Callable[[Tensor], Tensor] = lambda tensor: tensor.to("cpu", copy=True)) -> Any:
    """The same of dicts, lists and tuples, with a copy of each tensor, on the CPU and without its graph."""
    if isinstance(value, Tensor):
        return copy(value.detach())
    if isinstance(value, dict):
        return {key: copied_to_cpu(item, copy) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(copied_to_cpu(item, copy) for item in value)
    return value


class Snapshots:
    """Copies of a training's state, one after the other, for which a GPU waits as short as can be.

    Its tensors come into pinned memory, all at once; what is allocated for the first copy serves for all. So there is
    one at a time, and it is freed where it was made: CUDA would have to be asked before, and a thread that asks spoils
    a graph that is just being captured.
    """

    def __init__(self) -> None:
        self._pinned: list[Tensor] = []

    def take(self, state: dict[str, Any]) -> dict[str, Any]:
        """As `copied_to_cpu`; the next one overwrites what was on a GPU."""
        before, self._pinned = iter(self._pinned), []
        devices = set()

        def copy(tensor: Tensor) -> Tensor:
            if not tensor.is_cuda:
                return tensor.clone()
            place = next(before, None)
            if place is None or (place.shape, place.dtype) != (tensor.shape, tensor.dtype):
                place = torch.empty_like(tensor, device="cpu", pin_memory=True)
            self._pinned.append(place)
            devices.add(tensor.device)
            return place.copy_(tensor, non_blocking=True)

        copied: dict[str, Any] = copied_to_cpu(state, copy)
        for device in devices:
            torch.cuda.current_stream(device).synchronize()
        return copied


def save_checkpoint(address: str, state: dict[str, Any]) -> None:
    """Writes all or nothing. Raises StorageError."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    storage.write_bytes(address, buffer.getbuffer())


def load_checkpoint(address: str) -> dict[str, Any]:
    """What `Training.state` gave, tensors on the CPU. No code in the file is run.

    Raises StorageError if it cannot be read, ValueError if it is not a whole checkpoint.
    """
    data = storage.read_bytes(address)
    try:
        state = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, pickle.UnpicklingError, struct.error, LookupError, ValueError, TypeError) as error:
        # Any file may be given, and some texts begin as a pickle does. torch's own sentence goes on about trust.
        raise _not_a_checkpoint(address, f"its {len(data):,} bytes are cut off or something else") from error
    if not isinstance(state, dict):
        raise _not_a_checkpoint(address, f"it holds a {type(state).__name__}")
    missing = [part for part in PARTS if part not in state]
    if missing:
        raise _not_a_checkpoint(address, f"it has no {', '.join(missing)}")
    # Older ones had none of these.
    return {"average": None, "precision": None, "study": None, **state}


def check_belongs(checkpoint: Mapping[str, Any], config: TrainConfig, data: Mapping[str, Any]) -> None:
    """Raises OtherTrainingError with what differs if a training of `config` on `data` cannot go on from the checkpoint.

    data: classes, mean, std and image_size, as in the checkpoint.
    """
    saved = TrainConfig.from_dict(checkpoint["config"]).to_dict()
    fields = [
        change
        for change in difference({**saved, "prepared": checkpoint["data"]}, {**config.to_dict(), "prepared": data})
        if not change.startswith(tuple(f"{name}:" for name in FREE))
    ]
    if fields:
        raise OtherTrainingError(
            f"the checkpoint is of another training ({'; '.join(fields)}): go on with the config that it was made with"
        )


def _not_a_checkpoint(address: str, why: str) -> ValueError:
    return ValueError(f"{address} is not a whole checkpoint of cifarray ({why}): give the .pt file of an epoch")

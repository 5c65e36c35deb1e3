"""A training's state as one file at any address of `cifarray.storage`. Not here: what is in it (`Training.state`)."""

import io
import pickle
from typing import Any

import torch

from cifarray import storage


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
    except (RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise _not_a_checkpoint(address) from error
    if not isinstance(state, dict) or not {"model", "config", "data"} <= state.keys():
        raise _not_a_checkpoint(address)
    return state


def _not_a_checkpoint(address: str) -> ValueError:
    return ValueError(f"{address} is not a whole checkpoint of cifarray: give the .pt file of an epoch")

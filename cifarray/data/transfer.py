"""Rows of images and labels, from wherever they lie to a device, without waiting for the copy.

From memory to a GPU through pinned memory: only such a copy goes on while the CPU does. torch keeps that memory and
lends it again when the copy is done. Not here: which rows (`splits`), what becomes of them (`augment`).
"""

import torch
from torch import Tensor


def take(values: Tensor, rows: Tensor, device: torch.device) -> Tensor:
    """`values[rows]` on `device`; `rows` (B,) int64 are where `values` (N, ...) are."""
    if values.device.type == "cpu" and device.type == "cuda":
        pinned = torch.empty((len(rows), *values.shape[1:]), dtype=values.dtype, pin_memory=True)
        return torch.index_select(values, 0, rows, out=pinned).to(device, non_blocking=True)
    return values.index_select(0, rows).to(device)


def to_device(values: Tensor, device: torch.device) -> Tensor:
    """All of them."""
    if values.device.type == "cpu" and device.type == "cuda":
        return values.pin_memory().to(device, non_blocking=True)
    return values.to(device)

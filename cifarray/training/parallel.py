"""What the ranks of one trial do together: gradients, sums, running statistics. With one rank it is all nothing.

Not here: which part of a batch a rank takes (`batches`), the process group, which is the worker's.
"""

import warnings
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel


def wrapped(module: nn.Module, device: torch.device, world_size: int) -> nn.Module:
    """In DistributedDataParallel if there are other ranks."""
    if world_size == 1:
        return module
    with warnings.catch_warnings():
        # `broadcast_buffers` is named otherwise from torch 2.14 on; both names would be needed.
        warnings.simplefilter("ignore", FutureWarning)
        return DistributedDataParallel(
            module,
            device_ids=[device] if device.type == "cuda" else None,
            broadcast_buffers=False,
            gradient_as_bucket_view=True,
        )


def unreduced(module: nn.Module, last: bool) -> AbstractContextManager[None]:
    """The context of one micro-batch: only the last of a batch needs an all-reduce of the gradients."""
    if last or not isinstance(module, DistributedDataParallel):
        return nullcontext()
    return cast("AbstractContextManager[None]", module.no_sync())


def reduced(values: Tensor, device: torch.device, world_size: int, operation: Any = dist.ReduceOp.SUM) -> list[float]:
    """`values` over all ranks, as numbers; waits for the device."""
    if world_size > 1:
        values = values.to(device, copy=True)
        dist.all_reduce(values, operation)
    return values.tolist()


def average_buffers(networks: Sequence[nn.Module], world_size: int) -> None:
    """The mean of the ranks' running statistics on all of them: each has seen its own part of the batches."""
    buffers = [buffer for network in networks for buffer in network.buffers() if buffer.is_floating_point()]
    if world_size == 1 or not buffers:
        return
    flat = torch.cat([buffer.flatten() for buffer in buffers])
    dist.all_reduce(flat)
    flat /= world_size
    for buffer, mean in zip(buffers, torch.split(flat, [buffer.numel() for buffer in buffers]), strict=True):
        buffer.copy_(mean.view_as(buffer))

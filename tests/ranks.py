"""Processes of one gloo group that run a function of a test on every rank at once. Not here: any test."""

import itertools
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

import torch
import torch.distributed as dist
from fresh_processes import fresh_processes


class Ranks:
    """`ranks(function, *args)` calls `function(rank, world_size, *args)` in every process and lists the results."""

    def __init__(self, world_size: int, folder: Path) -> None:
        rendezvous = f"file://{folder / 'rendezvous'}"
        self._world_size = world_size
        self._pools = [fresh_processes(1, _join_group, rendezvous, rank, world_size) for rank in range(world_size)]

    def __call__(self, function: Callable[..., Any], *args: Any) -> list[Any]:
        futures = [
            pool.submit(function, rank, self._world_size, *args)
            for pool, rank in zip(self._pools, itertools.count(), strict=False)
        ]
        return [future.result(timeout=120) for future in futures]

    def __enter__(self) -> "Ranks":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for pool in self._pools:
            pool.shutdown(wait=False, cancel_futures=True)


def _join_group(rendezvous: str, rank: int, world_size: int) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=rendezvous, rank=rank, world_size=world_size)

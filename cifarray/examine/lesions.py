"""The lesion study of Veit et al. 2016 (arXiv:1605.06431, §4.1): one residual branch at a time is silent.

The shortcut stays. Not here: which network, and what is drawn (`lesion_study`, `lesion_picture`).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cifarray.models import ResidualBlock, residual_blocks


@dataclass(frozen=True)
class Lesion:
    """A block of the network, and the error (in 0..1) while its branch is silent."""

    index: int
    """From 1, in the order of the forward pass."""
    name: str
    downsamples: bool
    error: float


@contextmanager
def silent(block: ResidualBlock) -> Iterator[None]:
    """The block's branch gives zeros."""

    def zeros(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        return torch.zeros_like(output)

    handle = block.get_submodule(block.branch_end).register_forward_hook(zeros)
    try:
        yield
    finally:
        handle.remove()


def lesions(network: nn.Module, error_of: Callable[[], float]) -> Iterator[Lesion]:
    """The error, as `error_of` measures it, with each block's branch silent in turn; none where there are no blocks."""
    for index, (name, block) in enumerate(residual_blocks(network), start=1):
        with silent(block):
            yield Lesion(index, name, block.downsamples, error_of())

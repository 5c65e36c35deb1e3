"""Pieces that several families share: residual blocks, parameter-free shortcuts, norms.

Not here: any network, how weights begin (`initial_weights`).
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Norm = Callable[[int], nn.Module]


class ResidualBlock(nn.Module):
    """Base of every block shortcut(x) + branch(x).

    `branch_end` names the submodule whose output is the branch's, so that the branch can be silenced (lesions), dropped
    (stochastic depth) or begin at zero while the shortcut is left alone. `downsamples` is whether the block halves the
    side.
    """

    branch_end: str = ""
    downsamples: bool = False


def residual_blocks(network: nn.Module) -> list[tuple[str, ResidualBlock]]:
    """The network's blocks with their names, in the order of the forward pass, as they were built."""
    return [(name, module) for name, module in network.named_modules() if isinstance(module, ResidualBlock)]


class Affine(nn.Module):
    """γ · x / √(1 + ε) + β per channel: batch normalisation that never sees a batch.

    What `tf.layers.batch_normalization` computes as long as nobody passes `training=True`: its statistics stay at
    mean 0 and variance 1, with ε = 0.001.
    """

    def __init__(self, channels: int, eps: float = 1e-3) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.scale = (1 + eps) ** -0.5

    def forward(self, x: Tensor) -> Tensor:
        return x * (self.weight * self.scale)[:, None, None] + self.bias[:, None, None]


NORMS: dict[str, Norm] = {"batch": nn.BatchNorm2d, "affine": Affine}


class PaddedShortcut(nn.Module):
    """Option A of He et al. 2015 (arXiv:1512.03385, §4.2): every other pixel, and zero channels; no parameters.

    pool: the mean of 2 × 2 pixels instead of one of them, as the Torch implementations have it.
    centred: half of the zero channels before the others and half after, instead of all after.
    """

    def __init__(self, added: int, stride: int, *, pool: bool = False, centred: bool = False) -> None:
        super().__init__()
        self.stride, self.pool = stride, pool
        before = added // 2 if centred else 0
        self.channels = (before, added - before)

    def forward(self, x: Tensor) -> Tensor:
        if self.stride > 1 and self.pool:
            x = F.avg_pool2d(x, self.stride, ceil_mode=True, count_include_pad=False)
        elif self.stride > 1:
            x = x[:, :, :: self.stride, :: self.stride]
        return F.pad(x, (0, 0, 0, 0, *self.channels))


def conv1x1(in_channels: int, out_channels: int, stride: int = 1, bias: bool = False) -> nn.Conv2d:
    return nn.Conv2d(in_channels, out_channels, 1, stride=stride, bias=bias)


def conv3x3(in_channels: int, out_channels: int, stride: int = 1, bias: bool = False) -> nn.Conv2d:
    return nn.Conv2d(in_channels, out_channels, 3, stride=stride, padding=1, bias=bias)


def pooled(features: Tensor) -> Tensor:
    """(N, C, H, W) to (N, C): the mean over the whole map, so that the input's side is free."""
    return features.mean(dim=(2, 3))


def shrunk(maps: Tensor, side: int) -> Tensor:
    """(N, C, H, W) to (N, C, side, side) by means over windows of one size; as it is if it has that side.

    What adaptive pooling does, but with a gradient that CUDA sums in a fixed order. Raises ValueError for smaller maps.
    """
    height, width = maps.shape[-2:]
    if (height, width) == (side, side):
        return maps
    if min(height, width) < side:
        raise ValueError(f"maps of {height} × {width} are smaller than {side} × {side}")
    stride = (height // side, width // side)
    kernel = (height - (side - 1) * stride[0], width - (side - 1) * stride[1])
    return F.avg_pool2d(maps, kernel, stride)

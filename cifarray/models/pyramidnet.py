"""Deep pyramidal residual networks: Han, Kim & Kim 2017, arXiv:1610.02915, as in the authors' code.

Every block widens, the first too. Nothing follows the sum; the shortcut is pooled where the side is halved and gets
zero channels at the end.
"""

import math
from fractions import Fraction
from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from cifarray.models import rules
from cifarray.models.blocks import PaddedShortcut, ResidualBlock, conv1x1, conv3x3, pooled
from cifarray.models.initial_weights import he_fan_out

FIRST_RELU = {"a": True, "b": False, "c": True, "d": False}
"""Whether a ReLU comes before the first convolution, by the paper's figure 6."""
LAST_BN = {"a": False, "b": False, "c": True, "d": True}
"""Whether a BN ends the branch, by the paper's figure 6."""


class PyramidBlock(ResidualBlock):
    """BN-conv3×3-BN-ReLU-conv3×3-BN; with `bottleneck` BN-conv1×1-BN-ReLU-conv3×3-BN-ReLU-conv1×1-BN.

    The stride of a bottleneck is on the 3×3. kind: the paper's figure 6 (a)–(d), with the first ReLU (a, c), without
    the last BN (a, b).
    """

    def __init__(self, in_channels: int, width: int, stride: int, bottleneck: bool, kind: str, shortcut: str) -> None:
        super().__init__()
        self.downsamples = stride > 1
        self.first_relu = FIRST_RELU[kind]
        out_channels = 4 * width if bottleneck else width
        self.bn1 = nn.BatchNorm2d(in_channels)
        if bottleneck:
            shapes = [(in_channels, width, 1, 1), (width, width, 3, stride), (width, out_channels, 1, 1)]
        else:
            shapes = [(in_channels, width, 3, stride), (width, out_channels, 3, 1)]
        branch: list[nn.Module] = []
        for index, (before, after, side, step) in enumerate(shapes):
            if index:
                branch += [nn.BatchNorm2d(before), nn.ReLU()]
            branch.append(conv3x3(before, after, step) if side == 3 else conv1x1(before, after, step))
        if LAST_BN[kind]:
            branch.append(nn.BatchNorm2d(out_channels))
        self.branch = nn.Sequential(*branch)
        self.branch_end = "branch"
        self.shortcut = (
            conv1x1(in_channels, out_channels, stride)
            if shortcut == "projection"
            else PaddedShortcut(out_channels - in_channels, stride, pool=True)
        )

    def forward(self, x: Tensor) -> Tensor:
        normed = self.bn1(x)
        return self.branch(F.relu(normed) if self.first_relu else normed) + self.shortcut(x)


class PyramidNet(nn.Module):
    """(N, 3, H, W) images to (N, num_classes) logits; pooling is over the whole map, so H and W are free."""

    def __init__(self, num_classes: int, widths: list[list[int]], bottleneck: bool, kind: str, shortcut: str) -> None:
        super().__init__()
        self.stem = conv3x3(3, 16)
        self.stem_bn = nn.BatchNorm2d(16)
        stages = []
        in_channels = 16
        for stage, stage_widths in enumerate(widths):
            blocks = []
            for index, width in enumerate(stage_widths):
                stride = 2 if stage > 0 and index == 0 else 1
                blocks.append(PyramidBlock(in_channels, width, stride, bottleneck, kind, shortcut))
                in_channels = 4 * width if bottleneck else width
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.Sequential(*stages)
        self.bn = nn.BatchNorm2d(in_channels)
        self.classifier = nn.Linear(in_channels, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        # Without a ReLU: the first block begins with a BN of its own.
        x = self.stages(self.stem_bn(self.stem(images)))
        return self.classifier(pooled(F.relu(self.bn(x))))


def pyramidnet(
    num_classes: int,
    *,
    depth: int,
    alpha: float,
    bottleneck: bool = False,
    widening: Literal["additive", "multiplicative"] = "additive",
    block: Literal["a", "b", "c", "d"] = "d",
    shortcut: Literal["pad", "projection"] = "pad",
    variant: Literal["paper", "post"] = "paper",
) -> PyramidNet:
    """PyramidNet-depth with widening factor α = alpha; depth is 6n + 2, with bottleneck 9n + 2.

    widening: block k of N has 16 + α·k/N channels (additive, the paper's choice) or 16·α^(k/N) (multiplicative), the
    nearest whole number. block: the order of BN and ReLU by figure 6, `d` the paper's choice. shortcut: `projection`
    is a 1×1 convolution in every block (table 5; its details are ours). variant: `post` is the network of a post that
    set out for depth 110: one block less per stage, but each step of the width as if it were there.
    Raises ValueError for another depth, an alpha that does not widen, and other values.
    """
    blocks = rules.pyramidnet(
        depth=depth,
        alpha=alpha,
        bottleneck=bottleneck,
        widening=widening,
        block=block,
        shortcut=shortcut,
        variant=variant,
    )
    # The post's `range(num_layers - 1)`.
    built = blocks - 1 if variant == "post" else blocks
    flat = [_width(alpha, k, 3 * blocks, widening) for k in range(1, 3 * built + 1)]
    widths = [flat[stage * built : (stage + 1) * built] for stage in range(3)]
    network = PyramidNet(num_classes, widths, bottleneck, block, shortcut)
    network.apply(he_fan_out)
    return network


def _width(alpha: float, k: int, blocks: int, widening: str) -> int:
    """Rounded from the exact value, halves upwards as Lua does; Python's round and sums of floats are not the same."""
    if widening == "additive":
        return math.floor(16 + Fraction(alpha) * k / blocks + Fraction(1, 2))
    return math.floor(16 * alpha ** (k / blocks) + 0.5)

"""Deep networks with stochastic depth: Huang et al. 2016, arXiv:1603.09382, as in the authors' Torch code.

In training every residual branch is dropped with its own probability, once per minibatch and not per image; a dropped
block is its shortcut and the ReLU. Nothing is rescaled then; in evaluation each branch is multiplied by the
probability that it lived. Not here: DropPath, which divides in training and is another function.
"""

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch._compile import _disable_dynamo

from cifarray.models import rules
from cifarray.models.blocks import PaddedShortcut, ResidualBlock, conv3x3, pooled
from cifarray.models.initial_weights import he_fan_out
from cifarray.models.resnet import STAGES


class StochasticBlock(ResidualBlock):
    """conv3×3-BN-ReLU-conv3×3-BN, plus the shortcut, then ReLU; the shortcut averages 2 × 2 pixels as the code."""

    branch_end = "bn2"

    def __init__(self, in_channels: int, channels: int, stride: int, survival: float) -> None:
        super().__init__()
        self.downsamples = stride > 1
        self.survival = survival
        self.conv1 = conv3x3(in_channels, channels, stride)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = conv3x3(channels, channels)
        self.bn2 = nn.BatchNorm2d(channels)
        same = in_channels == channels and stride == 1
        self.shortcut = nn.Identity() if same else PaddedShortcut(channels - in_channels, stride, pool=True)

    def forward(self, x: Tensor, alive: bool) -> Tensor:
        shortcut = self.shortcut(x)
        if not alive:
            # Gradients of zero, as in the authors' code: momentum and weight decay go on, and DDP hears of every
            # parameter. The branch itself costs nothing and its BN sees no batch.
            return F.relu(shortcut + 0.0 * sum(parameter.sum() for parameter in self.parameters()))
        branch = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(shortcut + (branch if self.training else branch * self.survival))


class StochasticDepthResNet(nn.Module):
    """(N, 3, H, W) images to (N, num_classes) logits; pooling is over the whole map, so H and W are free.

    `shared_draws` decides which blocks live. It is part of no checkpoint: the training loop seeds it at the start of
    every epoch, alike on all ranks (`cifarray.models.seed_shared_draws`).
    """

    def __init__(self, num_classes: int, blocks_per_stage: int, survivals: Sequence[float]) -> None:
        super().__init__()
        self.stem = conv3x3(3, 16)
        self.bn = nn.BatchNorm2d(16)
        self.blocks = nn.ModuleList()
        in_channels = 16
        for channels, stride in STAGES:
            for index in range(blocks_per_stage):
                survival = survivals[len(self.blocks)]
                self.blocks.append(StochasticBlock(in_channels, channels, stride if index == 0 else 1, survival))
                in_channels = channels
        self.classifier = nn.Linear(in_channels, num_classes)
        self.survivals = torch.tensor(survivals, device="cpu")
        self.shared_draws = torch.Generator(device="cpu")

    def forward(self, images: Tensor) -> Tensor:
        x = F.relu(self.bn(self.stem(images)))
        x = self._through_blocks_uncompiled(x) if torch.compiler.is_compiling() else self._through_blocks(x)
        return self.classifier(pooled(x))

    def _through_blocks(self, x: Tensor) -> Tensor:
        for block, alive in zip(self.blocks, self._gates(), strict=True):
            x = block(x, alive)
        return x

    # Compiled, it would be compiled anew for every pattern of gates. `torch.compiler.disable` would do the same, but it
    # imports the compiler with this file, for seconds; PyTorch's own modules are decorated so for that reason.
    _through_blocks_uncompiled = _disable_dynamo(_through_blocks)

    def _gates(self) -> list[bool]:
        """Which blocks live in this minibatch."""
        if not self.training:
            return [True] * len(self.blocks)
        draws = torch.rand(len(self.blocks), generator=self.shared_draws, device="cpu")
        return [bool(alive) for alive in draws < self.survivals]


def stochastic_depth_resnet(
    num_classes: int, *, depth: int = 110, death_rate: float = 0.5, mode: Literal["linear", "uniform"] = "linear"
) -> StochasticDepthResNet:
    """ResNet-depth (6n + 2) with stochastic depth; the paper trains 110 and 1202 with death_rate 0.5.

    mode: `linear` gives block l of L the rate l / L · death_rate, so that the last has all of it and the first hardly
    any (§3, equation 4); `uniform` gives every block the same. Convolutions have no biases, where the authors' code has
    them before BN, to no effect. Raises ValueError for another depth, rate or mode.
    """
    blocks = rules.stochastic_depth_resnet(depth=depth, death_rate=death_rate, mode=mode)
    total = 3 * blocks
    rates = [death_rate * (number / total if mode == "linear" else 1.0) for number in range(1, total + 1)]
    network = StochasticDepthResNet(num_classes, blocks, [1.0 - each for each in rates])
    network.apply(he_fan_out)
    return network

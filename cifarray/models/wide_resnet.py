"""Wide residual networks: Zagoruyko & Komodakis 2016, arXiv:1605.07146, as in the authors' code.

Where paper, Lua and PyTorch code differ, the authors' PyTorch code (szagoruyko/wide-residual-networks, pytorch/) is
followed; dropout, which only the Lua code has, is from models/wide-resnet.lua.
Not here: their training recipe (`cifarray.recipes.wide_resnet_28_10`), the bottleneck variants of the paper's §4.
"""

from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from cifarray.models import rules
from cifarray.models.blocks import ResidualBlock, conv1x1, conv3x3, pooled
from cifarray.models.initial_weights import he_fan_in


class WideBlock(ResidualBlock):
    """B(3,3) of the paper's §3: BN-ReLU-conv-BN-ReLU-dropout-conv, plus the shortcut.

    post: the block as a post draws it, with dropout right after the first convolution, before BN and ReLU, and the raw
    input to a shortcut that projects.
    """

    branch_end = "conv2"

    def __init__(self, in_channels: int, out_channels: int, stride: int, dropout: float, post: bool) -> None:
        super().__init__()
        self.downsamples = stride > 1
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.conv1 = conv3x3(in_channels, out_channels, stride)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.dropout = nn.Dropout(dropout)
        self.conv2 = conv3x3(out_channels, out_channels)
        self.projection = conv1x1(in_channels, out_channels, stride) if in_channels != out_channels else None
        self.post = post

    def forward(self, x: Tensor) -> Tensor:
        activated = F.relu(self.bn1(x), inplace=True)
        branch = self.conv1(activated)
        if self.post:
            branch = F.relu(self.bn2(self.dropout(branch)), inplace=True)
        else:
            branch = self.dropout(F.relu(self.bn2(branch), inplace=True))
        branch = self.conv2(branch)
        # A projection sees the activated input, as the branch does; an identity shortcut passes the raw one on.
        return branch + (x if self.projection is None else self.projection(x if self.post else activated))


class WideResNet(nn.Module):
    """(N, 3, H, W) images to (N, num_classes) logits; pooling is over the whole map, so H and W are free."""

    def __init__(self, num_classes: int, blocks_per_group: int, widen_factor: int, dropout: float, post: bool) -> None:
        super().__init__()
        self.stem = conv3x3(3, 16)
        groups = []
        in_channels = 16
        for base, stride in ((16, 1), (32, 2), (64, 2)):
            out_channels = base * widen_factor
            blocks = [WideBlock(in_channels, out_channels, stride, dropout, post)]
            blocks += [WideBlock(out_channels, out_channels, 1, dropout, post) for _ in range(blocks_per_group - 1)]
            groups.append(nn.Sequential(*blocks))
            in_channels = out_channels
        self.groups = nn.Sequential(*groups)
        self.bn = nn.BatchNorm2d(in_channels)
        self.classifier = nn.Linear(in_channels, num_classes)
        self.apply(_initialise)

    def forward(self, images: Tensor) -> Tensor:
        features = F.relu(self.bn(self.groups(self.stem(images))), inplace=True)
        return self.classifier(pooled(features))


def wide_resnet(
    num_classes: int,
    *,
    depth: int,
    widen_factor: int,
    dropout: float = 0.0,
    variant: Literal["paper", "post"] = "paper",
) -> WideResNet:
    """WRN-depth-widen_factor; the paper's grid is depth 16, 22, 28, 40 and widen_factor 1, 2, 4, 8, 10, 12.

    `dropout` is between the convolutions of a block (§2.4: 0.3 on CIFAR). variant: `post` has blocks as a post draws
    them (`WideBlock`). Raises ValueError unless depth is 6n + 4.
    """
    blocks = rules.wide_resnet(depth=depth, widen_factor=widen_factor, dropout=dropout, variant=variant)
    return WideResNet(num_classes, blocks, widen_factor, dropout, variant == "post")


def _initialise(module: nn.Module) -> None:
    """conv_params, linear_params and bnparams of the authors' pytorch/utils.py."""
    he_fan_in(module)  # the linear layer too
    if isinstance(module, nn.BatchNorm2d):
        nn.init.uniform_(module.weight)  # γ from U(0, 1), where most ports start at 1

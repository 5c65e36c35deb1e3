"""Wide residual networks: Zagoruyko & Komodakis 2016, arXiv:1605.07146, as in the authors' code.

Where paper, Lua and PyTorch code differ, the authors' PyTorch code (szagoruyko/wide-residual-networks, pytorch/) is
followed; dropout, which only the Lua code has, is from models/wide-resnet.lua.
Not here: their training recipe (`cifarray.recipes.wide_resnet_28_10`), the bottleneck variants of the paper's §4.
"""

import torch.nn.functional as F
from torch import Tensor, nn


class WideBlock(nn.Module):
    """B(3,3) of the paper's §3: BN-ReLU-conv-BN-ReLU-dropout-conv, plus the shortcut."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, dropout: float) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.conv1 = _conv3x3(in_channels, out_channels, stride)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.dropout = nn.Dropout(dropout)
        self.conv2 = _conv3x3(out_channels, out_channels, 1)
        self.projection = (
            nn.Conv2d(in_channels, out_channels, 1, stride=stride, bias=False) if in_channels != out_channels else None
        )

    def forward(self, x: Tensor) -> Tensor:
        activated = F.relu(self.bn1(x), inplace=True)
        branch = F.relu(self.bn2(self.conv1(activated)), inplace=True)
        branch = self.conv2(self.dropout(branch))
        # A projection sees the activated input, as the branch does; an identity shortcut passes the raw one on.
        return branch + (x if self.projection is None else self.projection(activated))


class WideResNet(nn.Module):
    """(N, 3, H, W) images to (N, num_classes) logits; pooling is over the whole map, so H and W are free."""

    def __init__(self, num_classes: int, blocks_per_group: int, widen_factor: int, dropout: float) -> None:
        super().__init__()
        self.stem = _conv3x3(3, 16, 1)
        groups = []
        in_channels = 16
        for base, stride in ((16, 1), (32, 2), (64, 2)):
            out_channels = base * widen_factor
            blocks = [WideBlock(in_channels, out_channels, stride, dropout)]
            blocks += [WideBlock(out_channels, out_channels, 1, dropout) for _ in range(blocks_per_group - 1)]
            groups.append(nn.Sequential(*blocks))
            in_channels = out_channels
        self.groups = nn.Sequential(*groups)
        self.bn = nn.BatchNorm2d(in_channels)
        self.classifier = nn.Linear(in_channels, num_classes)
        self.apply(_initialise)

    def forward(self, images: Tensor) -> Tensor:
        features = F.relu(self.bn(self.groups(self.stem(images))), inplace=True)
        return self.classifier(features.mean(dim=(2, 3)))


def wide_resnet(num_classes: int, *, depth: int, widen_factor: int, dropout: float = 0.0) -> WideResNet:
    """WRN-depth-widen_factor; the paper's grid is depth 16, 22, 28, 40 and widen_factor 1, 2, 4, 8, 10, 12.

    `dropout` is between the convolutions of a block (§2.4: 0.3 on CIFAR). Raises ValueError unless depth is 6n + 4.
    """
    if isinstance(depth, bool) or not isinstance(depth, int) or depth < 10 or (depth - 4) % 6:
        raise ValueError(f"model.depth {depth!r} is not 6n + 4 with n ≥ 1: choose {_nearest_depths(depth)}")
    if isinstance(widen_factor, bool) or not isinstance(widen_factor, int) or widen_factor < 1:
        raise ValueError(f"model.widen_factor {widen_factor!r} is not a whole number ≥ 1: choose 1, 2, 4, 8, 10 or 12")
    if isinstance(dropout, bool) or not isinstance(dropout, (int, float)) or not 0 <= dropout < 1:
        raise ValueError(f"model.dropout {dropout!r} is not in [0, 1): choose 0 or the paper's 0.3")
    return WideResNet(num_classes, (depth - 4) // 6, widen_factor, float(dropout))


def _conv3x3(in_channels: int, out_channels: int, stride: int) -> nn.Conv2d:
    return nn.Conv2d(in_channels, out_channels, 3, stride=stride, padding=1, bias=False)


def _initialise(module: nn.Module) -> None:
    """conv_params, linear_params and bnparams of the authors' pytorch/utils.py."""
    if isinstance(module, (nn.Conv2d, nn.Linear)):
        nn.init.kaiming_normal_(module.weight)  # fan_in, gain √2, the linear layer too
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.uniform_(module.weight)  # γ from U(0, 1), where most ports start at 1
        nn.init.zeros_(module.bias)


def _nearest_depths(depth: object) -> str:
    if not isinstance(depth, (int, float)) or not depth < 10_000 or depth <= 10:
        return "10 or 16"
    below = int(depth - 4) // 6 * 6 + 4
    return f"{below} or {below + 6}"

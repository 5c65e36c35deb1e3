"""Residual networks for CIFAR: He et al. 2015, arXiv:1512.03385, §4.2; and plain ones without shortcuts.

The paper leaves open where option A puts its zero channels; here half of them go before and half after the others,
which only renames channels. Its CIFAR networks have basic blocks; bottlenecks (as its ImageNet networks have them, the
stride on the first 1×1) are for depths such as 164 and 1001, which it does not train.
Not here: pre-activation (`preact_resnet`), stochastic depth, the ImageNet family (`imagenet_resnet`).
"""

from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from cifarray.models import rules
from cifarray.models.blocks import NORMS, Norm, PaddedShortcut, ResidualBlock, conv1x1, conv3x3, pooled
from cifarray.models.initial_weights import he_fan_out, xavier

STAGES = ((16, 1), (32, 2), (64, 2))
"""Channels and the stride of the first block, for each of the three stages."""

Variant = Literal["paper", "post"]


class BasicBlock(ResidualBlock):
    """conv3×3-BN-ReLU-conv3×3-BN, plus the shortcut, then ReLU."""

    expansion = 1
    branch_end = "bn2"

    def __init__(
        self,
        in_channels: int,
        channels: int,
        stride: int,
        shortcut: str,
        norm: Norm = nn.BatchNorm2d,
        bias: bool = False,
    ) -> None:
        super().__init__()
        self.downsamples = stride > 1
        self.conv1 = conv3x3(in_channels, channels, stride, bias)
        self.bn1 = norm(channels)
        self.conv2 = conv3x3(channels, channels, 1, bias)
        self.bn2 = norm(channels)
        self.shortcut = make_shortcut(in_channels, channels, stride, shortcut, norm)

    def forward(self, x: Tensor) -> Tensor:
        branch = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(branch)) + self.shortcut(x))


class BottleneckBlock(ResidualBlock):
    """conv1×1-BN-ReLU-conv3×3-BN-ReLU-conv1×1-BN to four times the channels, plus the shortcut, then ReLU."""

    expansion = 4
    branch_end = "bn3"

    def __init__(
        self,
        in_channels: int,
        channels: int,
        stride: int,
        shortcut: str,
        norm: Norm = nn.BatchNorm2d,
        bias: bool = False,
    ) -> None:
        super().__init__()
        self.downsamples = stride > 1
        out_channels = channels * self.expansion
        self.conv1 = conv1x1(in_channels, channels, stride, bias)
        self.bn1 = norm(channels)
        self.conv2 = conv3x3(channels, channels, 1, bias)
        self.bn2 = norm(channels)
        self.conv3 = conv1x1(channels, out_channels, 1, bias)
        self.bn3 = norm(out_channels)
        self.shortcut = make_shortcut(in_channels, out_channels, stride, shortcut, norm)

    def forward(self, x: Tensor) -> Tensor:
        branch = F.relu(self.bn1(self.conv1(x)))
        branch = F.relu(self.bn2(self.conv2(branch)))
        return F.relu(self.bn3(self.conv3(branch)) + self.shortcut(x))


class ResNet(nn.Module):
    """(N, 3, H, W) images to (N, num_classes) logits; pooling is over the whole map, so H and W are free."""

    def __init__(
        self,
        num_classes: int,
        blocks_per_stage: int,
        block: type[BasicBlock] | type[BottleneckBlock],
        shortcut: str,
        norm: Norm,
        bias: bool,
    ) -> None:
        super().__init__()
        self.stem = conv3x3(3, 16, 1, bias)
        self.bn = norm(16)
        stages = []
        in_channels = 16
        for channels, stride in STAGES:
            blocks = []
            for index in range(blocks_per_stage):
                blocks.append(block(in_channels, channels, stride if index == 0 else 1, shortcut, norm, bias))
                in_channels = channels * block.expansion
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.Sequential(*stages)
        self.classifier = nn.Linear(in_channels, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        return self.classifier(pooled(self.stages(F.relu(self.bn(self.stem(images))))))


class PlainCNN(nn.Module):
    """conv3×3-BN-ReLU as often as a residual network of that depth has them, without shortcuts."""

    def __init__(self, num_classes: int, blocks_per_stage: int, norm: Norm, bias: bool) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        in_channels = 3
        for stage, (channels, stride) in enumerate(STAGES):
            for index in range(2 * blocks_per_stage + (stage == 0)):
                first = index == 0 and stage > 0
                layers += [conv3x3(in_channels, channels, stride if first else 1, bias), norm(channels), nn.ReLU()]
                in_channels = channels
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Linear(in_channels, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        return self.classifier(pooled(self.features(images)))


def resnet(
    num_classes: int,
    *,
    depth: int,
    bottleneck: bool = False,
    shortcut: Literal["A", "B"] = "A",
    norm: Literal["batch", "affine"] = "batch",
    variant: Variant = "paper",
) -> ResNet:
    """ResNet-depth of the paper's §4.2: depth 20, 32, 44, 56, 110 and 1202 there; 9n + 2 with `bottleneck`.

    shortcut: where a block changes the shape, A pads with zeros (the paper on CIFAR), B projects (1×1 convolution, BN).
    norm: `affine` is batch normalisation whose statistics are never used, as a post computes it (`blocks.Affine`).
    variant: `post` is the TensorFlow post's network, with biases in the convolutions and Xavier initialisation.
    Raises ValueError for a depth that is not 6n + 2 (or 9n + 2) and for other values.
    """
    blocks = rules.resnet(depth=depth, bottleneck=bottleneck, shortcut=shortcut, norm=norm, variant=variant)
    block = BottleneckBlock if bottleneck else BasicBlock
    network = ResNet(num_classes, blocks, block, shortcut, NORMS[norm], bias=variant == "post")
    network.apply(xavier if variant == "post" else he_fan_out)
    return network


def plain_cnn(
    num_classes: int, *, depth: int = 32, norm: Literal["batch", "affine"] = "batch", variant: Variant = "paper"
) -> PlainCNN:
    """The plain network of the paper's §4.2; depth is 6n + 2.

    norm, variant: as for `resnet`. The post does not show how its CNN goes down in size; a stride of 2 at the start of
    a stage, as in the paper, is our reading. Raises ValueError as `resnet` does.
    """
    blocks = rules.plain_cnn(depth=depth, norm=norm, variant=variant)
    network = PlainCNN(num_classes, blocks, NORMS[norm], bias=variant == "post")
    network.apply(xavier if variant == "post" else he_fan_out)
    return network


def make_shortcut(in_channels: int, out_channels: int, stride: int, shortcut: str, norm: Norm) -> nn.Module:
    """Identity where the shape stays, else option A or B."""
    if in_channels == out_channels and stride == 1:
        return nn.Identity()
    if shortcut == "A":
        return PaddedShortcut(out_channels - in_channels, stride, centred=True)
    return nn.Sequential(conv1x1(in_channels, out_channels, stride), norm(out_channels))

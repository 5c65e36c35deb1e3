"""ResNet-50 and its relatives with the tweaks B, C and D: He et al. 2019, "Bag of Tricks", arXiv:1812.01187, §4.

The tweaks add up: C contains B, D contains C. Their 50-B is what torchvision calls resnet50.
"""

from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from cifarray.models import rules
from cifarray.models.blocks import ResidualBlock, conv1x1, conv3x3, pooled
from cifarray.models.initial_weights import xavier


class Bottleneck(ResidualBlock):
    """conv1×1-BN-ReLU-conv3×3-BN-ReLU-conv1×1-BN to four times the channels, plus the shortcut, then ReLU.

    The stride is on the first 1×1; with tweak B, C or D on the 3×3. With D a mean of 2 × 2 pixels comes before the
    shortcut's 1×1, which then has stride 1 and drops nothing.
    """

    branch_end = "bn3"

    def __init__(self, in_channels: int, channels: int, stride: int, tweak: str) -> None:
        super().__init__()
        self.downsamples = stride > 1
        first, second = (stride, 1) if tweak == "none" else (1, stride)
        out_channels = 4 * channels
        self.conv1 = conv1x1(in_channels, channels, first)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = conv3x3(channels, channels, second)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv3 = conv1x1(channels, out_channels)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.shortcut = nn.Sequential()
        if in_channels != out_channels or stride > 1:
            pool = tweak == "d" and stride > 1
            if pool:
                self.shortcut.append(nn.AvgPool2d(2, stride, ceil_mode=True, count_include_pad=False))
            self.shortcut.append(conv1x1(in_channels, out_channels, 1 if pool else stride))
            self.shortcut.append(nn.BatchNorm2d(out_channels))

    def forward(self, x: Tensor) -> Tensor:
        branch = F.relu(self.bn1(self.conv1(x)))
        branch = F.relu(self.bn2(self.conv2(branch)))
        return F.relu(self.bn3(self.conv3(branch)) + self.shortcut(x))


class ImageNetResNet(nn.Module):
    """(N, 3, H, W) images to (N, num_classes) logits; pooling is over the whole map, so H and W are free."""

    def __init__(self, num_classes: int, blocks: tuple[int, ...], tweak: str, stem: str, base_width: int) -> None:
        super().__init__()
        self.stem = _stem(base_width, deep=tweak in ("c", "d"), imagenet=stem == "imagenet")
        stages = []
        in_channels = base_width
        for stage, count in enumerate(blocks):
            channels = base_width * 2**stage
            layers = []
            for index in range(count):
                stride = 2 if stage > 0 and index == 0 else 1
                layers.append(Bottleneck(in_channels, channels, stride, tweak))
                in_channels = 4 * channels
            stages.append(nn.Sequential(*layers))
        self.stages = nn.Sequential(*stages)
        self.classifier = nn.Linear(in_channels, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        return self.classifier(pooled(self.stages(self.stem(images))))


def imagenet_resnet(
    num_classes: int,
    *,
    depth: int = 50,
    tweak: Literal["none", "b", "c", "d"] | None = "none",
    stem: Literal["cifar", "imagenet"] = "cifar",
    base_width: int = 64,
) -> ImageNetResNet:
    """ResNet-depth, -B, -C or -D with bottlenecks; base_width 64 is the papers'.

    stem: the ImageNet one is 7×7 with stride 2 and max pooling, with tweak C three 3×3 instead of the 7×7; `cifar` has
    strides of 1 (one 3×3, with tweak C three) and no pooling. Initialised Xavier uniform, as §2.1 says; the zero γ of
    §3.1 is `initialise`'s. Raises ValueError for other values.
    """
    blocks = rules.imagenet_resnet(depth=depth, tweak=tweak, stem=stem, base_width=base_width)
    network = ImageNetResNet(num_classes, blocks, tweak or "none", stem, base_width)
    network.apply(xavier)
    return network


def _stem(width: int, deep: bool, imagenet: bool) -> nn.Sequential:
    stride = 2 if imagenet else 1
    layers: list[nn.Module] = []
    if deep:
        # 32, 32 and 64 channels in the paper.
        in_channels = 3
        for index, channels in enumerate((width // 2, width // 2, width)):
            layers += [conv3x3(in_channels, channels, stride if index == 0 else 1), nn.BatchNorm2d(channels), nn.ReLU()]
            in_channels = channels
    else:
        first = nn.Conv2d(3, width, 7, stride=2, padding=3, bias=False) if imagenet else conv3x3(3, width)
        layers += [first, nn.BatchNorm2d(width), nn.ReLU()]
    if imagenet:
        layers.append(nn.MaxPool2d(3, stride=2, padding=1))
    return nn.Sequential(*layers)

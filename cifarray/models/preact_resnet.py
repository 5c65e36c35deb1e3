"""Pre-activation residual networks: He et al. 2016, arXiv:1603.05027, as in the authors' code (resnet-1k-layers).

Where a block changes the shape, one BN-ReLU is shared by branch and shortcut; elsewhere the shortcut is the raw input.
The stem has no BN-ReLU, the last block is followed by one. Not here: PyramidNet's blocks (`pyramidnet`).
"""

from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from cifarray.models import rules
from cifarray.models.blocks import NORMS, Norm, PaddedShortcut, ResidualBlock, conv1x1, conv3x3, pooled
from cifarray.models.initial_weights import he_fan_out, xavier
from cifarray.models.resnet import STAGES, Variant


class PreActBlock(ResidualBlock):
    """BN-ReLU-conv3×3-BN-ReLU-conv3×3; with `bottleneck` BN-ReLU-conv1×1, -conv3×3, -conv1×1, the stride on the first.

    raw_shortcut: a shortcut that changes the shape gets the raw input too (the post's variant).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int,
        bottleneck: bool,
        shortcut: str,
        norm: Norm,
        bias: bool,
        raw_shortcut: bool,
    ) -> None:
        super().__init__()
        self.downsamples = stride > 1
        inner = out_channels // 4 if bottleneck else out_channels
        self.bn1 = norm(in_channels)
        if bottleneck:
            self.conv1 = conv1x1(in_channels, inner, stride, bias)
            self.bn2 = norm(inner)
            self.conv2 = conv3x3(inner, inner, 1, bias)
            self.bn3 = norm(inner)
            self.conv3 = conv1x1(inner, out_channels, 1, bias)
        else:
            self.conv1 = conv3x3(in_channels, inner, stride, bias)
            self.bn2 = norm(inner)
            self.conv2 = conv3x3(inner, out_channels, 1, bias)
        self.bottleneck = bottleneck
        self.branch_end = "conv3" if bottleneck else "conv2"
        self.raw_shortcut = raw_shortcut
        self.shortcut: nn.Module | None = None
        if in_channels != out_channels or stride > 1:
            self.shortcut = (
                PaddedShortcut(out_channels - in_channels, stride, centred=True)
                if shortcut == "A"
                else conv1x1(in_channels, out_channels, stride)
            )

    def forward(self, x: Tensor) -> Tensor:
        activated = F.relu(self.bn1(x))
        branch = self.conv2(F.relu(self.bn2(self.conv1(activated))))
        if self.bottleneck:
            branch = self.conv3(F.relu(self.bn3(branch)))
        if self.shortcut is not None:
            x = self.shortcut(x if self.raw_shortcut else activated)
        return branch + x


class PreActResNet(nn.Module):
    """(N, 3, H, W) images to (N, num_classes) logits; pooling is over the whole map, so H and W are free."""

    def __init__(
        self, num_classes: int, blocks_per_stage: int, bottleneck: bool, shortcut: str, norm: Norm, post: bool
    ) -> None:
        super().__init__()
        self.stem = conv3x3(3, 16, 1, bias=post)
        # The post keeps the original's BN-ReLU after the stem, and so has none before the pooling.
        self.stem_bn = norm(16) if post else None
        stages = []
        in_channels = 16
        for channels, stride in STAGES:
            out_channels = 4 * channels if bottleneck else channels
            blocks = []
            for index in range(blocks_per_stage):
                first = stride if index == 0 else 1
                blocks.append(
                    PreActBlock(
                        in_channels, out_channels, first, bottleneck, shortcut, norm, bias=post, raw_shortcut=post
                    )
                )
                in_channels = out_channels
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.Sequential(*stages)
        self.bn = None if post else norm(in_channels)
        self.classifier = nn.Linear(in_channels, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        x = self.stem(images)
        if self.stem_bn is not None:
            x = F.relu(self.stem_bn(x))
        x = self.stages(x)
        if self.bn is not None:
            x = F.relu(self.bn(x))
        return self.classifier(pooled(x))


def preact_resnet(
    num_classes: int,
    *,
    depth: int,
    bottleneck: bool = False,
    shortcut: Literal["A", "B"] = "B",
    norm: Literal["batch", "affine"] = "batch",
    variant: Variant = "paper",
) -> PreActResNet:
    """Pre-activation ResNet-depth: 6n + 2 (110 in the paper), or 9n + 2 with `bottleneck` (164 and 1001).

    shortcut: where a block changes the shape, B projects with a 1×1 convolution without BN (the authors' code), A pads
    with zeros. norm: `affine` is batch normalisation whose statistics are never used (`blocks.Affine`).
    variant: `post` is the TensorFlow post's "proposed" network: biases in the convolutions, Xavier initialisation,
    BN-ReLU after the stem and none before the pooling, the shortcut's padding on the raw input; use it with shortcut A.
    Raises ValueError for a depth that is not 6n + 2 (or 9n + 2) and for other values.
    """
    blocks = rules.preact_resnet(depth=depth, bottleneck=bottleneck, shortcut=shortcut, norm=norm, variant=variant)
    network = PreActResNet(num_classes, blocks, bottleneck, shortcut, NORMS[norm], post=variant == "post")
    network.apply(xavier if variant == "post" else he_fan_out)
    return network

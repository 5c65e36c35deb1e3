"""ResNet-13: the residual network with 13 convolutions of a post on CIFAR-10 and its 2 × 2 grids.

The post gives the number of convolutions, the 7 × 7 stem and what it does with the max pooling, but not the layout of
the blocks. Our reading: the ImageNet ResNet's basic blocks (He et al. 2015, arXiv:1512.03385) in its four stages, two
in each of the first two and one in each of the others, 1 + 2·6 convolutions on the main path. Other readings are other
`blocks`.
"""

from collections.abc import Sequence
from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from cifarray.models import rules
from cifarray.models.blocks import conv3x3, pooled
from cifarray.models.initial_weights import he_fan_out
from cifarray.models.resnet import BasicBlock


class ResNet13(nn.Module):
    """(N, 3, H, W) images to (N, num_classes) logits; pooling is over the whole map, so H and W are free."""

    def __init__(self, num_classes: int, blocks: Sequence[int], stem: str, max_pool: bool) -> None:
        super().__init__()
        wide = stem == "7x7"
        self.stem = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False) if wide else conv3x3(3, 64)
        self.bn = nn.BatchNorm2d(64)
        self.max_pool = max_pool
        stages = []
        in_channels = 64
        for stage, count in enumerate(blocks):
            channels = 64 * 2**stage
            layers = []
            for index in range(count):
                stride = 2 if stage > 0 and index == 0 else 1
                layers.append(BasicBlock(in_channels, channels, stride, "B"))
                in_channels = channels
            stages.append(nn.Sequential(*layers))
        self.stages = nn.Sequential(*stages)
        self.classifier = nn.Linear(in_channels, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        x = F.relu(self.bn(self.stem(images)))
        if self.max_pool:
            x = F.max_pool2d(x, 3, stride=2, padding=1)
        return self.classifier(pooled(self.stages(x)))


def resnet13(
    num_classes: int,
    *,
    blocks: Sequence[int] = (2, 2, 1, 1),
    stem: Literal["7x7", "3x3"] = "7x7",
    max_pool: bool = False,
) -> ResNet13:
    """Basic blocks with projections: `blocks[i]` of them with 64 · 2^i channels in stage i.

    stem: the post's 7 × 7 with stride 2, or the 3 × 3 with stride 1 that is usual for 32 × 32. max_pool: 3 × 3 with
    stride 2 after the stem; the post has it for 64 × 64 images and not for 32 × 32. Raises ValueError for other values.
    """
    counts = rules.resnet13(blocks=blocks, stem=stem, max_pool=max_pool)
    network = ResNet13(num_classes, counts, stem, max_pool)
    network.apply(he_fan_out)
    return network

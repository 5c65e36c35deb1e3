"""AlexNet for 32 × 32 images, as a post draws it after Krizhevsky et al. 2012.

Not the ImageNet network: no response normalisation, no groups, no pooling after the first convolution, whose kernel is
4 × 4 with stride 1 and no padding.
"""

from typing import Literal, NamedTuple

from torch import Tensor, nn

from cifarray.models import rules
from cifarray.models.blocks import shrunk


class Size(NamedTuple):
    kernel: int
    channels: tuple[int, int, int, int, int]
    """Of the five convolutions."""
    side: int
    """Of the last map, from images of 32 × 32."""
    hidden: int


SIZES = {
    "large": Size(kernel=4, channels=(96, 256, 384, 384, 256), side=6, hidden=4096),
    "small": Size(kernel=7, channels=(64, 192, 256, 256, 128), side=5, hidden=2048),
}


class AlexNet(nn.Module):
    """(N, 3, H, W) images to (N, num_classes) logits; maps of larger images are pooled to the side that 32 × 32 has."""

    def __init__(self, num_classes: int, size: Size) -> None:
        super().__init__()
        first, second, third, fourth, fifth = size.channels
        self.features = nn.Sequential(
            nn.Conv2d(3, first, size.kernel),
            nn.ReLU(),
            nn.Conv2d(first, second, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(3, stride=2),
            nn.Conv2d(second, third, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(third, fourth, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(fourth, fifth, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(3, stride=2),
        )
        self.side = size.side
        self.classifier = nn.Sequential(
            nn.Dropout(0.5),
            nn.Linear(fifth * size.side**2, size.hidden),
            nn.ReLU(),
            nn.Dropout(0.5),
            nn.Linear(size.hidden, size.hidden),
            nn.ReLU(),
            nn.Linear(size.hidden, num_classes),
        )

    def forward(self, images: Tensor) -> Tensor:
        maps = self.features(images)
        return self.classifier(shrunk(maps, self.side).flatten(1))


def alexnet(num_classes: int, *, size: Literal["large", "small"] = "large") -> AlexNet:
    """`large` is the post's AlexNet, `small` its SmallAlexNet; initialised as torch does, like there.

    Raises ValueError for another size.
    """
    rules.alexnet(size=size)
    return AlexNet(num_classes, SIZES[size])

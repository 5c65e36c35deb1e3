"""A linear classifier on pixels: what every network has to beat to be worth its name."""

from torch import Tensor, nn

from cifarray.models import rules
from cifarray.models.blocks import shrunk


class Linear(nn.Module):
    """(N, 3, H, W) images to (N, num_classes) logits; larger images are pooled to `side`."""

    def __init__(self, num_classes: int, side: int) -> None:
        super().__init__()
        self.side = side
        self.classifier = nn.Linear(3 * side * side, num_classes)
        nn.init.zeros_(self.classifier.weight)
        nn.init.zeros_(self.classifier.bias)

    def forward(self, images: Tensor) -> Tensor:
        return self.classifier(shrunk(images, self.side).flatten(1))


def linear(num_classes: int, *, side: int = 32) -> Linear:
    """Softmax regression on side × side pixels, from zero. Raises ValueError for a side that is no whole number ≥ 1."""
    rules.linear(side=side)
    return Linear(num_classes, side)

"""What a task is. Its targets are its own: only the task that made a batch's targets looks into them."""

from collections.abc import Sequence
from typing import Any, Protocol

from torch import Tensor, nn

Targets = Any


class Task(Protocol):
    """Batches, loss and counting while a network is trained for it. All tensors are on the network's device."""

    def batch(self, rows: Tensor, share: slice, epoch: int) -> tuple[Tensor, Targets]:
        """The part `share` of the global batch of `rows` (G,): augmented (B, 3, H, W) float32 images in channels_last
        memory and their targets."""

    def loss(self, logits: Tensor, targets: Targets) -> Tensor:
        """The mean over the batch, from the network's float32 output (B, C)."""

    def correct(self, logits: Tensor, targets: Targets) -> Tensor:
        """Right answers in the batch, at most B."""

    def epoch_metrics(self) -> dict[str, float]:
        """What else there is to tell of the epoch that ends."""


class Answers(Protocol):
    """How the outputs of a trained network are judged and named; needs nothing of its training."""

    def evaluate(
        self,
        classifier: nn.Module,
        num_classes: int,
        images: Tensor,
        labels: Tensor,
        rows: Tensor,
        rank: int,
        world_size: int,
        chunk: int,
    ) -> dict[str, float]:
        """Metrics on `rows` (M,) of images (N, side, side, 3) uint8 and labels (N,), M > 0.

        classifier: from such images to float32 logits, on whatever device it is. chunk: at most so many images at a
        time on each rank. Collective: every rank takes its part of the rows, which may be none, and all get the same
        result, in which each row is counted once.
        """

    def names(self, logits: Tensor, classes: Sequence[str]) -> list[str]:
        """What each picture shows, in words."""

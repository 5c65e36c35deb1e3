"""What a task is. Its targets are its own: only the task that made a batch's targets looks into them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
import torch.distributed as dist
from torch import Tensor, nn

Targets = Any


class Task(Protocol):
    """Batches, loss and counting while a network is trained for it. All tensors are on the network's device."""

    batches_on_device: bool
    """Whether `batch`, after `begin_epoch`, is nothing but kernels on what is on the device already: then it can be
    recorded, and made of other rows by launching it again (`training.step`)."""

    def begin_epoch(self, epoch: int) -> None:
        """To be called before the first batch of an epoch."""

    def batch(self, rows: Tensor, share: slice, epoch: int) -> tuple[Tensor, Targets]:
        """The part `share` of the global batch of `rows` (G,): augmented (B, 3, H, W) float32 images in channels_last
        memory and their targets."""

    def loss(self, logits: Tensor, targets: Targets) -> Tensor:
        """The mean over the batch, from the network's float32 output (B, C)."""

    def correct(self, logits: Tensor, targets: Targets) -> Tensor:
        """Right answers in the batch, at most B."""

    def epoch_metrics(self) -> dict[str, float]:
        """What else there is to tell of the epoch that ends."""


@dataclass(frozen=True)
class Exam:
    """What a trained network is evaluated on: `rows` (M,) of images (N, side, side, 3) uint8 and labels (N,), M > 0.

    chunk: at most so many images at a time on each rank. Every rank has the same rows and takes its part of them.
    """

    images: Tensor
    labels: Tensor
    rows: Tensor
    num_classes: int
    rank: int
    world_size: int
    chunk: int

    def part(self, rows: Tensor) -> Tensor:
        """This rank's part of as many lines as there are rows; it may have none."""
        return rows[self.rank :: self.world_size]

    def whole(self, part: Tensor) -> Tensor:
        """What each rank gives for its part of the rows, (its rows, C), put together on every rank: (M, C)."""
        if self.world_size == 1:
            return part
        whole = torch.zeros(len(self.rows), part.shape[1], dtype=part.dtype, device=part.device)
        self.part(whole)[:] = part
        dist.all_reduce(whole)
        return whole


class Answers(Protocol):
    """How the outputs of a trained network are judged and named; needs nothing of its training."""

    def evaluate(self, classifier: nn.Module, exam: Exam) -> dict[str, float]:
        """Metrics of the classifier, which makes float32 logits of the exam's images on whatever device it is.

        Collective: all ranks get the same result, in which each row is counted once.
        """

    def names(self, logits: Tensor, classes: Sequence[str]) -> list[str]:
        """What each picture shows, in words."""

    def probabilities(self, logits: Tensor) -> Tensor:
        """(N, num_classes) float32 in 0..1: how likely each picture shows each class."""

"""What a network is asked: which class an image shows, or which classes a 2 × 2 grid of images shows.

A task makes batches, gives the loss of the logits and counts how many answers are right. Not here: evaluation
(`evaluate`), augmentation and grids themselves (`cifarray.data`).
"""

from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from cifarray.config import TrainConfig
from cifarray.data import Augmentation, ImageStore, grid_members, multi_hot, quarter_numbers, tile

METRICS = {
    1: {"accuracy": "accuracy", "loss": "loss"},
    2: {
        "map": "mean average precision",
        "label_accuracy": "per-label accuracy",
        "exact_match": "exact match",
        "f1": "F1",
        "precision": "precision",
        "recall": "recall",
        "loss": "loss",
    },
}
"""What an evaluation gives, by `data.grid`, the first of them chosen by default to compare trials by."""


class Task(Protocol):
    """Loss and counting for one kind of target."""

    def batch(self, rows: Tensor, epoch: int) -> tuple[Tensor, Tensor]:
        """Augmented (B, 3, H, W) float32 images in channels_last memory and their targets, on the device."""

    def loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The mean over the batch, from float32 logits (B, C)."""

    def correct(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Right answers in the batch, at most B."""


class SingleLabel:
    """One image, one class: cross-entropy."""

    def __init__(
        self, config: TrainConfig, store: ImageStore, images: Tensor, labels: Tensor, device: torch.device
    ) -> None:
        self.config, self.images, self.labels, self.device = config, images, labels, device
        self.augment = Augmentation(config.data, store.mean, store.std)

    def batch(self, rows: Tensor, epoch: int) -> tuple[Tensor, Tensor]:
        """Targets (B,) int64."""
        images = self.images.index_select(0, rows).to(self.device, non_blocking=True)
        labels = self.labels.index_select(0, rows).to(self.device, non_blocking=True)
        return self.augment(images, rows, seed=self.config.seed, epoch=epoch), labels

    def loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        return F.cross_entropy(logits, targets, label_smoothing=self.config.label_smoothing)

    def correct(self, logits: Tensor, targets: Tensor) -> Tensor:
        return (logits.argmax(1) == targets).sum()


class GridLabels:
    """A 2 × 2 grid, all classes that it shows: binary cross-entropy on each label."""

    def __init__(
        self,
        config: TrainConfig,
        store: ImageStore,
        images: Tensor,
        labels: Tensor,
        device: torch.device,
        pool: Tensor,
    ) -> None:
        """`pool`: the rows (M,) that may be in a grid."""
        self.config, self.images, self.labels, self.device = config, images, labels, device
        self.num_classes = len(store.classes)
        self.augment = Augmentation(config.data, store.mean, store.std)
        self.pool = pool.to(images.device)

    def batch(self, rows: Tensor, epoch: int) -> tuple[Tensor, Tensor]:
        """Each quarter is augmented by itself; targets (B, C) float32 multi-hot."""
        members = grid_members(rows, self.pool, self.config.seed, epoch)
        quarters = self.images.index_select(0, members.flatten()).to(self.device, non_blocking=True)
        labels = self.labels[members].to(self.device, non_blocking=True)
        pixels = self.augment(quarters, quarter_numbers(rows), seed=self.config.seed, epoch=epoch)
        return tile(pixels).contiguous(memory_format=torch.channels_last), multi_hot(labels, self.num_classes)

    def loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        smoothing = self.config.label_smoothing
        return F.binary_cross_entropy_with_logits(logits, targets * (1 - smoothing) + smoothing / 2)

    def correct(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The share of right labels, summed over the batch."""
        return ((logits > 0) == (targets > 0.5)).float().mean(1).sum()

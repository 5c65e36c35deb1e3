"""What a network is asked: which class an image shows, or which classes a 2 × 2 grid of images shows.

A task makes batches, gives the loss of the logits and counts how many answers are right. Not here: evaluation
(`evaluate`), augmentation and grids themselves (`cifarray.data`), a teacher's answers (`distillation`).
"""

from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from cifarray.config import TrainConfig
from cifarray.data import Augmentation, ImageStore, grid_members, multi_hot, quarter_numbers, tile
from cifarray.training.mixing import Mixing, mixed_targets

Targets = Any
"""What a task's batches are compared with; only the task itself looks into it."""


class Task(Protocol):
    """Loss and counting for one kind of target."""

    def batch(self, rows: Tensor, share: slice, epoch: int) -> tuple[Tensor, Targets]:
        """The part `share` of the global batch of `rows` (G,): augmented (B, 3, H, W) float32 images in channels_last
        memory and their targets, on the device."""

    def loss(self, logits: Tensor, targets: Targets) -> Tensor:
        """The mean over the batch, from float32 logits (B, C)."""

    def correct(self, logits: Tensor, targets: Targets) -> Tensor:
        """Right answers in the batch, at most B."""

    def epoch_metrics(self) -> dict[str, float]:
        """What else there is to tell of the epoch that ends."""


class SingleLabel:
    """One image, one class: cross-entropy; of mixed images, of the mixture of their labels."""

    def __init__(
        self, config: TrainConfig, store: ImageStore, images: Tensor, labels: Tensor, device: torch.device
    ) -> None:
        self.config, self.images, self.labels, self.device = config, images, labels, device
        self.num_classes = len(store.classes)
        self.augment = Augmentation(config.data, store.mean, store.std, store.covariance)
        mixes = config.mixup or config.cutmix
        self.mixing = Mixing(config.mixup, config.cutmix, config.seed, device) if mixes else None

    def batch(self, rows: Tensor, share: slice, epoch: int) -> tuple[Tensor, Tensor]:
        """Targets (B,) int64, of mixed images (B, C) float32."""
        if self.mixing is None:
            return self._augmented(rows[share], epoch)
        partners = self.mixing.partners(rows, epoch)[share]
        own = rows[share]
        if len(own) == len(rows):
            images, labels = self._augmented(rows, epoch)
            others, other_labels = images[partners], labels[partners]
        else:
            # Another rank or micro-batch may have the partner: augmented here once more, it is the same image.
            both, both_labels = self._augmented(torch.cat([own, rows[partners]]), epoch)
            images, others = both.chunk(2)
            labels, other_labels = both_labels.chunk(2)
        mixed, lam = self.mixing(images, others, own.to(self.device, non_blocking=True), epoch)
        return mixed, mixed_targets(labels, other_labels, lam, self.num_classes)

    def loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        return F.cross_entropy(logits, targets, label_smoothing=self.config.label_smoothing)

    def correct(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Of a mixed image, the label of its larger part is right."""
        labels = targets if targets.ndim == 1 else targets.argmax(1)
        return (logits.argmax(1) == labels).sum()

    def epoch_metrics(self) -> dict[str, float]:
        return {}

    def _augmented(self, rows: Tensor, epoch: int) -> tuple[Tensor, Tensor]:
        images = self.images.index_select(0, rows).to(self.device, non_blocking=True)
        labels = self.labels.index_select(0, rows).to(self.device, non_blocking=True)
        return self.augment(images, rows, seed=self.config.seed, epoch=epoch), labels


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
        self.augment = Augmentation(config.data, store.mean, store.std, store.covariance)
        self.pool = pool.to(images.device)

    def batch(self, rows: Tensor, share: slice, epoch: int) -> tuple[Tensor, Tensor]:
        """Each quarter is augmented by itself; targets (B, C) float32 multi-hot."""
        rows = rows[share]
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

    def epoch_metrics(self) -> dict[str, float]:
        return {}

"""A 2 × 2 grid of images, all classes that it shows."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cifarray.config import TrainConfig
from cifarray.data import (
    Augmentation,
    ImageStore,
    augments_on,
    grid_draws,
    grid_members,
    multi_hot,
    quarter_numbers,
    rows_at_once,
    take,
    tile,
    to_device,
)
from cifarray.data.grids import EVALUATION_EPOCH
from cifarray.training.tasks.task import Exam


class GridLabels:
    """Binary cross-entropy on each label."""

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
        self.augments_on = augments_on(config.data, device)
        self.augment = Augmentation(
            config.data, store.mean, store.std, store.covariance, rows_at_once(4 * len(images), self.augments_on)
        )
        self.drawn = grid_draws(rows_at_once(len(images), images.device))
        self.pool = pool.to(images.device)
        drawn_at_once = None not in (self.drawn.num_rows, self.augment.places.num_rows)
        self.batches_on_device = images.device == device == self.augments_on and drawn_at_once

    def begin_epoch(self, epoch: int) -> None:
        self.augment.begin_epoch(self.config.seed, epoch)
        self.drawn.begin_epoch(self.config.seed, epoch)

    def batch(self, rows: Tensor, share: slice, epoch: int) -> tuple[Tensor, Tensor]:
        """Each quarter is augmented by itself; targets (B, C) float32 multi-hot."""
        rows = rows[share]
        members = grid_members(rows, self.pool, self.config.seed, epoch, self.drawn)
        quarters = take(self.images, members.flatten(), self.augments_on)
        labels = take(self.labels, members.flatten(), self.device).view_as(members)
        numbers = to_device(quarter_numbers(rows), self.augments_on)
        pixels = to_device(self.augment(quarters, numbers, seed=self.config.seed, epoch=epoch), self.device)
        return tile(pixels).contiguous(memory_format=torch.channels_last), multi_hot(labels, self.num_classes)

    def loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        smoothing = self.config.label_smoothing
        return F.binary_cross_entropy_with_logits(logits, targets * (1 - smoothing) + smoothing / 2)

    def correct(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The share of right labels, summed over the batch."""
        return ((logits > 0) == (targets > 0.5)).float().mean(1).sum()

    def epoch_metrics(self) -> dict[str, float]:
        return {}


class GridLabelsAnswers:
    """The metrics of many labels, from all ranks' logits, with `label_accuracy_of_no`."""

    def evaluate(self, classifier: nn.Module, exam: Exam) -> dict[str, float]:
        """One picture for each row, the same in every evaluation: its other images are drawn from `rows` too.

        precision, recall, f1 and label_accuracy are over all labels of all pictures (micro), a label being there where
        its logit is above 0; exact_match is the share of pictures without a wrong label, map the mean over the classes
        of the average precision, label_accuracy_of_no what one gets who always says no.
        """
        device = next(classifier.parameters()).device
        members = grid_members(exam.rows, exam.rows, seed=0, epoch=EVALUATION_EPOCH).to(exam.images.device)
        parts = []
        for part in torch.split(exam.part(members), max(1, exam.chunk // 4)):
            quarters = exam.images.index_select(0, part.flatten()).permute(0, 3, 1, 2)
            parts.append(classifier(tile(quarters).permute(0, 2, 3, 1)))
        logits = exam.whole(torch.cat(parts) if parts else torch.empty(0, exam.num_classes, device=device))
        targets = multi_hot(exam.labels[members].to(device), exam.num_classes)
        return {**multi_label_metrics(logits, targets), "label_accuracy_of_no": 1 - targets.mean().item()}

    def names(self, logits: Tensor, classes: Sequence[str]) -> list[str]:
        """All classes that a picture shows, joined by commas."""
        return [
            ", ".join(name for name, there in zip(classes, row, strict=True) if there) for row in (logits > 0).tolist()
        ]

    def probabilities(self, logits: Tensor) -> Tensor:
        """Each class by itself is there or not."""
        return logits.sigmoid()


def multi_label_metrics(logits: Tensor, targets: Tensor) -> dict[str, float]:
    """loss (binary cross-entropy) and the metrics of `kinds.GRID_LABELS`, from (N, C) logits and targets of 0 and 1."""
    # Takes seconds to import, which only those pay who need it.
    from torchmetrics.functional import classification as metrics

    said, true = torch.sigmoid(logits), targets.long()
    labels = targets.shape[1]
    values = {
        "loss": F.binary_cross_entropy_with_logits(logits.double(), targets.double()),
        "precision": metrics.multilabel_precision(said, true, labels, average="micro"),
        "recall": metrics.multilabel_recall(said, true, labels, average="micro"),
        "f1": metrics.multilabel_f1_score(said, true, labels, average="micro"),
        "label_accuracy": metrics.multilabel_accuracy(said, true, labels, average="micro"),
        "exact_match": metrics.multilabel_exact_match(said, true, labels),
        "map": metrics.multilabel_average_precision(said, true, labels, average="macro"),
    }
    return {name: float(value) for name, value in values.items()}

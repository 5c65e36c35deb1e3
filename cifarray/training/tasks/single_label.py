"""One image, one class."""

from collections.abc import Sequence

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn

from cifarray.config import TrainConfig
from cifarray.data import Augmentation, ImageStore, augments_on, rows_at_once, take, to_device
from cifarray.training.mixing import Mixing, mixed_targets
from cifarray.training.tasks.task import Exam


class SingleLabel:
    """Cross-entropy; of mixed images, of the mixture of their labels."""

    def __init__(
        self, config: TrainConfig, store: ImageStore, images: Tensor, labels: Tensor, device: torch.device
    ) -> None:
        self.config, self.images, self.labels, self.device = config, images, labels, device
        self.num_classes = len(store.classes)
        self.augments_on = augments_on(config.data, device)
        self.augment = Augmentation(
            config.data, store.mean, store.std, store.covariance, rows_at_once(len(images), self.augments_on)
        )
        num_rows = rows_at_once(len(images), device)
        self.batches_on_device = images.device == device == self.augments_on and num_rows is not None
        mixes = config.mixup or config.cutmix
        self.mixing = Mixing(config.mixup, config.cutmix, config.seed, device, num_rows) if mixes else None

    def begin_epoch(self, epoch: int) -> None:
        self.augment.begin_epoch(self.config.seed, epoch)
        if self.mixing is not None:
            self.mixing.begin_epoch(epoch)

    def batch(self, rows: Tensor, share: slice, epoch: int) -> tuple[Tensor, Tensor]:
        """Targets (B,) int64, of mixed images (B, C) float32."""
        if self.mixing is None:
            return self._augmented(rows[share], epoch)
        partners = self.mixing.partners(rows, epoch)[share]
        own = rows[share]
        if len(own) == len(rows):
            images, labels = self._augmented(rows, epoch)
            partners = to_device(partners, self.device)
            others, other_labels = images[partners], labels[partners]
        else:
            # Another rank or micro-batch may have the partner: augmented here once more, it is the same image.
            both, both_labels = self._augmented(torch.cat([own, rows[partners]]), epoch)
            images, others = both.chunk(2)
            labels, other_labels = both_labels.chunk(2)
        mixed, lam = self.mixing(images, others, to_device(own, self.device), epoch)
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
        images, labels = take(self.images, rows, self.augments_on), take(self.labels, rows, self.device)
        augmented = self.augment(images, to_device(rows, self.augments_on), seed=self.config.seed, epoch=epoch)
        return to_device(augmented, self.device), labels


class SingleLabelAnswers:
    """loss (plain, without label smoothing, so that trials can be compared by it) and accuracy in 0..1."""

    def evaluate(self, classifier: nn.Module, exam: Exam) -> dict[str, float]:
        """From sums that are reduced over the ranks."""
        device = next(classifier.parameters()).device
        # Loss, correct, count: float64 holds every count exactly. (torchmetrics would cost seconds of each start.)
        sums = torch.zeros(3, dtype=torch.float64, device=device)
        for part in torch.split(exam.part(exam.rows).to(exam.images.device), exam.chunk):
            logits = classifier(exam.images.index_select(0, part))
            expected = exam.labels.index_select(0, part).to(device)
            loss = F.cross_entropy(logits.double(), expected, reduction="sum")
            correct = (logits.argmax(1) == expected).sum()
            sums += torch.stack([loss, correct, torch.tensor(len(part), device=device)])
        if exam.world_size > 1:
            dist.all_reduce(sums)
        loss_sum, correct_sum, count = sums.tolist()
        return {"loss": loss_sum / count, "accuracy": correct_sum / count}

    def names(self, logits: Tensor, classes: Sequence[str]) -> list[str]:
        """The likeliest class of each image."""
        return [classes[index] for index in logits.argmax(1).tolist()]

    def probabilities(self, logits: Tensor) -> Tensor:
        """Of an image that shows one class: they sum to 1."""
        return logits.softmax(dim=1)

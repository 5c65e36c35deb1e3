"""Exact loss and accuracy over all ranks: each row is counted once, sums and counts are reduced, then divided.

The loss is plain cross-entropy, without label smoothing, so that trials can be compared by it.
Not here: which rows are for validation (`cifarray.data.splits`).
"""

from typing import Literal

import torch
import torch.nn.functional as F
import torchmetrics
from torch import Tensor

from cifarray.data import open_store
from cifarray.training.classifier import Classifier

_BATCH_SIZE = 500
"""Images at a time on each rank."""


class LossAndAccuracy(torchmetrics.Metric):
    """Sums in float64 and int64, which hold every count; reduced over the ranks by sum."""

    loss: Tensor
    correct: Tensor
    count: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("loss", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("correct", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, logits: Tensor, labels: Tensor) -> None:
        """(N, num_classes) and (N,)."""
        self.loss += F.cross_entropy(logits.double(), labels, reduction="sum")
        self.correct += (logits.argmax(1) == labels).sum()
        self.count += len(labels)

    def compute(self) -> tuple[Tensor, Tensor]:
        return self.loss / self.count, self.correct.double() / self.count


@torch.inference_mode()
def evaluate(
    classifier: Classifier, images: Tensor, labels: Tensor, rows: Tensor, rank: int = 0, world_size: int = 1
) -> tuple[float, float]:
    """Loss and accuracy in 0..1 on `rows` (M,) of images (N, side, side, 3) uint8 and labels (N,), M > 0.

    Collective: every rank takes its part of the rows, which may be none, and all get the same result.
    """
    classifier.eval()
    device = next(classifier.parameters()).device
    metric = LossAndAccuracy().to(device)
    # An empty part is one empty chunk: that rank too has updated when the sums are reduced.
    for chunk in torch.split(rows[rank::world_size].to(images.device), _BATCH_SIZE):
        metric.update(classifier(images.index_select(0, chunk)), labels.index_select(0, chunk).to(device))
    loss, accuracy = metric.compute()
    return loss.item(), accuracy.item()


def evaluate_split(classifier: Classifier, source: str, split: Literal["train", "test"]) -> dict[str, float]:
    """`loss` and `accuracy` on all images of a split. Raises DataError, and ValueError if it has other classes."""
    store = open_store(source, split, classifier.image_size)
    if store.classes != classifier.classes:
        raise ValueError(
            f"data {source!r} has the classes {', '.join(store.classes[:5])} … ({len(store.classes)}), the network "
            f"{', '.join(classifier.classes[:5])} … ({len(classifier.classes)}): give the data it was trained on"
        )
    loss, accuracy = evaluate(classifier, store.images, store.labels, torch.arange(len(store.labels)))
    return {"loss": loss, "accuracy": accuracy}

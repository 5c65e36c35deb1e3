"""Exact loss and accuracy over all ranks: each row is counted once, sums and counts are reduced, then divided.

The loss is plain cross-entropy, without label smoothing, so that trials can be compared by it.
Not here: which rows are for validation (`cifarray.data.splits`).
"""

from typing import Literal

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor

from cifarray.data import open_store
from cifarray.training.classifier import Classifier

_BATCH_SIZE = 500
"""Images at a time on each rank."""


@torch.inference_mode()
def evaluate(
    classifier: Classifier, images: Tensor, labels: Tensor, rows: Tensor, rank: int = 0, world_size: int = 1
) -> tuple[float, float]:
    """Loss and accuracy in 0..1 on `rows` (M,) of images (N, side, side, 3) uint8 and labels (N,), M > 0.

    Collective: every rank takes its part of the rows, which may be none, and all get the same result.
    """
    classifier.eval()
    device = next(classifier.parameters()).device
    # Loss, correct, count: float64 holds every count exactly. (torchmetrics would cost each worker's start seconds.)
    sums = torch.zeros(3, dtype=torch.float64, device=device)
    for chunk in torch.split(rows[rank::world_size].to(images.device), _BATCH_SIZE):
        logits = classifier(images.index_select(0, chunk))
        expected = labels.index_select(0, chunk).to(device)
        loss = F.cross_entropy(logits.double(), expected, reduction="sum")
        correct = (logits.argmax(1) == expected).sum()
        sums += torch.stack([loss, correct, torch.tensor(len(chunk), device=device)])
    if world_size > 1:
        dist.all_reduce(sums)
    loss_sum, correct_sum, count = sums.tolist()
    return loss_sum / count, correct_sum / count


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

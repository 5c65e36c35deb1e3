"""Exact evaluation over all ranks: each row is counted once, whatever the number of workers.

One label per image: loss and accuracy from reduced sums. Grids: the metrics of many labels, from all ranks' logits. The
loss is plain, without label smoothing, so that trials can be compared by it.
Not here: which rows are for validation (`cifarray.data.splits`).
"""

from typing import Literal

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor

from cifarray.data import grid_members, multi_hot, open_store, tile
from cifarray.data.grids import EVALUATION_EPOCH
from cifarray.training.classifier import Classifier

_CHUNK = 500
"""Images at a time on each rank."""


@torch.inference_mode()
def evaluate(
    classifier: Classifier,
    images: Tensor,
    labels: Tensor,
    rows: Tensor,
    rank: int = 0,
    world_size: int = 1,
    chunk: int | None = None,
) -> dict[str, float]:
    """Metrics on `rows` (M,) of images (N, side, side, 3) uint8 and labels (N,), M > 0.

    `loss` and `accuracy` in 0..1; where the classifier was trained on grids those of
    `METRICS[2]` in their place, with `label_accuracy_of_no`.
    chunk: at most so many images at a time on each rank.
    Collective: every rank takes its part of the rows, which may be none, and all get the same result.
    """
    classifier.eval()
    size = min(chunk or _CHUNK, _CHUNK)
    if classifier.config.data.grid == 2:
        return _evaluate_grids(classifier, images, labels, rows, rank, world_size, size)
    device = next(classifier.parameters()).device
    # Loss, correct, count: float64 holds every count exactly. (torchmetrics would cost each worker's start seconds.)
    sums = torch.zeros(3, dtype=torch.float64, device=device)
    for part in torch.split(rows[rank::world_size].to(images.device), size):
        logits = classifier(images.index_select(0, part))
        expected = labels.index_select(0, part).to(device)
        loss = F.cross_entropy(logits.double(), expected, reduction="sum")
        correct = (logits.argmax(1) == expected).sum()
        sums += torch.stack([loss, correct, torch.tensor(len(part), device=device)])
    if world_size > 1:
        dist.all_reduce(sums)
    loss_sum, correct_sum, count = sums.tolist()
    return {"loss": loss_sum / count, "accuracy": correct_sum / count}


def _evaluate_grids(
    classifier: Classifier, images: Tensor, labels: Tensor, rows: Tensor, rank: int, world_size: int, size: int
) -> dict[str, float]:
    """One picture for each row, the same in every evaluation: its other images are drawn from `rows` too.

    precision, recall, f1 and label_accuracy are over all labels of all pictures (micro), a label being there where its
    logit is above 0; exact_match is the share of pictures without a wrong label, map the mean over the classes of the
    average precision, label_accuracy_of_no what one gets who always says no.
    """
    device = next(classifier.parameters()).device
    members = grid_members(rows, rows, seed=0, epoch=EVALUATION_EPOCH).to(images.device)
    num_classes = len(classifier.classes)
    found = []
    for part in torch.split(members[rank::world_size], max(1, size // 4)):
        quarters = images.index_select(0, part.flatten()).permute(0, 3, 1, 2)
        found.append(classifier(tile(quarters).permute(0, 2, 3, 1)))
    logits = torch.cat(found) if found else torch.empty(0, num_classes, device=device)
    logits = _gathered(logits, len(rows), rank, world_size)
    targets = multi_hot(labels[members].to(device), num_classes)
    return {**multi_label_metrics(logits, targets), "label_accuracy_of_no": 1 - targets.mean().item()}


def multi_label_metrics(logits: Tensor, targets: Tensor) -> dict[str, float]:
    """loss (binary cross-entropy) and the metrics of `METRICS`, from (N, C) logits and targets of 0 and 1."""
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


def _gathered(part: Tensor, count: int, rank: int, world_size: int) -> Tensor:
    """Rows rank, rank + world_size, … of each rank put together: all `count` rows on every rank."""
    if world_size == 1:
        return part
    whole = torch.zeros(count, part.shape[1], device=part.device)
    whole[rank::world_size] = part
    dist.all_reduce(whole)
    return whole


def evaluate_split(classifier: Classifier, source: str, split: Literal["train", "test"]) -> dict[str, float]:
    """The metrics of `evaluate` on all images of a split. Raises DataError, and ValueError if it has other classes."""
    store = open_store(source, split, classifier.config.data.image_size)
    if store.classes != classifier.classes:
        raise ValueError(
            f"data {source!r} has the classes {', '.join(store.classes[:5])} … ({len(store.classes)}), the network "
            f"{', '.join(classifier.classes[:5])} … ({len(classifier.classes)}): give the data it was trained on"
        )
    return evaluate(classifier, store.images, store.labels, torch.arange(len(store.labels)))

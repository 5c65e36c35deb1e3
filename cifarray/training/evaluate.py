"""Exact evaluation over all ranks: each row is counted once, whatever the number of workers.

Not here: what is measured, which is the task's (`tasks`); which rows are for validation (`cifarray.data.splits`).
"""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from cifarray.data import open_store
from cifarray.training.classifier import CHUNK, Classifier
from cifarray.training.tasks.registry import answers_of
from cifarray.training.tasks.task import Exam


@torch.inference_mode()
def evaluate(
    classifier: Classifier,
    images: Tensor,
    labels: Tensor,
    rows: Tensor,
    rank: int = 0,
    world_size: int = 1,
    chunk: int | None = None,
    on_chunk: Callable[[], None] = lambda: None,
) -> dict[str, float]:
    """The metrics of the classifier's task on `rows` (M,) of images (N, side, side, 3) uint8 and labels (N,), M > 0.

    chunk: at most so many images at a time on each rank. on_chunk: called after each.
    Collective: every rank takes its part of the rows, which may be none, and all get the same result.
    """
    classifier.eval()
    exam = Exam(images, labels, rows, len(classifier.classes), rank, world_size, chunk=min(chunk or CHUNK, CHUNK))
    hook = classifier.register_forward_hook(lambda *_: on_chunk())
    try:
        return answers_of(classifier.config).evaluate(classifier, exam)
    finally:
        hook.remove()


def evaluate_split(classifier: Classifier, source: str, split: Literal["train", "test"]) -> dict[str, float]:
    """The metrics of `evaluate` on all images of a split. Raises DataError, and ValueError if it has other classes."""
    store = open_store(source, split, classifier.config.data.image_size)
    if store.classes != classifier.classes:
        raise ValueError(
            f"data {source!r} has the classes {', '.join(store.classes[:5])} … ({len(store.classes)}), the network "
            f"{', '.join(classifier.classes[:5])} … ({len(classifier.classes)}): give the data it was trained on"
        )
    return evaluate(classifier, store.images, store.labels, torch.arange(len(store.labels)))

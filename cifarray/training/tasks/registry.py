"""The tasks by their kind: what trains for one, and what judges the answers."""

import torch
from torch import Tensor

from cifarray.config import TrainConfig
from cifarray.data import ImageStore
from cifarray.training.tasks.grid_labels import GridLabels, GridLabelsAnswers
from cifarray.training.tasks.kinds import GRID_LABELS, SINGLE_LABEL, kind_of
from cifarray.training.tasks.single_label import SingleLabel, SingleLabelAnswers
from cifarray.training.tasks.task import Answers, Task

_ANSWERS: dict[str, Answers] = {SINGLE_LABEL.name: SingleLabelAnswers(), GRID_LABELS.name: GridLabelsAnswers()}


def answers_of(config: TrainConfig) -> Answers:
    """How the outputs of a network that was trained with this config are judged and named."""
    return _ANSWERS[kind_of(config).name]


def make_task(
    config: TrainConfig, store: ImageStore, images: Tensor, labels: Tensor, device: torch.device, train_rows: Tensor
) -> Task:
    """The task that a network is trained for.

    images (N, side, side, 3) uint8 and labels (N,) int64: those of `store`, on the device or in memory. train_rows
    (M,): the images that may be seen in training.
    """
    if kind_of(config) == GRID_LABELS:
        return GridLabels(config, store, images, labels, device, train_rows)
    return SingleLabel(config, store, images, labels, device)

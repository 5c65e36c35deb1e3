"""The best network of a study before its validation images: what it takes for what, and its worst mistakes.

Runs in this process, without Ray. The test split stays closed. Not here: how it is shown
(`cifarray.report.page.champion`).
"""

import io
import math
from collections.abc import Sequence

import torch
from PIL import Image
from torch import Tensor

from cifarray.data import DataError, open_store, split_indices, stratified_rows
from cifarray.data.split_sizes import split_sizes
from cifarray.errors import StudyError
from cifarray.examine import networks
from cifarray.examine.progress import Tell, counted, tell_nobody
from cifarray.report.page.champion import Examined, Wrong
from cifarray.report.page.told import Told
from cifarray.report.page.worth import winner
from cifarray.training.classifier import CHUNK, Classifier, as_trained

WORST = 24
"""Misclassified images that are shown."""
MACS_ON_CPU = 4e12
"""As many as a CPU is asked for: some ten seconds to a minute."""
FEWEST = 200
"""Images that are looked at whatever they cost."""


def examine_champion(told: Told, tell: Tell = tell_nobody) -> Examined | str:
    """What the winner makes of its validation images; a sentence where that cannot be known here.

    All of them on a GPU. On a CPU as many as cost `MACS_ON_CPU`, an even part of each class. Fills in
    `told.validation_images`. tell: hears how far it is.
    """
    data = told.state.space.base.data
    try:
        best = winner(told)
        if best is None:
            return "No trial has finished an epoch, so there is no champion."
        if data.grid != 1:
            return "The champion answers for 2 × 2 grids, which have no confusion matrix."
        if data.validation == 0:
            return "All images were trained on (data.validation 0): none is left to hold against the champion."
        if best.checkpoint is None:
            return f"Trial {best.number} has no checkpoint, so nothing can be asked of its network."
        classifier = networks.load(best.checkpoint[1])
        config = classifier.config.data
        store = open_store(config.source, "train", config.image_size)
        if told.started.data_sha256 not in ("", store.sha256) or store.classes != classifier.classes:
            return f"The images of {config.source} are not those that the study was trained on any more."
        rows = split_indices(store.labels, config.validation, config.limit)[1]
    except (StudyError, DataError) as error:
        return f"The champion cannot be looked at here: {error}."
    told.validation_images = held_out = len(rows)
    if not torch.cuda.is_available():
        affordable = max(FEWEST, int(MACS_ON_CPU / max(1, best.macs)))
        if affordable < held_out:
            rows = rows[stratified_rows(store.labels[rows], affordable, "report")]
    try:
        with (
            as_trained(classifier) as computed,
            counted(classifier, f"looking at trial {best.number} of {told.name}", len(rows), tell),
        ):
            confusion, worst = _look(classifier, store.images, store.labels, rows)
    except StudyError as error:
        return f"The champion cannot be looked at here: {error}."
    return Examined(best.number, classifier.classes, confusion, len(rows), held_out, worst, computed)


def known_held_out(told: Told) -> int | None:
    """How many images the study holds out, where the name of its data says how many there are."""
    from cifarray.data.names import known_size

    data = told.state.space.base.data
    try:
        total = known_size(data.source)
        return None if total is None else split_sizes(total, data.validation, data.limit)[1]
    except DataError:
        return None


@torch.inference_mode()
def _look(classifier: Classifier, images: Tensor, labels: Tensor, rows: Tensor) -> tuple[list[list[int]], list[Wrong]]:
    """images: (N, side, side, 3) uint8, labels: (N,) int64, rows: (M,). Counts by (true class, answer), and the worst
    mistakes."""
    classes = classifier.classes
    confusion = torch.zeros(len(classes), len(classes), dtype=torch.int64)
    wrong: list[tuple[float, int, int, float]] = []
    for part in torch.split(rows, CHUNK):
        truth = labels[part]
        chances = classifier(images[part]).softmax(dim=1).cpu()
        sure, answers = chances.max(dim=1)
        confusion += torch.bincount(truth * len(classes) + answers, minlength=len(classes) ** 2).view_as(confusion)
        for place in (answers != truth).nonzero()[:, 0].tolist():
            chance = float(chances[place, truth[place]])
            loss = -math.log(chance) if chance else math.inf
            wrong.append((loss, int(part[place]), int(answers[place]), float(sure[place])))
        wrong = sorted(wrong, key=lambda each: (-each[0], each[1]))[:WORST]
    return confusion.tolist(), [_shown(images, labels, classes, *each[1:]) for each in wrong]


def _shown(images: Tensor, labels: Tensor, classes: Sequence[str], row: int, answer: int, sure: float) -> Wrong:
    file = io.BytesIO()
    Image.fromarray(images[row].numpy()).save(file, "png", optimize=True)
    return Wrong(file.getvalue(), classes[int(labels[row])], classes[answer], sure)

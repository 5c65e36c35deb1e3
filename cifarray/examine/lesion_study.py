"""The lesion study of a trained network: silences one residual branch at a time, measures, draws, tells the journal.

Runs in this process, without Ray, on validation images. Not here: the lesions themselves (`lesions`), the picture
(`lesion_picture`).
"""

import statistics
from collections.abc import Iterator
from pathlib import Path

from cifarray.config import TrainConfig
from cifarray.data import open_store, split_indices, stratified_rows
from cifarray.errors import StudyError
from cifarray.examine import networks
from cifarray.examine.lesion_picture import draw, median_rises, write_table
from cifarray.examine.lesions import Lesion, lesions
from cifarray.examine.progress import Tell, counted, tell_nobody
from cifarray.models import residual_blocks
from cifarray.study.events import LesionStudied
from cifarray.tracking.ended import append_to_ended
from cifarray.training.classifier import Classifier, as_trained
from cifarray.training.evaluate import evaluate
from cifarray.training.tasks.kinds import kind_of


def run_lesion_study(
    target: str,
    where: str,
    tracking_uri: str,
    source: str | None = None,
    limit: int | None = None,
    tell: Tell = tell_nobody,
) -> Iterator[str]:
    """Yields lines for the user.

    target: a checkpoint's path, a study (its best trial), `<study>-<number>` or an MLflow run; source: data in place of
    what it was trained on; limit: at most so many validation images; tell: hears how far it is. Picture and table go to
    the study's folder and to the trial's MLflow run; those of a checkpoint outside of a study are put beside it.
    Raises StudyError if there is no such network, or none whose branches can be silenced.
    """
    folder, number, address = networks.find_checkpoint(target, where, tracking_uri)
    classifier = networks.load(address)
    name = f"{folder.name}-{number}" if number is not None else Path(address).stem
    yield f"{name}: {classifier.config.model.name}, {address}"
    intact, measured, computed = _measure(classifier, source or classifier.config.data.source, limit, tell)
    rises = median_rises(intact, measured)
    paths = {kind: folder / f"lesion-{name}.{kind}" for kind in ("png", "csv")}
    draw(paths["png"], f"{_describe(classifier.config)}: one residual branch silent at a time", intact, measured)
    write_table(paths["csv"], intact, measured)
    yield f"intact: error {100 * intact:.2f} %, in {computed}"
    for kind, rise in rises.items():
        count = sum(each.downsamples is (kind == "downsampling") for each in measured)
        yield f"median rise over {count} {kind} blocks: {100 * rise:+.2f} points"
    worst = max(measured, key=lambda each: each.error)
    yield f"largest rise: {100 * (worst.error - intact):+.2f} points, block {worst.index} ({worst.name})"
    yield f"picture: {paths['png']}"
    yield f"table:   {paths['csv']}"
    if number is not None:
        metrics = {f"lesion_rise_{kind}": rise for kind, rise in rises.items()}
        metrics |= {"lesion_rise_median": statistics.median(each.error - intact for each in measured)}
        artifacts = tuple(map(str, paths.values()))
        event = LesionStudied(trial=number, metrics=metrics, artifacts=artifacts)
        message = append_to_ended(folder, event, tracking_uri)
        if message:
            yield message


def _describe(config: TrainConfig) -> str:
    options = [
        f"{name} {value}" for name, value in config.model.options.items() if name in ("depth", "widen_factor", "alpha")
    ]
    return f"{config.model.name} ({', '.join(options)})"


def _measure(classifier: Classifier, source: str, limit: int | None, tell: Tell) -> tuple[float, list[Lesion], str]:
    """The error of the intact network and of each lesion, on validation images, and what they were computed in."""
    data = classifier.config.data
    if limit is not None and limit < 1:
        raise StudyError(f"limit {limit} is too few: choose 1 or more")
    kind = kind_of(classifier.config)
    if not kind.has_error:
        raise StudyError(f"a network of {kind.sees} has no single error to draw: give one of single images")
    if data.validation == 0:
        raise StudyError("the network was trained on all images (data.validation 0): give one that held some out")
    blocks = len(residual_blocks(classifier.network))
    if not blocks:
        raise StudyError(
            f"{classifier.config.model.name} has no residual blocks to silence: give a resnet, preact_resnet, "
            "wide_resnet, pyramidnet, stochastic_depth_resnet, resnet13 or imagenet_resnet"
        )
    store = open_store(source, "train", data.image_size)
    if store.classes != classifier.classes:
        raise StudyError(f"data {source!r} has other classes than the network: give the data it was trained on")
    rows = split_indices(store.labels, data.validation, data.limit)[1]
    if limit is not None and limit < len(rows):
        rows = rows[stratified_rows(store.labels[rows], limit, "lesion")]

    def error() -> float:
        return 1 - evaluate(classifier, store.images, store.labels, rows)["accuracy"]

    with (
        as_trained(classifier) as computed,
        counted(classifier, f"silencing {blocks} branches in turn", (1 + blocks) * len(rows), tell),
    ):
        return error(), list(lesions(classifier.network, error)), computed

"""A trained network by what a user calls it: a study, a trial, an MLflow run, a checkpoint.

Not here: what such a word means within a storage (`cifarray.journal.targets`).
"""

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from cifarray import places, storage
from cifarray.errors import StudyError
from cifarray.journal import targets
from cifarray.tracking import checkpoint_of_run
from cifarray.training.classifier import Classifier, load_classifier


def find_checkpoint(target: str, where: str, tracking_uri: str) -> tuple[Path, int | None, str]:
    """As `targets.find_checkpoint`; runs of other storages are looked up in MLflow at `tracking_uri`."""
    return targets.find_checkpoint(target, where, partial(checkpoint_of_run, tracking_uri=tracking_uri))


def load_by_name(
    target: str | os.PathLike[str], where: str | None, tracking_uri: str | None, classes: Sequence[str] | None
) -> Classifier:
    """What `cifarray.load` says."""
    where = storage.absolute(where or places.results())
    uri = tracking_uri or os.environ.get("MLFLOW_TRACKING_URI") or places.default_tracking_uri(where)
    checkpoint = partial(checkpoint_of_run, tracking_uri=uri)
    address = targets.find_checkpoint(os.fspath(target), where, checkpoint, any_epoch=True)[2]
    return load_classifier(address, classes)


def load(address: str) -> Classifier:
    """The trained network of a checkpoint, on the CPU. Raises StudyError if there is no whole checkpoint."""
    try:
        return load_classifier(address)
    except (ValueError, storage.StorageError) as error:
        raise StudyError(str(error)) from None

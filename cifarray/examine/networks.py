"""A trained network by what a user calls it: a study, a trial, an MLflow run, a checkpoint.

Not here: what such a word means within a storage (`cifarray.journal.targets`).
"""

from functools import partial
from pathlib import Path

from cifarray import storage
from cifarray.errors import StudyError
from cifarray.journal import targets
from cifarray.tracking import checkpoint_of_run
from cifarray.training.classifier import Classifier, load_classifier


def find_checkpoint(target: str, where: str, tracking_uri: str) -> tuple[Path, int | None, str]:
    """As `targets.find_checkpoint`; runs of other storages are looked up in MLflow at `tracking_uri`."""
    return targets.find_checkpoint(target, where, partial(checkpoint_of_run, tracking_uri=tracking_uri))


def load(address: str) -> Classifier:
    """The trained network of a checkpoint, on the CPU. Raises StudyError if there is no whole checkpoint."""
    try:
        return load_classifier(address)
    except (ValueError, storage.StorageError) as error:
        raise StudyError(str(error)) from None

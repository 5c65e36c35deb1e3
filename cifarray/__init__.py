"""cifarray: searches and trains CIFAR networks with Ray, and remembers every run in MLflow.

Here: the version, `load` for a trained network, `results` for a study's trials. Imports are late, so that
`import cifarray` costs nothing.
"""

from collections.abc import Sequence
from os import PathLike
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas

    from cifarray.training.classifier import Classifier

__all__ = ["__version__", "load", "results"]

__version__ = "0.1.0"


def load(
    target: str | PathLike[str],
    tracking_uri: str | None = None,
    *,
    storage: str | None = None,
    classes: Sequence[str] | None = None,
) -> "Classifier":
    """A trained network, on the CPU: it classifies images and knows its train config, metrics and classes.

    target: one of
      - a study by name, of which the best trial is meant, or a trial, `STUDY-NUMBER`;
      - an MLflow run, by its id or as `runs:/ID`;
      - a checkpoint: a local path, or an s3:// or gs:// address;
      - a study's folder or a trial's.
    A trial that is named may have been stopped early: the newest checkpoint that is kept is loaded.
    tracking_uri: MLflow's store, for runs of other storages; else $MLFLOW_TRACKING_URI, else the SQLite file beside the
    results. storage: where the studies are; else $CIFARRAY_STORAGE, else ~/cifarray-results. classes: names of the
    classes in the order of their labels, where the data had none or others are wanted.
    Raises ValueError or StorageError if there is no such study, trial, run or checkpoint, ValueError if the names are
    not one for each class.
    """
    from cifarray.examine.networks import load_by_name

    return load_by_name(target, storage, tracking_uri, classes)


def results(study: str | PathLike[str], *, storage: str | None = None) -> "pandas.DataFrame":
    """The trials of a study, best first, a row each: outcome with its reason, metrics of the last epoch (accuracies in
    0..1), sizes, minutes, and what was varied, by dotted field. The study may be running.

    study: its name or folder, its MLflow run, or a trial of it. storage: where the studies are; else $CIFARRAY_STORAGE,
    else ~/cifarray-results.
    Raises StudyError, a ValueError, if there is no such study.
    """
    from cifarray.report.frame import frame

    return frame(study, storage)

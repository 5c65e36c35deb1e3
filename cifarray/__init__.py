"""cifarray: searches and trains CIFAR networks with Ray, and remembers every run in MLflow.

Here: the version, and `load` for a trained network. Imports are late, so that `import cifarray` costs nothing.
"""

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cifarray.training.classifier import Classifier

__all__ = ["__version__", "load"]

__version__ = "0.1.0"


def load(run_id_or_path: str, tracking_uri: str | None = None) -> "Classifier":
    """The trained network of an MLflow run, or of a checkpoint at a local path, s3:// or gs:// address.

    It classifies (N, side, side, 3) uint8 images and knows its train config. `tracking_uri` is where the run is: else
    MLFLOW_TRACKING_URI, else the SQLite file beside the results. Raises ValueError or StorageError if there is no such
    run or checkpoint.
    """
    from cifarray.training.classifier import load_classifier

    # MLflow's run ids are 32 hexadecimal digits, which no checkpoint's name is.
    if not re.fullmatch(r"[0-9a-f]{32}", run_id_or_path):
        return load_classifier(run_id_or_path)

    from cifarray.tracking import checkpoint_of_run

    return load_classifier(checkpoint_of_run(run_id_or_path, tracking_uri))

"""Addresses: where a study's runs are kept by default, and where a run's checkpoint is.

Not here: writing to MLflow (`cifarray.tracking.mirror`).
"""

import os
from pathlib import Path

from cifarray.tracking.changes import CHECKPOINT_TAG

SQLITE = "sqlite:///"
DEFAULT_STORAGE = "~/cifarray-results"


def default_tracking_uri(storage: str) -> str:
    """SQLite beside the results; for results in an object store, in the user's cifarray folder."""
    if "://" in storage:
        from cifarray.data.home import home  # late: it brings torch, which the child process can do without

        folder = home()
    else:
        folder = Path(storage).expanduser().absolute()
    return f"{SQLITE}{folder / 'mlflow.db'}"


def sqlite_file(tracking_uri: str) -> Path | None:
    """The database's file if the store is a local SQLite one."""
    return Path(tracking_uri.removeprefix(SQLITE)) if tracking_uri.startswith(SQLITE) else None


def checkpoint_of_run(run_id: str, tracking_uri: str | None = None) -> str:
    """Address of the latest kept checkpoint of a trial's run.

    tracking_uri: None is what the jobs use without flags: $MLFLOW_TRACKING_URI, else SQLite in $CIFARRAY_STORAGE.
    Raises ValueError if there is no such run or if none of its checkpoints is kept.
    """
    if tracking_uri is None:
        place = os.environ.get("CIFARRAY_STORAGE") or DEFAULT_STORAGE
        tracking_uri = os.environ.get("MLFLOW_TRACKING_URI") or default_tracking_uri(place)
    file = sqlite_file(tracking_uri)
    if file is not None and not file.exists():
        raise ValueError(f"{file} does not exist: give the --tracking-uri or MLFLOW_TRACKING_URI that has run {run_id}")
    from mlflow.exceptions import MlflowException
    from mlflow.tracking import MlflowClient

    try:
        run = MlflowClient(tracking_uri).get_run(run_id)
    except MlflowException as error:
        raise ValueError(f"run {run_id!r} cannot be read from {tracking_uri} ({error}): check both") from error
    address = run.data.tags.get(CHECKPOINT_TAG)
    if address is None:
        raise ValueError(
            f"run {run.info.run_name} ({run_id}) has no kept checkpoint: choose a run with the tag {CHECKPOINT_TAG}"
        )
    return str(address)

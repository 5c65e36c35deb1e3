"""Addresses: where a run's checkpoint is, and what a tracking URI means.

Not here: writing to MLflow (`cifarray.tracking.mirror`).
"""

import os
import re
import socket
import urllib.error
import urllib.request
from http.client import HTTPException
from importlib.metadata import entry_points
from pathlib import Path
from urllib.parse import urlsplit

from cifarray.errors import StudyError
from cifarray.journal.targets import where_it_is_now
from cifarray.places import default_tracking_uri, results
from cifarray.redaction import redact
from cifarray.tracking.changes import CHECKPOINT_TAG, STUDY_TAG

SQLITE = "sqlite:///"
SCHEMES = ("http", "https", "sqlite", "postgresql", "mysql", "mssql", "databricks", "databricks-uc", "uc")
"""That MLflow keeps runs behind; others come with plugins of it."""
PORTS = {"postgresql": 5432, "postgres": 5432, "mysql": 3306, "mssql": 1433}
"""Of the databases that MLflow may be told of."""
ANSWER_SECONDS = 3.0
"""How long a store may take to answer before a study begins without it."""


def sqlite_file(tracking_uri: str) -> Path | None:
    """The database's file if it is a local SQLite one."""
    return Path(tracking_uri.removeprefix(SQLITE)) if tracking_uri.startswith(SQLITE) else None


def refuse_unusable(tracking_uri: str) -> None:
    """Raises StudyError for a server without its scheme, what MLflow keeps no runs in, and a SQLite database that it
    looks for elsewhere, which differs between its versions."""
    if re.fullmatch(r"[\w.-]+:\d+(/.*)?", tracking_uri):
        raise StudyError(
            f"the tracking URI {tracking_uri!r} has no scheme, so that MLflow takes it for a folder: did you mean "
            f"http://{tracking_uri}?"
        )
    # As MLflow reads it: `mysql+pymysql://…`, or `databricks` alone.
    scheme = re.split(r"[+:]", tracking_uri, maxsplit=1)[0]
    if scheme not in SCHEMES and scheme not in {plugin.name for plugin in entry_points(group="mlflow.tracking_store")}:
        raise StudyError(
            f"the tracking URI {redact(tracking_uri)!r} is none that MLflow keeps runs in: give a server "
            "(http://HOST:PORT) or a database (sqlite:////FOLDER/mlflow.db, postgresql://…); without --tracking-uri "
            "and MLFLOW_TRACKING_URI it is a database in --storage"
        )
    misread = re.search(r"[?]|%[0-9a-fA-F]{2}", tracking_uri) if tracking_uri.startswith(SQLITE) else None
    if misread is not None:
        raise StudyError(
            f"MLflow's database {redact(tracking_uri)} has {misread[0]!r} in its path, which MLflow reads as something "
            "else: choose another --storage, or name another database with --tracking-uri"
        )


def unreachable(tracking_uri: str) -> str:
    """What the user is told of a store that nobody answers for now; empty for one that answers.

    Asks a server once, for at most ANSWER_SECONDS.
    """
    reason = _why_unreachable(tracking_uri)
    if not reason:
        return ""
    return (
        f"MLflow at {redact(tracking_uri)} is not there ({redact(reason)}): the study runs all the same, and what "
        "MLflow is to have waits in its journal and is sent as soon as it answers"
    )


def _why_unreachable(tracking_uri: str) -> str:
    scheme, _, rest = tracking_uri.partition("://")
    if scheme in ("http", "https"):
        return _no_answer(tracking_uri)
    if rest and (port := PORTS.get(scheme.partition("+")[0])):
        address = urlsplit(tracking_uri)
        try:
            with socket.create_connection((address.hostname or "", address.port or port), ANSWER_SECONDS):
                return ""
        except (OSError, ValueError) as error:
            return str(error)
    return ""


def _no_answer(url: str) -> str:
    parts = urlsplit(url)
    # A name and a password are not asked for here.
    page = parts._replace(netloc=parts.netloc.rpartition("@")[2], path=f"{parts.path.rstrip('/')}/health").geturl()
    try:
        with urllib.request.urlopen(page, timeout=ANSWER_SECONDS):
            return ""
    except urllib.error.HTTPError:
        # It wants a password, or has no such page: it is there.
        return ""
    except (OSError, ValueError, HTTPException) as error:
        return str(getattr(error, "reason", error))


def checkpoint_of_run(run_id: str, tracking_uri: str | None = None) -> str:
    """Address of the latest kept checkpoint of a trial's run.

    tracking_uri: None is what the jobs use without flags: $MLFLOW_TRACKING_URI, else SQLite in $CIFARRAY_STORAGE.
    Raises ValueError if there is no such run or if none of its checkpoints is kept.
    """
    if tracking_uri is None:
        tracking_uri = os.environ.get("MLFLOW_TRACKING_URI") or default_tracking_uri(results())
    file = sqlite_file(tracking_uri)
    if file is not None and not file.exists():
        raise ValueError(f"{file} does not exist: give the --tracking-uri or MLFLOW_TRACKING_URI that has run {run_id}")
    from mlflow.exceptions import MlflowException
    from mlflow.tracking import MlflowClient

    try:
        run = MlflowClient(tracking_uri).get_run(run_id)
    except MlflowException as error:
        raise ValueError(
            f"run {run_id!r} cannot be read from {redact(tracking_uri)} ({redact(str(error))}): check both"
        ) from error
    address = run.data.tags.get(CHECKPOINT_TAG)
    if address is None:
        raise ValueError(
            f"run {run.info.run_name} ({run_id}) has no kept checkpoint: choose a run with the tag {CHECKPOINT_TAG}"
        )
    return where_it_is_now(str(address), str(run.data.tags.get(STUDY_TAG)))

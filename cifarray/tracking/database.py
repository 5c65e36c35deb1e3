"""Making a SQLite database: all of it or nothing, however many studies begin at once and whenever one is killed.

MLflow makes its tables in some seconds of single steps; two at once, or a kill in between, leave a database that no
MLflow can open again. Not here: what is in it.
"""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from filelock import FileLock
from mlflow.tracking import MlflowClient

from cifarray.tracking.addresses import SQLITE


def make_database(file: Path) -> None:
    """Make the database if there is none. Waits for another process that is making it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(file.with_name(f"{file.name}.lock")):
        if file.exists():
            return
        partial = file.with_name(f"{file.name}.partial")
        for leftover in (partial, partial.with_name(f"{partial.name}-journal")):
            leftover.unlink(missing_ok=True)
        MlflowClient(f"{SQLITE}{partial}").search_experiments(max_results=1)
        os.replace(partial, file)
        # The file keeps this mode for all who open it: one flush to disk per commit instead of three, where MLflow
        # commits seven times for a trial, and `mlflow ui` does not hold up the writer.
        with closing(sqlite3.connect(file)) as database:
            database.execute("PRAGMA journal_mode=WAL")

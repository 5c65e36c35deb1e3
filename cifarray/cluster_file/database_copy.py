"""MLflow's database on the head, copied to the storage: what a new head begins with when the old one is gone.

Here: a consistent copy of a SQLite file that a server writes to, and the way back. Not here: artifacts, which MLflow's
server keeps in the storage itself.
"""

import hashlib
import logging
import sqlite3
import tempfile
import threading
from pathlib import Path

from cifarray import storage

SECONDS_BETWEEN_COPIES = 60.0
log = logging.getLogger(__name__)


def address(place: str) -> str:
    """Where a study's `--storage` has the copy."""
    return storage.join(storage.absolute(place), "mlflow-server.db")


def snapshot(database: Path) -> bytes:
    """The database as it is between two transactions. Raises sqlite3.Error if it is none."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "copy.db")
        source, target = sqlite3.connect(f"file:{database}?mode=ro", uri=True), sqlite3.connect(file)
        try:
            source.backup(target)
        finally:
            source.close()
            target.close()
        return file.read_bytes()


def restore(database: Path, copy: str) -> bool:
    """Put the copy where no database is yet; whether it did. Raises StorageError if the storage cannot be used."""
    storage.refuse_unusable(copy)
    if database.exists() or not storage.exists(copy):
        return False
    storage.write_bytes(str(database), storage.read_bytes(copy))
    return True


def keep_copying(database: Path, copy: str, stop: threading.Event, seconds: float = SECONDS_BETWEEN_COPIES) -> None:
    """Copy whenever the database has changed, until `stop` is set, and then once more."""
    copied = b""
    last = False
    while not last:
        last = stop.wait(seconds)
        try:
            data = snapshot(database)
            digest = hashlib.sha256(data).digest()
            if digest != copied:
                storage.write_bytes(copy, data)
                copied = digest
        except (sqlite3.Error, storage.StorageError) as error:
            log.warning("MLflow's database was not copied, the next time in %s s: %s", seconds, error)

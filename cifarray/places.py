"""Where things are when nobody says: prepared data, results, MLflow's database. Environment variables, their defaults.

Not here: reading and writing at an address (`cifarray.storage`).
"""

import os
from pathlib import Path

import platformdirs

DEFAULT_STORAGE = "~/cifarray-results"
REMOTE_SCHEMES = ("s3://", "gs://", "gcs://")
"""What the addresses of buckets begin with."""


def home() -> Path:
    """`$CIFARRAY_HOME`, or the user's cache folder: what can be made again. Not created here."""
    chosen = os.environ.get("CIFARRAY_HOME")
    return Path(chosen).expanduser().absolute() if chosen else Path(platformdirs.user_cache_dir("cifarray"))


def results() -> str:
    """`$CIFARRAY_STORAGE`, or a folder that does not depend on where a job was started."""
    return os.environ.get("CIFARRAY_STORAGE") or DEFAULT_STORAGE


def studies(storage: str) -> Path:
    """Where the journals and reports of a storage's studies are on the driver's disk.

    In the storage itself; for a bucket in `home`, in a folder named after its address, since studies of two
    buckets may have one name.
    """
    if not storage.startswith(REMOTE_SCHEMES):
        return Path(storage).expanduser().absolute()
    scheme, _, path = storage.partition("://")
    return home() / "studies" / scheme / path


def address(folder: Path) -> str | None:
    """What a folder below that of a bucket's studies is there; None for any other folder."""
    try:
        scheme, *path = folder.relative_to(home() / "studies").parts
    except ValueError:
        return None
    name = f"{scheme}://{'/'.join(path)}"
    # Somebody may have local results there.
    return name if path and name.startswith(REMOTE_SCHEMES) else None


def default_tracking_uri(storage: str) -> str:
    """SQLite beside the results; for results in a bucket, in `home`."""
    folder = home() if storage.startswith(REMOTE_SCHEMES) else Path(storage).expanduser().absolute()
    return f"sqlite:///{folder / 'mlflow.db'}"

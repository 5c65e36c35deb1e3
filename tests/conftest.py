"""What every test gets: its own data home, few threads, and the real CIFAR-10 if it is at hand."""

import os
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "2")
# Ray reads it once, when it is imported; a head that a test starts asks for a token if its environment is silent, and
# a driver that differs from its head in this loses its actors within milliseconds.
os.environ.setdefault("RAY_AUTH_MODE", "disabled")

import pytest
import torch

CIFAR10_FOLDER = Path(__file__).parents[2] / "shared" / "cifar10"


@pytest.fixture(scope="session", autouse=True)
def cifarray_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Data is prepared once for the whole session, and never in the home of whoever runs the tests."""
    home = tmp_path_factory.mktemp("home")
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CIFARRAY_HOME", str(home))
        patch.delenv("CIFARRAY_DATA", raising=False)
        yield home


@pytest.fixture(scope="session")
def cifar10_folder() -> Path:
    """CIFAR-10 as Parquet files: `$CIFARRAY_TEST_CIFAR10`, or `../shared/cifar10`; tests that need it are skipped."""
    folder = Path(os.environ.get("CIFARRAY_TEST_CIFAR10", CIFAR10_FOLDER))
    if not (folder / "train.parquet").exists():
        pytest.skip(f"the real CIFAR-10 is not at {folder}")
    return folder


@pytest.fixture
def storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the results of whoever types a command go."""
    monkeypatch.setenv("CIFARRAY_STORAGE", str(tmp_path))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return tmp_path


@pytest.fixture
def object_store() -> Iterator[str]:
    """An S3 server without buckets, and an environment that leads to it; the fixture is its URL."""
    from bucket_server import serving

    with serving() as url:
        yield url

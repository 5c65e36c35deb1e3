"""What every test gets: a data home, one thread, and the real CIFAR-10 if it is at hand; and which tests start Ray."""

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
# Ray reads it once, when it is imported; a head that a test starts asks for a token if its environment is silent, and
# a driver that differs from its head in this loses its actors within milliseconds.
os.environ.setdefault("RAY_AUTH_MODE", "disabled")

import psutil
import pytest
import torch
from running_head import RunningHead, running_head

# A shell makes what it starts in the background deaf to Ctrl-C, and with it all that the tests start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Modules beside the tests whose assertions are told with their values.
pytest.register_assert_rewrite("mid_trial", "living", "tiny", "trainings")

CIFAR10_FOLDER = Path(__file__).parents[2] / "shared" / "cifar10"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks the tests that share one Ray, and puts them behind those that start another one."""
    for item in items:
        if "ray_session" in item.fixturenames:  # type: ignore[attr-defined]
            item.add_marker("ray")
    items.sort(key=lambda item: "ray_session" in item.fixturenames)  # type: ignore[attr-defined]


@pytest.fixture(scope="session", autouse=True)
def cifarray_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Data is prepared once for the whole session, and never in the home of whoever runs the tests.

    It is known by every process that a test starts, and so is who outlives the tests.
    """
    home = tmp_path_factory.mktemp("home")
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CIFARRAY_HOME", str(home))
        patch.delenv("CIFARRAY_DATA", raising=False)
        yield home
    _, alive = psutil.wait_procs(processes_that_know(home), timeout=20)
    for process in alive:
        process.kill()
    assert not alive, "these processes outlive the tests"


def processes_that_know(home: Path) -> list[psutil.Process]:
    """All that have this CIFARRAY_HOME, and so were started by a test; but for multiprocessing's own, one a process."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            known = process.environ().get("CIFARRAY_HOME") == str(home)
            if known and "multiprocessing.resource_tracker" not in " ".join(process.cmdline()):
                found.append(process)
    return found


@pytest.fixture(scope="session")
def cifar10_folder() -> Path:
    """CIFAR-10 as Parquet files: `$CIFARRAY_TEST_CIFAR10`, or `../shared/cifar10`; tests that need it are skipped."""
    folder = Path(os.environ.get("CIFARRAY_TEST_CIFAR10", CIFAR10_FOLDER))
    if not (folder / "train.parquet").exists():
        pytest.skip(f"the real CIFAR-10 is not at {folder}")
    return folder


@pytest.fixture(scope="session")
def head(cifarray_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHead]:
    """A Ray that runs already, for jobs that join it or are submitted to it; started once."""
    with running_head(tmp_path_factory.mktemp("head")) as head:
        yield head


@pytest.fixture
def storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the results of whoever types a command go."""
    monkeypatch.setenv("CIFARRAY_STORAGE", str(tmp_path))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return tmp_path


@pytest.fixture
def s3_server() -> Iterator[str]:
    """An S3 server without buckets, and an environment that leads to it; the fixture is its URL."""
    from bucket_server import serving

    with serving() as url:
        yield url

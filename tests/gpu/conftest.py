"""The device of this folder's tests: a CUDA GPU, or what CIFARRAY_TEST_DEVICE names (`cpu`: what of them a CPU can do).

They need `cifarray.training`, `models` and `data` alone, neither Ray nor MLflow. Not here: any test.
"""

import os
from collections.abc import Iterator
from pathlib import Path

# Compiled in this process: torch's compile workers outlive it by half a minute.
os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")

import pytest
import torch
from ranks import Ranks
from tiny import tiny, train

from cifarray.training.checkpoint import save_checkpoint


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    folder = Path(__file__).parent
    for item in items:
        if folder in item.path.parents:
            item.add_marker("gpu")


@pytest.fixture(scope="session")
def device() -> torch.device:
    name = os.environ.get("CIFARRAY_TEST_DEVICE", "cuda:0")
    if name.startswith("cuda") and not torch.cuda.is_available():
        pytest.skip("there is no CUDA GPU here: CIFARRAY_TEST_DEVICE=cpu runs what of this a CPU can do")
    return torch.device(name)


@pytest.fixture(scope="session")
def gpu(device: torch.device) -> torch.device:
    if device.type != "cuda":
        pytest.skip(f"this is about GPUs, not about {device.type}")
    return device


@pytest.fixture(scope="session")
def elsewhere(tmp_path_factory: pytest.TempPathFactory, cifarray_home: Path) -> Iterator[Ranks]:
    """Another process."""
    with Ranks(1, tmp_path_factory.mktemp("elsewhere")) as ranks:
        yield ranks


@pytest.fixture(scope="session")
def two_ranks(tmp_path_factory: pytest.TempPathFactory, cifarray_home: Path) -> Iterator[Ranks]:
    """Two processes of a gloo group, which may share a GPU."""
    with Ranks(2, tmp_path_factory.mktemp("ranks")) as ranks:
        yield ranks


@pytest.fixture(scope="session")
def teacher(tmp_path_factory: pytest.TempPathFactory, cifarray_home: Path) -> str:
    address = str(tmp_path_factory.mktemp("teacher") / "epoch-0001.pt")
    save_checkpoint(address, train(tiny(epochs=1, seed=7))[-1])
    return address

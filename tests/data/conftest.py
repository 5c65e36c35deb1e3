"""A data home of its own for a test, and some pictures."""

from pathlib import Path

import pytest
import torch
from torch import Tensor


@pytest.fixture
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty CIFARRAY_HOME."""
    monkeypatch.setenv("CIFARRAY_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def pictures() -> Tensor:
    """(20, 32, 32, 3) uint8, all different."""
    return torch.randint(0, 256, (20, 32, 32, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))

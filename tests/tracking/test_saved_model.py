"""What MLflow keeps of a network, without a server; and the try before the first trial has ended."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import mlflow.pytorch
import pytest
import torch
from tiny import TINY, tiny

from cifarray.config import TrainConfig
from cifarray.tracking import model, process, try_model_out
from cifarray.training.served import Served, tiny_of_its_kind


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In which nothing was tried."""
    monkeypatch.setenv("CIFARRAY_HOME", str(tmp_path / "home"))


@pytest.mark.slow
def test_what_can_be_kept_is_not_tried_again_with_the_same_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    assert try_model_out(TINY.to_dict(), 10, {"torch": "2.14"}) == ""
    monkeypatch.setattr(process, "sys", type("sys", (), {"executable": "/bin/false"}))
    assert try_model_out(tiny(seed=7, epochs=9).to_dict(), 10, {"torch": "2.14"}) == ""
    assert "ended with code 1" in try_model_out(TINY.to_dict(), 10, {"torch": "2.15"})
    assert "ended with code 1" in try_model_out(tiny(model__depth=16).to_dict(), 10, {"torch": "2.14"})
    assert "ended with code 1" in try_model_out(TINY.to_dict(), 10, {"torch": "2.15"}), "what fails is tried each time"


@pytest.mark.slow
def test_what_would_fail_at_the_end_is_told_in_one_sentence() -> None:
    """A train config that this process knows no network for stands for whatever is wrong with its libraries."""
    config = {**TINY.to_dict(), "model": {"name": "of_tomorrow"}}
    said = try_model_out(config, 10, {})
    assert said.startswith("the winner of this study will not be in MLflow as a model (ValueError: ")
    assert "of_tomorrow" in said
    assert said.endswith("; the study goes on, checkpoints are kept")
    assert "\n" not in said


@pytest.mark.parametrize("way", ["mlflow.pytorch", "mlflow.pyfunc"])
def test_the_try_notices_a_network_that_answers_otherwise_when_it_is_loaded(
    monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    module = {"mlflow.pytorch": model.mlflow.pytorch, "mlflow.pyfunc": model.mlflow.pyfunc}[way]
    load = module.load_model

    class Other:
        def __init__(self, loaded: Any) -> None:
            self.loaded = loaded

        def __call__(self, images: torch.Tensor) -> torch.Tensor:
            return self.loaded(images).flip(1)

        def predict(self, images: Any) -> Any:
            return self.loaded.predict(images)[:, ::-1]

    monkeypatch.setattr(module, "load_model", lambda *arguments, **options: Other(load(*arguments, **options)))
    with pytest.raises(ValueError, match=f"loaded by {way} gives other probabilities"):
        model.try_out(TINY, 10)


@pytest.mark.slow
def test_a_saved_network_is_loaded_by_a_process_that_does_nothing_but_that(tmp_path: Path) -> None:
    """Nothing has to be imported first, and the number format comes along."""
    served = tiny_of_its_kind(tiny(precision="bf16"), 10)
    served.classifier.precision = "bf16"
    model.save(served, tmp_path / "model")
    code = (
        "import sys, mlflow.pytorch, torch; served = mlflow.pytorch.load_model(sys.argv[1]);"
        "print(served.classifier.precision, served(torch.zeros(1, 16, 16, 3, dtype=torch.uint8)).shape)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "model")], capture_output=True, text=True)
    assert done.stdout.strip() == "bf16 torch.Size([1, 10])", done.stderr


def test_each_pixel_level_is_in_the_example() -> None:
    assert sorted(set(model.example(16).flatten().tolist())) == list(range(256))
    assert model.example(16).shape == (2, 16, 16, 3)


def test_of_grids_each_class_is_there_by_itself() -> None:
    config = TrainConfig.from_dict(
        {**TINY.to_dict(), "data": {**TINY.to_dict()["data"], "grid": 2}, "model": {"name": "resnet13", "blocks": [1]}}
    )
    served = tiny_of_its_kind(config, 4)
    assert served.image_size == 32
    images = torch.zeros(1, 32, 32, 3, dtype=torch.uint8)
    assert torch.equal(served(images), served.classifier(images).sigmoid())
    assert isinstance(served, Served)
    assert mlflow.pytorch is model.mlflow.pytorch

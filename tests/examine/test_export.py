"""A trained network as an ONNX file: what onnxruntime alone answers with it, and when there is none."""

import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from trainings import FAMILIES, family

import cifarray
from cifarray.config import TrainConfig, override
from cifarray.data import open_store
from cifarray.errors import StudyError
from cifarray.examine import export
from cifarray.training.checkpoint import save_checkpoint
from cifarray.training.loop import Training


def lines(target: str, results: Path, **options: Any) -> list[str]:
    return list(export.run_export(target, str(results), "sqlite:///none.db", **options))


def session(file: Path) -> Any:
    return onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])


def test_onnxruntime_answers_as_the_study_s_best_network(results: Path) -> None:
    written, compared = lines("good", results)
    file = results / "good" / "good-1.onnx"
    assert written.startswith(f"{file}: ")
    assert "images (N, 16, 16, 3) uint8 to probabilities (N, 10) float32" in written
    assert "on 30 held-out images, and have the same answer for 30 of them" in compared
    assert [path.name for path in (results / "good").glob("*.onnx*")] == ["good-1.onnx"]
    network = cifarray.load("good")
    loaded = session(file)
    classes = json.loads(loaded.get_modelmeta().custom_metadata_map["classes"])
    assert classes == list(network.classes)
    images = open_store("synthetic:300", "test", 16).images
    for count in (1, 7):
        (answers,) = loaded.run(["probabilities"], {"images": images[:count].numpy()})
        for row, expected in zip(answers, network.probabilities(images[:count]), strict=True):
            assert dict(zip(classes, row.tolist(), strict=True)) == pytest.approx(expected, abs=1e-5)


def test_the_config_comes_along(results: Path) -> None:
    lines("good-1", results, output=str(results / "here.onnx"))
    told = json.loads(session(results / "here.onnx").get_modelmeta().custom_metadata_map["config"])
    assert TrainConfig.from_dict(told) == cifarray.load("good-1").config


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if name in ("wide_resnet", "densenet", "pyramidnet") else pytest.mark.slow)
        for name in FAMILIES
    ],
)
def test_a_network_of_each_family_answers_the_same(name: str, tmp_path: Path, storage: Path) -> None:
    assert_answers_alike(override(family(name), {"precision": "bf16"}), tmp_path)


def test_one_that_sees_the_centre_of_larger_images_answers_the_same(tmp_path: Path, storage: Path) -> None:
    assert_answers_alike(override(family("resnet"), {"data.crop_size": 12}), tmp_path)


def assert_answers_alike(config: TrainConfig, folder: Path) -> None:
    """As torch in float32, whatever the network was trained in."""
    training = Training(config, torch.device("cpu"), 0, 1)
    save_checkpoint(str(folder / "network.pt"), training.state())
    training.close()
    assert len(lines(str(folder / "network.pt"), folder)) == 2
    network = cifarray.load(folder / "network.pt")
    network.precision = "fp32"
    side = network.image_size
    images = np.random.default_rng(0).integers(0, 256, (3, side, side, 3), dtype=np.uint8)
    (answers,) = session(folder / "network.onnx").run(None, {"images": images})
    with torch.inference_mode():
        expected = network(torch.from_numpy(images)).softmax(1).numpy()
    assert np.abs(answers - expected).max() < 1e-5


def test_without_its_images_it_is_held_against_noise(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*arguments: Any) -> Any:
        raise export.DataError("the bucket is away")

    monkeypatch.setattr(export, "open_store", away)
    assert "on 256 images of noise" in lines("good", results)[1]


def test_a_network_that_answers_otherwise_is_refused_and_the_file_before_it_stays(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = results / "good" / "good-1.onnx"
    file.write_text("the one before")
    write = export._write

    def write_another(served: Any, path: Path) -> int:
        with torch.no_grad():
            weights = {name: value.clone() for name, value in served.state_dict().items()}
            for value in served.parameters():
                value.mul_(-1.5)
            opset = write(served, path)
            served.load_state_dict(weights)
        return opset

    monkeypatch.setattr(export, "_write", write_another)
    with pytest.raises(StudyError, match=r"exported network of good differs from torch's by .* no file was written"):
        lines("good", results)
    assert file.read_text() == "the one before"
    assert sorted(path.name for path in file.parent.glob(".*")) == []


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        (("onnxscript",), "onnxscript is not installed"),
        (("onnx", "onnxruntime"), "onnx and onnxruntime are not installed"),
    ],
)
def test_what_is_not_installed_is_told_with_the_command(
    results: Path, monkeypatch: pytest.MonkeyPatch, missing: tuple[str, ...], said: str
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None if name in missing else find(name, *more))
    with pytest.raises(StudyError, match=rf"{said}, .*: pip install --editable '\.\[export\]' in the clone"):
        lines("good", results)


def test_a_place_that_cannot_be_written_is_told(results: Path) -> None:
    with pytest.raises(StudyError, match=r"/nowhere/net.onnx cannot be written .*: choose another --output"):
        lines("good", results, output=str(results / "nowhere" / "net.onnx"))

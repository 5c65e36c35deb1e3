"""The lesion study of a trained network: its lines, files and picture."""

import csv
from pathlib import Path

import pytest
from PIL import Image

from cifarray.data import open_store, split_indices
from cifarray.errors import StudyError
from cifarray.examine import lesion_study
from cifarray.examine.lesion_picture import plot
from cifarray.examine.lesion_study import run_lesion_study
from cifarray.examine.lesions import Lesion
from cifarray.training.classifier import load_classifier
from cifarray.training.evaluate import evaluate
from tests.examine.conftest import CONFIG


@pytest.mark.parametrize("errors", [[0.9] * 12, [0.1, 0.1, 0.1], [1.0, 0.2, 0.5], [0.0, 0.0]], ids=str)
@pytest.mark.parametrize("intact", [0.0, 0.1, 0.95])
def test_every_point_and_the_intact_line_are_wholly_in_the_picture(intact: float, errors: list[float]) -> None:
    lesions = [Lesion(index, f"block {index}", index == 2, error) for index, error in enumerate(errors, start=1)]
    figure = plot("a network", intact, lesions)
    figure.draw_without_rendering()
    (axes,) = figure.axes
    left, right = axes.get_xlim()
    assert axes.get_ylim()[0] == 0
    size = 8 * figure.dpi / 72  # pixels of the largest marker
    for index, error in enumerate([*errors, intact], start=1):
        _, y = axes.transData.transform((index, 100 * error))
        assert y + size / 2 < axes.bbox.y1
    assert left < 1 - 0.25
    assert len(errors) + 0.25 < right
    # The legend is beside the points, not on them.
    (legend,) = figure.legends
    assert not legend.get_window_extent().overlaps(axes.bbox)


def test_it_tells_how_far_it_is_and_leaves_picture_and_table(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lesion_study, "append_to_ended", lambda *arguments: "")
    told = []
    lines = list(run_lesion_study("good", str(results), "", limit=20, tell=lambda *how_far: told.append(how_far)))
    # The intact network and one of 6 blocks at a time, on 20 images each.
    assert told == [("silencing 6 branches in turn", 20 * done, 140) for done in range(8)]
    assert lines[0].startswith("good-1: preact_resnet, ")
    assert "median rise over 2 downsampling blocks" in lines[2]
    with (results / "good" / "lesion-good-1.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["block"] for row in rows] == list("123456")
    assert (results / "good" / "lesion-good-1.png").stat().st_size > 10_000


def test_the_intact_error_is_that_of_the_validation_images(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lesion_study, "append_to_ended", lambda *arguments: "")
    store = open_store(CONFIG.data.source, "train", CONFIG.data.image_size)
    rows = split_indices(store.labels, CONFIG.data.validation, CONFIG.data.limit)[1]
    network = load_classifier(str(results / "good" / "trial-0001" / "epoch-0001.pt"))
    expected = 1 - evaluate(network, store.images, store.labels, rows)["accuracy"]
    lines = list(run_lesion_study("good", str(results), ""))
    assert [line for line in lines if line.startswith(f"intact: error {100 * expected:.2f} %, in fp32 on ")]


def test_what_is_refused_leaves_no_file(results: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    other = tmp_path_factory.mktemp("other")
    for name in ("ant", "bee"):
        (other / name).mkdir()
        for index in range(20):
            Image.new("RGB", (16, 16), (index, 0, 0)).save(other / name / f"{index}.png")
    before = sorted(results.rglob("*"))
    with pytest.raises(StudyError, match="limit 0 is too few"):
        list(run_lesion_study("good", str(results), "", limit=0))
    with pytest.raises(StudyError, match="has other classes than the network"):
        list(run_lesion_study("good", str(results), "", source=str(other)))
    assert sorted(results.rglob("*")) == before

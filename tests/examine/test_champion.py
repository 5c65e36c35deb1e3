"""The champion before its validation images, and the report that shows it."""

from pathlib import Path
from typing import Any

import pytest

from cifarray.cli.report import report
from cifarray.data import open_store, split_indices
from cifarray.errors import StudyError
from cifarray.examine import champion as champion_module
from cifarray.examine.champion import examine_champion, known_held_out
from cifarray.examine.report import run_report
from cifarray.journal.journal import read_events
from cifarray.report.page.champion import Examined
from cifarray.report.page.told import read
from cifarray.study import events as kinds
from cifarray.training.classifier import load_classifier
from cifarray.training.evaluate import evaluate
from tests.examine.conftest import CONFIG


def test_every_validation_image_is_counted_once_and_as_the_evaluation_has_it(results: Path) -> None:
    told = read(results / "good")
    found = examine_champion(told)
    assert isinstance(found, Examined)
    assert (found.trial, found.images, found.of, told.validation_images) == (1, 30, 30, 30)
    store = open_store("synthetic:300", "train", 16)
    rows = split_indices(store.labels, CONFIG.data.validation, None)[1]
    assert [sum(row) for row in found.confusion] == store.labels[rows].bincount(minlength=10).tolist()
    right = sum(row[place] for place, row in enumerate(found.confusion))
    address = results / "good" / "trial-0001" / "epoch-0001.pt"
    accuracy = evaluate(load_classifier(str(address)), store.images, store.labels, rows)["accuracy"]
    assert right / 30 == pytest.approx(accuracy)
    assert len(found.worst) == min(24, 30 - right)
    assert all(wrong.label != wrong.answer and wrong.png.startswith(b"\x89PNG") for wrong in found.worst)


def test_a_cpu_looks_at_as_many_as_it_can_afford(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(champion_module, "FEWEST", 10)
    monkeypatch.setattr(champion_module, "MACS_ON_CPU", 1)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    found = examine_champion(read(results / "good"))
    assert isinstance(found, Examined)
    assert (found.images, found.of) == (10, 30)


def test_without_a_checkpoint_it_says_so(results: Path) -> None:
    told = read(results / "good")
    told.state.trials[1].checkpoints.clear()
    assert examine_champion(told) == "Trial 1 has no checkpoint, so nothing can be asked of its network."
    (results / "good" / "trial-0001" / "epoch-0001.pt").unlink()
    said = examine_champion(read(results / "good"))
    assert isinstance(said, str)
    assert said.startswith("The champion cannot be looked at here: ")


def test_without_its_images_it_says_so(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = read(results / "good")
    object.__setattr__(told.started, "data_sha256", "other")
    assert examine_champion(told) == (
        "The images of synthetic:300 are not those that the study was trained on any more."
    )


def test_how_many_are_held_out_is_known_by_the_datas_name(results: Path) -> None:
    assert known_held_out(read(results / "good")) == 30


def test_the_report_is_beside_the_leaderboard_and_goes_to_mlflow(results: Path) -> None:
    *said, path = run_report(["good"], str(results), f"sqlite:///{results}/mlflow.db")
    assert (said, path) == ([], results / "good" / "report.html")
    assert "of 30 validation images" in Path(path).read_text()
    events = read_events(results / "good" / "journal.jsonl")
    assert [event.artifacts for event in events if isinstance(event, kinds.StudyReported)] == [(str(path),)]
    assert not any(isinstance(event, kinds.TestOpened) for event in events), "the test split stays closed"


def test_a_report_of_two_is_no_part_of_either(results: Path) -> None:
    (results / "copy").mkdir()
    (results / "copy" / "journal.jsonl").write_bytes((results / "good" / "journal.jsonl").read_bytes())
    (path,) = run_report(["good", "copy"], str(results), "sqlite://", look=False)
    assert path == results / "good" / "report-with-copy.html"
    assert not any(isinstance(event, kinds.StudyReported) for event in read_events(results / "good" / "journal.jsonl"))
    with pytest.raises(StudyError, match="study 'good' is named twice"):
        list(run_report(["good", "good"], str(results), "sqlite://"))


def test_the_job_opens_the_page(results: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    with pytest.raises(SystemExit) as end:
        report(["good", "--open", "--no-champion", "--price-per-hour", "2"])
    assert end.value.code == 0
    assert opened == [(results / "good" / "report.html").as_uri()]
    assert capsys.readouterr().out.endswith("good/report.html\n")
    assert "was not looked at" in (results / "good" / "report.html").read_text()


def test_a_report_of_nothing_is_refused(results: Path, capsys: Any) -> None:
    with pytest.raises(SystemExit) as end:
        report(["nothing"])
    assert end.value.code == 2
    assert "choose one of good" in capsys.readouterr().err

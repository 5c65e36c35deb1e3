"""`cifarray.load`: all that a trained network may be called by."""

import os
from pathlib import Path
from typing import Any

import pytest

import cifarray
from cifarray.errors import StudyError
from cifarray.examine import networks
from cifarray.training.checkpoint import save_checkpoint
from tests.examine.conftest import BEST_RUN, STOPPED_RUN, STUDY_RUN

OTHER_RUN = "ef" * 16


@pytest.mark.parametrize(
    ("target", "trial"),
    [
        ("good", 1),
        ("good-1", 1),
        ("good-0", 0),
        (BEST_RUN, 1),
        (f"runs:/{BEST_RUN}", 1),
        (STUDY_RUN, 1),
        (STOPPED_RUN, 0),
        ("../good", 1),
        ("../good/trial-0000", 0),
        ("../good/trial-0001/epoch-0001.pt", 1),
        (Path("../good/trial-0000/epoch-0001.pt"), 0),
    ],
    ids=str,
)
def test_a_network_is_loaded_by_whatever_it_is_called(results: Path, target: str | Path, trial: int) -> None:
    """Of a study its best trial is meant, which was trained to its end; a trial that is named may have been stopped."""
    assert cifarray.load(target).metrics == {"trial": trial}


def test_a_study_of_another_storage_is_named_with_that(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CIFARRAY_STORAGE", str(results / "empty"))
    with pytest.raises(
        StudyError, match=r"'good-1' is no study, trial or MLflow run in .*/empty: train something first"
    ):
        cifarray.load("good-1")
    assert cifarray.load("good-1", storage="..").metrics == {"trial": 1}


@pytest.mark.parametrize("target", [OTHER_RUN, f"runs:/{OTHER_RUN}/"])
def test_a_run_of_another_storage_is_looked_up_in_mlflow(
    results: Path, untrained: dict[str, Any], monkeypatch: pytest.MonkeyPatch, target: str
) -> None:
    address = str(results / "other.pt")
    save_checkpoint(address, untrained)
    asked = []

    def answer(run_id: str, tracking_uri: str) -> str:
        asked.append((run_id, tracking_uri))
        return address

    monkeypatch.setattr(networks, "checkpoint_of_run", answer)
    cifarray.load(target)
    cifarray.load(target, storage="here")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")
    cifarray.load(target)
    cifarray.load(target, "sqlite:///there.db")
    here = f"sqlite:///{os.getcwd()}/here/mlflow.db"
    uris = [f"sqlite:///{results}/mlflow.db", here, "http://127.0.0.1:5000", "sqlite:///there.db"]
    assert asked == [(OTHER_RUN, uri) for uri in uris]


@pytest.mark.parametrize(
    ("target", "sentence"),
    [
        ("bad", r"'bad' is no study, trial or MLflow run in .*: choose one of good$"),
        ("good-2", r"trial good-2 does not exist: choose 0 to 1"),
        ("../good/trial-0002", r"trial good-2 does not exist: choose 0 to 1"),
        (f"runs:/{BEST_RUN}/model", rf"names the artifact 'model' of a run, .*: give runs:/{BEST_RUN}$"),
        (OTHER_RUN, r"mlflow\.db does not exist"),
        ("", r"'' is no study"),
    ],
)
def test_what_is_no_network_is_refused_in_a_sentence(results: Path, target: str, sentence: str) -> None:
    with pytest.raises(StudyError, match=sentence):
        cifarray.load(target)


def test_classes_can_be_given_names(results: Path) -> None:
    names = [f"number {index}" for index in range(10)]
    assert cifarray.load("good", classes=names).classes == tuple(names)
    with pytest.raises(ValueError, match=r"9 names do not fit 10 classes \(striped disc, .*\): give one for each"):
        cifarray.load("good", classes=names[1:])
    with pytest.raises(ValueError, match="two classes are called 'number 1'"):
        cifarray.load("good", classes=[*names[1:], "number 1"])

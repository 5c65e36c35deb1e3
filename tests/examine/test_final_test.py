"""The final test: the split is opened once for a trial, and again only for who asks for that."""

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from histories import split_opened

from cifarray.cli import final_test as job
from cifarray.data import open_store
from cifarray.errors import StudyError
from cifarray.examine import final_test
from cifarray.examine.final_test import run_final_test
from cifarray.journal.journal import FILE_NAME, Journal, StudyRunningError, read_events
from cifarray.study.events import TestOpened as Opened
from cifarray.training.checkpoint import save_checkpoint
from cifarray.training.classifier import load_classifier
from tests.examine.conftest import CONFIG


@pytest.fixture(autouse=True)
def untracked(monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow hears nothing."""
    finished = SimpleNamespace(message="")
    tracking = SimpleNamespace(wake=lambda: None, finish=lambda timeout: finished)
    monkeypatch.setattr(final_test, "Tracking", lambda *arguments: tracking)


def openings(results: Path) -> list[Opened]:
    return [event for event in read_events(results / "good" / FILE_NAME) if isinstance(event, Opened)]


def lines(results: Path, **options: Any) -> list[str]:
    return list(run_final_test("good", str(results), "sqlite:///none.db", **options))


def accuracy(results: Path) -> tuple[float, float]:
    """Of the network on the test split, and its standard error over the 60 images."""
    store = open_store(CONFIG.data.source, "test", CONFIG.data.image_size)
    with torch.inference_mode():
        logits = load_classifier(str(results / "good" / "trial-0001" / "epoch-0001.pt"))(store.images)
    share = (logits.argmax(1) == store.labels).float().mean().item()
    return share, (share * (1 - share) / 60) ** 0.5


def test_a_second_final_test_shows_what_the_first_one_found_and_opens_nothing(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    share, error = accuracy(results)
    (first,) = lines(results)
    found = (
        rf"trial good-1: test accuracy {100 * share:.2f} % \(± {100 * error:.2f} from 60 images\), test loss \d\.\d+"
    )
    assert re.fullmatch(found + ", in fp32 on .+; the test split was opened 1 time for this trial", first)
    with monkeypatch.context() as patch:
        patch.setattr(final_test, "evaluate_split", lambda *arguments: pytest.fail("the split is opened"))
        (second,) = lines(results)
    assert second == first.replace(
        "the test split was opened 1 time for this trial",
        "known since the test split was opened, 1 time so far: --again opens it once more",
    )
    assert [event.opening for event in openings(results)] == [1]
    (third,) = lines(results, again=True)
    assert third == first.replace("1 time", "2 times")
    assert [(event.opening, event.images) for event in openings(results)] == [(1, 60), (2, 60)]


def test_a_known_result_is_shown_while_a_driver_has_the_study(results: Path) -> None:
    journal = Journal(results / "good")
    try:
        with pytest.raises(StudyRunningError):
            lines(results)
        # By an older version, which did not write down how many images there were.
        journal.append([split_opened(1, test_accuracy=0.25, test_loss=1.5)])
        assert lines(results)[0].startswith("trial good-1: test accuracy 25.00 %, test loss 1.5000; known since")
        assert lines(results, only_new=True) == []
    finally:
        journal.close()


def test_it_tells_how_far_it_is(results: Path) -> None:
    told: list[tuple[str, int, int]] = []
    lines(results, tell=lambda *how_far: told.append(how_far))
    assert told == [("testing good-1", 0, 60), ("testing good-1", 60, 60)]


def test_the_job_says_what_it_does_where_no_bar_can_be_drawn(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, count in (([], 2), ([], 1), (["--again"], 2)):
        with pytest.raises(SystemExit) as end:
            job.final_test(["good", *arguments])
        assert end.value.code == 0
        text = capsys.readouterr().out.splitlines()
        assert len(text) == count
        assert (text[0] == "testing good-1: 60 images") is (count == 2)


def test_a_trial_that_was_stopped_has_no_final_result(results: Path) -> None:
    with pytest.raises(StudyError, match=r"good-0 has no checkpoint of its last epoch: choose one that has \(good-1\)"):
        list(run_final_test("good-0", str(results), "sqlite:///none.db"))


def test_a_cpu_says_in_what_it_computes_where_the_trial_was_trained_in_something_else(
    results: Path, untrained: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also later, from the journal alone."""
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    address = str(results / "good" / "trial-0001" / "epoch-0001.pt")
    save_checkpoint(address, {**untrained, "precision": "tf32"})
    for again in (True, False):
        (line,) = lines(results, again=again)
        assert ", in fp32 on a CPU (it was trained in tf32, which this device does not have); " in line
    save_checkpoint(address, {**untrained, "precision": "bf16"})
    (line,) = lines(results, again=True)
    assert ", in bf16 on a CPU; " in line


def test_a_gpu_without_memory_is_told_of_in_a_sentence(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the split counts as unopened: nobody has seen a result."""
    monkeypatch.setattr(final_test, "evaluate_split", lambda *arguments: raise_out_of_memory())
    with pytest.raises(StudyError, match="too little memory left .*: wait until .*, or set CUDA_VISIBLE_DEVICES"):
        lines(results)
    assert openings(results) == []


def raise_out_of_memory() -> None:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")

"""`jobs/simulate_search.py` as it is typed: comparisons, searches and records, and what is refused."""

import json
from pathlib import Path

import pytest
from called_jobs import run
from histories import epoch_ended, sampled, started, study_started
from made_curves import line, written

from cifarray.journal.journal import Journal


@pytest.fixture
def curves(tmp_path: Path) -> str:
    finals = [0.5 + 0.01 * number for number in range(30)]
    lines = [line([final / 2, final], params={"optimizer.lr": 0.01 * (n + 1)}) for n, final in enumerate(finals)]
    return str(written(tmp_path, *lines))


def test_strategies_are_compared_in_a_table(curves: str, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("--compare", "--curves", curves, "--repetitions", "3", "--workers", "1", "2")
    assert run("simulate_search", *arguments, "--strategies", "asha", "none") == 0
    text = capsys.readouterr().out
    assert f"{curves}: 30 points, 2 epochs each, 3 repetitions of 80 %" in text.replace("\n", " ")
    assert text.count("times sooner than Ray's ASHA") == text.count("points short of the best") == 2
    assert text.count("\nasha ") == 4
    assert "freeze-thaw" not in text


def test_all_figures_are_json(curves: str, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("--compare", "--curves", curves, "--repetitions", "2", "--strategies", "none", "--json")
    assert run("simulate_search", *arguments) == 0
    (comparison,) = json.loads(capsys.readouterr().out)
    assert [told["name"] for told in comparison["strategies"]] == ["Ray's ASHA, random", "none"]
    assert all(len(times) == 2 for told in comparison["strategies"] for times in told["times"].values())


def test_a_search_is_told_with_what_it_takes(curves: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Twenty runs of two epochs of 2 s on two workers, that start in 30 s and move in 0.1 s."""
    arguments = (
        "--curves",
        curves,
        "--trials",
        "20",
        "--workers",
        "2",
        "--strategy",
        "none",
        "--spread",
        "0",
        "--json",
    )
    assert run("simulate_search", *arguments) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["trials"], told["epochs"], told["share_of_full_runs"]) == (20, 40, 1.0)
    assert told["hours"] == pytest.approx((30 + 10 * (2 * 2 + 0.1)) / 3600)
    assert told["worker_hours"] == pytest.approx(20 * (2 * 2 + 0.1) / 3600)


def test_a_budget_ends_the_search_and_says_what_goes_on(curves: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Four runs of two epochs of 2 s, and moves of 0.1 s, take 16.4 s; the fifth pauses after an epoch, at 18.5 s."""
    arguments = ("--curves", curves, "--trials", "20", "--workers", "1", "--strategy", "none", "--spread", "0")
    assert run("simulate_search", *arguments, "--budget", "17s", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["trials"], told["epochs"], told["paused"]) == (5, 9, 1)
    assert run("simulate_search", *arguments, "--budget", "17s") == 0
    said = "the budget of 17 s is spent: 18.5 worker-seconds; 1 trial is paused; --budget 34s goes on"
    assert said in capsys.readouterr().out


def test_without_curves_it_says_that_they_are_made_up(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("simulate_search", "--trials", "10") == 0
    assert "a formula's curves, which say nothing of real ones" in capsys.readouterr().out.replace("\n", " ")


def test_a_record_is_what_it_reads(storage: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    journal = Journal(storage / "wrn")
    events = [study_started(), sampled(0, {"optimizer.lr": 0.2}, {"epochs": 1}), started(0), sampled(1), started(1)]
    events.insert(3, epoch_ended(0, 1, decision="complete", val_accuracy=0.5, epoch_seconds=3.0))
    journal.append(events)
    journal.close()
    assert run("simulate_search", "--record", "wrn") == 0
    told = capsys.readouterr()
    assert told.err == "1 of 2 trials have not run to their end and are left out\n"
    (tmp_path / "wrn.jsonl").write_text(told.out)
    assert run("simulate_search", "--curves", str(tmp_path / "wrn.jsonl"), "--trials", "1", "--json") == 0
    assert json.loads(capsys.readouterr().out)["epochs"] == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--compare",), "--compare needs curves that were recorded: give --curves FILE, which --record STUDY prints"),
        (("--curves", "nowhere.jsonl"), "nowhere.jsonl"),
        (("--workers", "1", "2"), "--workers has several numbers, and one search has one: give one, or --compare"),
        (("--workers", "0"), "0"),
        (("--spread", "-1"), "spread -1 is not possible: choose 0 or more"),
        (("--record", "nothing"), "nothing"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(
    arguments: tuple[str, ...], message: str, storage: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("simulate_search", *arguments) == 2
    assert message in capsys.readouterr().err.replace("\n", " ")


def test_a_strategy_that_there_is_not_is_told_with_those_that_are(
    curves: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("simulate_search", "--compare", "--curves", curves, "--strategies", "hyperband") == 2
    assert "strategy 'hyperband' is not compared here: choose of freeze-thaw, promote" in capsys.readouterr().err

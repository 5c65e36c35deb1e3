"""`--budget` as it is typed: times, plans, and a study that has spent its own."""

import json
from pathlib import Path

import pytest
from called_jobs import run
from histories import driver_ended, driver_started, epoch_ended, sampled, started

from cifarray.cli.budget import add_budget
from cifarray.cli.flags import apply, make_study, study_parser
from cifarray.cli.parser import duration
from cifarray.journal.journal import Journal
from cifarray.study.events import StudyStarted, TrialEnded
from cifarray.study.study import Study
from cifarray.study.time_budget import UNLIMITED, TimeBudget
from cifarray.study.trial_record import Outcome
from search_spaces import wrn

TINY = ("--data", "synthetic:400", "--epochs", "2", "--set", "batch_size=50", "model.depth=10")
pytestmark = pytest.mark.usefixtures("storage")


@pytest.mark.parametrize(
    ("text", "seconds"), [("90m", 5400), ("4h", 14400), ("2d", 172800), ("1d12h", 129600), ("1.5h", 5400), ("45s", 45)]
)
def test_a_time_is_typed_with_its_unit(text: str, seconds: float) -> None:
    assert duration(text) == seconds


@pytest.mark.parametrize("text", ["4", "h", "", "4 h", "4h!", "-4h", "4w"])
def test_a_time_without_a_unit_is_refused_with_one(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("tune", f"--budget={text}") == 2
    assert f"--budget {text!r} is no time: give a number with s, m, h or d, 4h for example" in capsys.readouterr().err


def test_no_time_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("tune", "--budget", "0h", "--dry-run") == 2
    assert "budget 0 s is not possible: choose more than 0, 4h for example" in capsys.readouterr().err


def study_of(*arguments: str) -> Study:
    parser = study_parser("")
    add_budget(parser.how_much)
    flags = parser.parse_args([*arguments, *TINY])
    return make_study(apply(wrn.space, flags), flags, "none")


@pytest.mark.parametrize(
    ("arguments", "num_trials", "budget"),
    [
        ((), 20, None),
        (("--budget", "4h"), UNLIMITED, TimeBudget(14400.0)),
        (("--budget", "4h", "--trials", "9"), 9, TimeBudget(14400.0)),
        (("--budget", "4h", "--workers", "2"), UNLIMITED, TimeBudget(14400.0, 2)),
        (("--budget", "4h", "--smoke"), 4, TimeBudget(14400.0)),
    ],
)
def test_a_budget_alone_sets_no_number_of_trials(
    arguments: tuple[str, ...], num_trials: int, budget: TimeBudget | None
) -> None:
    study = study_of(*arguments)
    assert (study.num_trials, study.time_budget, study.new_state().time_budget) == (num_trials, budget, budget)
    assert study.identity() == study_of(*arguments[2:]).identity(), "it may grow, and so is no part of what a study is"


def test_the_plan_names_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("tune", "--budget", "90m", "--dry-run", *TINY) == 0
    text = capsys.readouterr().out
    assert "as many trials as the budget allows, compared by val_accuracy" in text
    assert "a budget of 90 min of workers in trials: no trial or rung is begun that" in text


@pytest.mark.parametrize("job", ["train", "confirm"])
def test_what_is_no_search_has_no_budget(job: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(job, "wrn", "--budget", "4h") == 2
    assert "--budget is no flag of this job" in capsys.readouterr().err


def spent(study: Study) -> Path:
    """Writes the journal of a study of which one trial is complete and another has paused, after 3 minutes."""
    begun = {**json.loads(json.dumps(study.identity())), "name": study.name, "id": "f00d"}
    events = [StudyStarted(**begun, num_trials=study.num_trials, storage=study.storage), driver_started()]
    state = study.new_state()
    for number, epochs in enumerate((2, 1)):
        params = state.sample(number)
        events += [sampled(number, params, study.space.config(params).to_dict()), started(number)]
        for epoch in range(1, epochs + 1):
            decision = "complete" if epoch == 2 else "continue" if epochs == 2 else "pause"
            events.append(epoch_ended(number, epoch, "/c", decision, val_accuracy=0.5, epoch_seconds=60.0))
        state.replay(events[-2 - epochs :])
    events += [TrialEnded(trial=0, outcome=Outcome.COMPLETED), driver_ended()]
    journal = Journal(study.folder)
    journal.append(events)
    journal.close()
    return study.folder


def test_a_study_that_has_spent_its_budget_says_what_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    flags = ("--budget", "3m", "--strategy", "none", *TINY)
    before = (spent(study_of("--budget", "3m")) / "journal.jsonl").read_bytes()
    assert run("tune", *flags) == 0
    text = capsys.readouterr().out
    assert (
        "nothing to do: the budget of 3 min is spent: 3 worker-minutes; 1 trial is paused; --budget 6m goes on, "
        "--fresh starts anew"
    ) in text
    assert (study_of().folder / "journal.jsonl").read_bytes() == before

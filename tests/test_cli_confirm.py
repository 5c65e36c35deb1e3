"""`jobs/confirm.py` as it is typed: which configs and seeds it trains, what it says of them, what it refuses."""

import io
from pathlib import Path
from typing import Any

import pytest
from called_jobs import run
from histories import epoch_ended, sampled, started, study_started
from rich.console import Console

from cifarray.cli.confirm import _show, best_configs, confirmation_space
from cifarray.config import TrainConfig
from cifarray.engine.result import StudyResult
from cifarray.journal.journal import Journal
from cifarray.space.domains import choice
from cifarray.space.space import RECIPE, SearchSpace
from cifarray.study.state import StudyState
from cifarray.study.study import Study

RATES = SearchSpace("wrn", TrainConfig(epochs=1, seed=4), {"optimizer.lr": choice(0.1, 0.2, 0.3, 0.4)})


def searched(*values: float, space: SearchSpace = RATES, **plan: Any) -> list[Any]:
    """A study of one epoch for each trial, of the rates 0.1, 0.2, …; the last one was stopped."""
    events: list[Any] = [study_started(space=space, **plan)]
    for trial, value in enumerate(values):
        params = {"optimizer.lr": 0.1 * (trial + 1)}
        decision = "stop" if trial == len(values) - 1 else "complete"
        config = RATES.config(params).to_dict()
        events += [sampled(trial, params, config), started(trial)]
        events.append(epoch_ended(trial, 1, f"/s/{trial}/1", decision, val_accuracy=value, epoch_seconds=1.0))
    return events


@pytest.fixture
def wrn(storage: Path) -> Path:
    journal = Journal(storage / "wrn")
    journal.append(searched(0.5, 0.9, 0.7, 0.95, workers=2))
    journal.close()
    return storage


def test_the_best_configs_are_planned_with_seeds_that_none_had(wrn: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("confirm", "wrn", "--best", "2", "--seeds", "3", "--dry-run") == 0
    text = capsys.readouterr().out
    assert f"study wrn-confirmed in {wrn}/wrn-confirmed" in text
    assert "seed in {5, 6, 7}" in text
    assert "recipe in {trial-1, trial-2}" in text
    assert "6 trials, compared by val_accuracy, searcher grid, scheduler none" in text
    assert "2 workers a trial" in text


def test_configs_are_the_trials_and_all_have_a_seed_before_one_has_two() -> None:
    state = StudyState.from_events(searched(0.5, 0.9, 0.7, 0.95))
    space = confirmation_space("c", state, best_configs(state, "wrn", 2), 2)
    points = list(space.grid())
    assert [(point["seed"], point[RECIPE]) for point in points] == [
        *((5, "trial-1"), (5, "trial-2"), (6, "trial-1"), (6, "trial-2"))
    ]
    config = space.config(points[0])
    assert (config.optimizer.lr, config.seed, config.epochs) == (0.2, 5, 1)


def test_seeds_of_one_config_are_one_config() -> None:
    events = searched(0.5, 0.9, 0.7, 0.95)
    events[4] = sampled(1, {"optimizer.lr": 0.1, "seed": 9}, RATES.config({"optimizer.lr": 0.1}).to_dict())
    state = StudyState.from_events(events)
    assert [trial.number for trial in best_configs(state, "wrn", 3)] == [1, 2]


def test_what_is_said_at_the_end(tmp_path: Path) -> None:
    """Leads of 1, 1.5 and 2 points: t = 1.5 / (0.5 / √3) = 5.2 with 2 degrees of freedom, p = 0.035."""
    state = StudyState.from_events(searched(0.5, 0.9, 0.7, 0.95))
    space = confirmation_space("wrn-confirmed", state, best_configs(state, "wrn", 2), 3)
    study = Study("wrn-confirmed", space, 6, str(tmp_path), "sqlite://", searcher="grid")
    confirmed = study.new_state()
    values = {"trial-1": [0.88, 0.885, 0.89], "trial-2": [0.87, 0.87, 0.87]}
    for number, point in enumerate(space.grid()):
        value = values[point[RECIPE]][point["seed"] - 5]
        confirmed.replay([sampled(number, point, space.config(point).to_dict()), started(number)])
        confirmed.apply(
            epoch_ended(number, 1, f"/c/{number}/1", "complete", val_accuracy=value, epoch_seconds=1.0)  # type: ignore[arg-type]
        )
    output = io.StringIO()
    _show({"trial-1": 0.9, "trial-2": 0.7}, study, StudyResult(confirmed, "finished"), Console(file=output, width=200))
    text = output.getvalue()
    assert "published" not in text
    assert "winner:  trial-1: val accuracy 88.50 ± 0.50 % (mean ± deviation of 3 new seeds)" in text
    assert "better:  than trial-2 (1.50 ± 1.24 points, p 0.035)" in text
    assert "luck:    the search saw 90.00 %, 1.50 points better than new seeds do" in text
    assert 'load it: network = cifarray.load("/c/0/1")' in text

    half = io.StringIO()
    _show({}, study, StudyResult(confirmed, "interrupted"), Console(file=half, width=200))
    assert "trial-1" in half.getvalue()
    assert "winner" not in half.getvalue()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        *(
            (("wrn", *flag), f"{flag[0]} is for a search, and this trains the best of one as they were: leave it out")
            for flag in (
                ("--set", "epochs=3"),
                ("--epochs", "3"),
                ("--trials", "9"),
                ("--metric", "val_loss"),
                ("--seed", "7"),
            )
        ),
        (("wrn-1",), "wrn-1 is a trial: name the study that it is of, wrn"),
        (("nothing",), "'nothing' is no study, trial or MLflow run"),
    ],
)
def test_what_cannot_be_confirmed_is_refused(
    arguments: tuple[str, ...], message: str, wrn: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("confirm", *arguments, "--dry-run") == 2
    assert message in capsys.readouterr().err.replace("\n", " ")


@pytest.mark.parametrize(
    ("events", "message"),
    [
        (searched(0.5), "no trial of wrn has run to its end with a value: let the search finish first"),
        (
            searched(0.5, 0.6, space=SearchSpace("wrn", TrainConfig(), {"seed": choice(0, 1)})),
            "wrn compares seeds or recipes already: run it again with more --seeds",
        ),
    ],
)
def test_a_study_without_configs_to_choose_from_is_refused(events: list[Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        best_configs(StudyState.from_events(events), "wrn", 3)

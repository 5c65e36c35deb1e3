"""What stands on the terminal when a study has ended."""

import sys
from pathlib import Path

import pytest
from histories import epoch_ended, sampled
from rich.console import Console
from scenes import Scene

from cifarray.config import TrainConfig
from cifarray.report.last_screen import about_the_best, labelled, time_spent, worth
from cifarray.report.leaderboard import table
from cifarray.report.lines import LineView
from cifarray.space.domains import choice
from cifarray.space.space import SearchSpace
from cifarray.study.events import TrialEnded
from cifarray.study.schedulers import RunAll
from cifarray.study.state import StudyState
from cifarray.study.study import Study
from search_spaces import pyramidnet

BASE = TrainConfig(epochs=1)
RATES = SearchSpace("toy", BASE, {"optimizer.lr": choice(0.1, 0.2, 0.3)})
SEEDS = RATES.vary({"seed": choice(0, 1, 2)})
JOBS = Path(__file__).parents[2] / "jobs"


def finished(*trials, space=RATES):
    """trials: params and accuracy; each took 30 minutes."""
    state = StudyState(space, 100, scheduler=RunAll())
    for number, (params, accuracy) in enumerate(trials):
        config = space.config(params).to_dict()
        measured = {} if accuracy is None else {"val_accuracy": accuracy}
        state.replay(
            [
                sampled(number, params, config),
                epoch_ended(
                    number, 1, f"/results/toy/trial-{number:04d}/epoch-0001.pt", epoch_seconds=1800, **measured
                ),
                TrialEnded(trial=number, outcome="completed"),
            ]
        )
    return state


def study(space=RATES, **options):
    return Study(
        **{
            "name": "toy",
            "space": space,
            "num_trials": 9,
            "storage": "/results",
            "tracking_uri": "sqlite:////results/mlflow.db",
        }
        | options
    )


@pytest.fixture
def typed(monkeypatch):
    """As where `python jobs/tune_wrn.py` was typed, with results at their usual place."""
    monkeypatch.setattr(sys, "argv", [str(JOBS / "tune_wrn.py")])
    monkeypatch.setenv("CIFARRAY_STORAGE", "/results")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def test_the_best_is_named_with_its_checkpoint_and_what_comes_next(typed):
    state = finished(({"optimizer.lr": 0.1}, 0.5), ({"optimizer.lr": 0.2}, 0.6))
    assert about_the_best(study(), state) == [
        ("best", "trial 1: val accuracy 60.00 % after epoch 1 of 1"),
        ("", "lr 0.2"),
        ("worth", "one seed: how much another one would change it is not known; 10.00 points ahead of trial 0"),
        ("confirm", f"python {JOBS}/confirm.py toy"),
        ("test it", f"python {JOBS}/final_test.py toy"),
        ("load it", 'network = cifarray.load("/results/toy/trial-0001/epoch-0001.pt")'),
        ("use it", 'network.classify("photo.png")'),
    ]


def test_commands_name_what_is_not_at_its_usual_place(typed):
    state = finished(({"optimizer.lr": 0.1}, 0.5))
    told = dict(about_the_best(study(storage="/my results", tracking_uri="http://mlflow:5000"), state))
    assert told["test it"].endswith("toy --storage '/my results' --tracking-uri http://mlflow:5000")


def test_a_password_is_no_part_of_a_command(typed):
    state = finished(({"optimizer.lr": 0.1}, 0.5))
    assert "secret" not in str(about_the_best(study(tracking_uri="http://me:secret@mlflow:5000"), state))


def test_without_a_trial_at_its_end_nothing_can_be_tested_yet(typed):
    scene = Scene(LineView, SearchSpace("toy", TrainConfig(epochs=4), {"batch_size": choice(64, 128)}))
    assert about_the_best(scene.study, scene.state) == []
    scene.begins(0)
    assert about_the_best(scene.study, scene.state) == []
    scene.epoch(0, 1, 0.5)
    told = dict(about_the_best(scene.study, scene.state))
    assert told["best"] == "trial 0: val accuracy 50.00 % after epoch 1 of 4, unfinished"
    assert "test it" not in told
    assert told["load it"] == 'network = cifarray.load("/results/0/1.pt")'


def test_what_was_not_measured_is_not_told(typed):
    told = dict(about_the_best(study(), finished(({"optimizer.lr": 0.1}, None))))
    assert told["best"] == "trial 0 after epoch 1 of 1"
    assert "worth" not in told


def test_a_config_with_several_seeds_is_worth_their_mean():
    trials = [({"optimizer.lr": 0.1, "seed": seed}, value) for seed, value in enumerate((0.5, 0.6, 0.7))]
    state = finished(*trials, ({"optimizer.lr": 0.2, "seed": 0}, 0.65), space=SEEDS)
    assert worth(state, state.trials[2]) == (
        "60.00 ± 10.00 % over the 3 seeds of this config (mean ± deviation); 5.00 points ahead of trial 3"
    )


def test_one_seed_is_held_against_what_seeds_make_elsewhere_in_the_study():
    """Two pairs that differ by 2 and 4 points: variances of 2 and 8, pooled 5, whose root is 2.24."""
    pairs = [(0.1, 0, 0.50), (0.1, 1, 0.52), (0.2, 0, 0.40), (0.2, 1, 0.44), (0.3, 0, 0.60)]
    state = finished(*(({"optimizer.lr": lr, "seed": seed}, value) for lr, seed, value in pairs), space=SEEDS)
    assert worth(state, state.trials[4]) == (
        "one seed; in this study seeds have a standard deviation of 2.24 points; 8.00 points ahead of trial 1"
    )


def test_hours_are_those_of_all_workers():
    """Two trials of half an hour on 4 workers."""
    state = finished(({"optimizer.lr": 0.1}, 0.5), ({"optimizer.lr": 0.2}, 0.6))
    assert time_spent(study(workers=4), state, 75.0) == "1:15 this time; all trials together took 4 worker-hours"


@pytest.mark.parametrize("width", [80, 120])
def test_the_leaderboard_fits_and_says_what_it_leaves_out(width):
    space = pyramidnet.space.pin({"epochs": 1})
    params = {"model.depth": 110, "model.bottleneck": False, "model.widening": "multiplicative", "optimizer.lr": 0.05}
    state = finished(*(({**params, "model.alpha": 4.75}, number / 20) for number in range(14)), space=space)
    drawn, notes = table(state, width)
    console = Console(width=width, color_system=None)
    with console.capture() as capture:
        console.print(drawn)
    lines = capture.get().splitlines()
    assert len([line for line in lines if "completed" in line]) == 10
    best = next(line for line in lines if " 13 " in line).split()
    assert {"1", "13", "completed", "65.00", "110", "False", "multiplicative", "4.75", "0.05"} <= set(best)
    assert "…" not in capture.get()
    assert notes[0].startswith("10 of 14 rows")
    assert notes[0].endswith("; all in leaderboard.md")
    assert ("without" in notes[0]) == (width == 80)


def test_a_leaderboard_that_shows_all_says_nothing_more():
    _, notes = table(finished(({"optimizer.lr": 0.1}, 0.5)), 120)
    assert notes == []


def test_prose_goes_on_below_itself_and_a_command_is_one_line():
    text = " ".join(["word"] * 20)
    lines = labelled("worth", text, 80).splitlines()
    assert lines[0].startswith("worth:   word word")
    assert all(line.startswith(" " * 9 + "word") for line in lines[1:])
    assert max(map(len, lines)) <= 80
    assert " ".join(line[9:] for line in lines) == text
    assert labelled("test it", text) == f"test it: {text}"

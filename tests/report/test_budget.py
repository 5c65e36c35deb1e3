"""A budget of worker-hours as its user reads of it: before, while and after it is spent."""

import re

import pytest
from histories import epoch_ended, sampled, started
from scenes import Scene

from cifarray.config import TrainConfig
from cifarray.report.budget import about_the_end, remaining
from cifarray.report.lines import LineView
from cifarray.report.live import TableView
from cifarray.space.domains import choice, log_uniform
from cifarray.space.space import SearchSpace
from cifarray.study.events import TrialEnded
from cifarray.study.schedulers import RunAll
from cifarray.study.state import StudyState
from cifarray.study.time_budget import UNLIMITED, TimeBudget
from cifarray.study.trial_record import Decision, Outcome

SPACE = SearchSpace("toy", TrainConfig(epochs=4), {"batch_size": choice(*range(64, 264))})
RATES = SearchSpace("toy", TrainConfig(epochs=4), {"optimizer.lr": log_uniform(0.01, 1.0)})


def scene_of(view, num_trials=9):
    return Scene(view, SPACE, num_trials, scheduler=RunAll(), budget=120.0)


def test_the_first_lines_say_what_the_budget_is():
    scene = scene_of(LineView)
    assert scene.lines[0] == "study toy: 9 trials, 1 DDP worker × (1 CPU) each"
    assert scene.lines[2].startswith("a budget of 2 min of workers in trials: no trial or rung is begun that")


def test_a_pause_for_the_budget_is_told_with_its_reason():
    scene = scene_of(LineView)
    scene.begins(0)
    assert [scene.epoch(0, epoch, 0.5) for epoch in (1, 2, 3)] == [Decision.CONTINUE] * 3
    assert scene.epoch(0, 4, 0.5) is Decision.COMPLETE
    scene = scene_of(LineView)
    for number in (0, 1):
        scene.begins(number)
        scene.epoch(number, 1, 0.5)
    scene.epoch(0, 2, 0.5)
    assert scene.epoch(1, 2, 0.5) is Decision.PAUSE
    assert scene.lines[-1].endswith("(pauses: the budget of 2 min is spent)")


def test_the_table_tells_what_is_spent_and_the_time_that_is_left():
    """Of two minutes one is spent, by two of four epochs; eight more trials would take four minutes more."""
    scene = scene_of(TableView)
    scene.view.stop()
    scene.begins(0)
    scene.epoch(0, 1, 0.5)
    scene.epoch(0, 2, 0.5)
    scene.text.truncate(0)
    scene.view.console.print(scene.view.draw())
    text = " ".join(scene.text.getvalue().split())
    assert "0 of 9 trials done · 1 running" in text
    assert re.search(r"1 of 2 min spent · (about 60|55–60) s left", text)


def state_of(num_trials, *epochs, budget=4 * 3600.0, seconds=3600.0):
    """epochs: of each trial, of four; those that have not done all are paused."""
    state = StudyState(SPACE, num_trials, time_budget=TimeBudget(budget))
    for number, count in enumerate(epochs):
        state.replay([sampled(number, {"batch_size": 64 + number}, TrainConfig(epochs=4).to_dict()), started(number)])
        for epoch in range(1, count + 1):
            decision = "complete" if epoch == 4 else "pause" if epoch == count else "continue"
            state.apply(epoch_ended(number, epoch, f"/{number}/{epoch}", decision, epoch_seconds=seconds))
        if count == 4:
            state.apply(TrialEnded(trial=number, outcome=Outcome.COMPLETED))
    return state


@pytest.mark.parametrize(
    ("state", "said"),
    [
        (
            state_of(9, 1, 1, 1, 1, seconds=3618.0),
            "the budget of 4 h is spent: 4.02 worker-hours; 4 trials are paused; --budget 8h goes on",
        ),
        (state_of(9, 4), "the budget of 4 h is spent: 4 worker-hours; --budget 8h goes on"),
        (
            state_of(9, 4, 1, 0, seconds=7200.0),
            "the budget of 4 h is spent: 10 worker-hours; 1 trial is paused; 1 trial is unfinished; --budget 16h "
            "goes on",
        ),
        (state_of(1, 4), None),
        (state_of(9, 2), None),
    ],
)
def test_the_end_says_what_was_spent_what_waits_and_what_goes_on(state, said):
    """Nothing of a study that has done all that it was to do, or has time left."""
    assert about_the_end(state) == said


def test_what_remains_is_no_number_where_the_budget_alone_ends_the_search():
    assert remaining(state_of(9, 4, 1))[0] == "8 trials remain"
    assert remaining(state_of(UNLIMITED, 4, 1))[0] == "199 trials remain", "of a space of 200 points"
    unlimited = StudyState(RATES, UNLIMITED, time_budget=TimeBudget(3600.0))
    unlimited.apply(sampled(0, {"optimizer.lr": 0.1}))
    assert remaining(unlimited)[0] == "1 trial is unfinished"

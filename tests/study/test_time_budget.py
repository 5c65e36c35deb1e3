"""A budget of worker-hours: what is spent by a journal's times, what those that run still need, how it is said."""

from dataclasses import replace

import pytest
from histories import driver_started, epoch_ended, sampled, started

from cifarray.config import TrainConfig
from cifarray.space.domains import log_uniform
from cifarray.space.space import SearchSpace
from cifarray.study import decisions
from cifarray.study.events import TrialEnded, WorkersRestarted
from cifarray.study.forecast import Forecast, Interval
from cifarray.study.schedulers import Asha, Promote, RunAll
from cifarray.study.state import StudyState
from cifarray.study.time_budget import Spent, TimeBudget, committed, say, typed
from cifarray.study.trial_record import Decision, Outcome

EPOCHS = 9


def at(time, event):
    return replace(event, time=time)


def spent(*events):
    found = Spent()
    for event in events:
        found.take(event)
    return found.seconds


def test_a_stay_in_a_group_counts_from_its_start_to_the_trials_last_event():
    """Also what came of no epoch: a restart of its workers, an end without one. Waiting in a pause does not."""
    first = [at(10, started(0)), at(70, epoch_ended(0, 1)), at(90, WorkersRestarted(trial=0, restarts=1, epoch=1))]
    assert spent(*first) == 80
    first.append(at(160, epoch_ended(0, 2, decision="pause")))
    assert spent(*first) == 150
    assert spent(*first, at(500, TrialEnded(trial=0, outcome=Outcome.STOPPED))) == 150
    assert spent(*first, at(500, started(0)), at(530, TrialEnded(trial=0, outcome=Outcome.DIVERGED))) == 180


def test_what_a_killed_driver_wrote_last_is_where_its_trials_end():
    events = [at(0, started(0)), at(60, epoch_ended(0, 1)), at(9000, driver_started()), at(9010, started(0))]
    assert spent(*events, at(9070, epoch_ended(0, 2))) == 120
    assert spent(*events[:3], at(9500, TrialEnded(trial=0, outcome=Outcome.FAILED))) == 60


def test_a_clock_that_is_set_back_takes_nothing_back():
    assert spent(at(1000, started(0)), at(400, epoch_ended(0, 1, epoch_seconds=60.0))) == 60


def study(seconds, scheduler=None, epochs_done=(), workers=1):
    """epochs_done: of each trial, of which an epoch takes 60 s."""
    space = SearchSpace("toy", TrainConfig(epochs=EPOCHS), {"optimizer.lr": log_uniform(0.01, 1.0)})
    budget = TimeBudget(seconds, workers)
    state = StudyState(space, 20, scheduler=scheduler or RunAll(), time_budget=budget)
    for number, count in enumerate(epochs_done):
        state.replay([sampled(number, {"optimizer.lr": 0.01 * (number + 1)}, macs=2), started(number)])
        state.trials[number].config = {"epochs": EPOCHS}
        for epoch in range(1, count + 1):
            state.apply(epoch_ended(number, epoch, val_accuracy=0.5, epoch_seconds=60.0))
    return state


def test_what_runs_needs_its_epochs_until_its_next_rung_or_its_end():
    """Rungs after epochs 1 and 3 of 9; a trial without an epoch takes what others of its size do."""
    assert committed(study(1, Asha(3, 1), [2]), [0]) == 60
    assert committed(study(1, Asha(3, 1), [4]), [0]) == 5 * 60
    assert committed(study(1, RunAll(), [2]), [0]) == 7 * 60
    state = study(1, RunAll(), [2, 0])
    assert committed(state, [0, 1]) == 7 * 60 + 9 * 60
    state.trials[1].macs = 6
    assert committed(state, [1]) == 3 * 9 * 60
    assert committed(study(1, RunAll(), [0]), [0]) == 0


@pytest.mark.parametrize(("seconds", "begins"), [(10 * 60, True), (9 * 60, False), (8 * 60, False)])
def test_a_trial_is_begun_where_those_that_run_leave_time(seconds, begins):
    """One that has done two of its nine epochs of a minute needs seven more."""
    state = study(seconds, RunAll(), [2])
    assert (state.next([0]) is not None) == begins
    assert state.remaining([0]) == (20 if begins else 1)


def test_workers_of_a_group_spend_together():
    assert study(2 * 9 * 60, RunAll(), [9], workers=2).is_over()
    assert not study(2 * 9 * 60, RunAll(), [9], workers=1).is_over()


def after_epoch(state, number, epoch, running, checkpoint="/0/1"):
    metrics = {"epoch": epoch, "val_accuracy": 0.9, "epoch_seconds": 60.0}
    decision, events = decisions.after_epoch(state, number, epoch, metrics, checkpoint, running=running)
    assert events[0].out_of_time == (decision is Decision.PAUSE)
    return decision, events[0].reason


def test_within_a_rung_a_trial_goes_on_as_long_as_there_is_time_and_a_rung_is_begun_only_for_what_is_left():
    """Two trials have done four minutes together at the rung, three within it, with the epoch that ends now; rungs
    after epochs 1 and 3."""
    scheduler = Asha(3, 1)
    left = "what is left of the budget of 5 min is for the trials that run"
    # At its rung: the other one needs two minutes more to its own.
    assert after_epoch(study(300, scheduler, [2, 1]), 0, 3, [0, 1]) == (Decision.PAUSE, left)
    assert after_epoch(study(361, scheduler, [2, 1]), 0, 3, [0, 1])[0] is Decision.CONTINUE
    assert after_epoch(study(300, scheduler, [2, 1]), 0, 3, [0])[0] is Decision.CONTINUE
    # Within it.
    assert after_epoch(study(181, scheduler, [1, 1]), 0, 2, [0, 1])[0] is Decision.CONTINUE
    spent = Decision.PAUSE, "the budget of 3 min is spent"
    assert after_epoch(study(180, scheduler, [1, 1]), 0, 2, [0, 1]) == spent
    assert after_epoch(study(180, scheduler, [1, 1]), 0, 2, [0, 1], checkpoint=None)[0] is Decision.CONTINUE


def test_what_the_scheduler_decides_is_its_own():
    """A trial that falls behind is stopped, one that has done its last epoch is complete, whatever is left."""
    state = study(60, Asha(3, 1), [1, 0])
    decision, events = decisions.after_epoch(state, 1, 1, {"epoch": 1, "val_accuracy": 0.1, "epoch_seconds": 60.0}, "/")
    assert (decision, events[0].out_of_time) == (Decision.STOP, False)
    assert after_epoch(study(60, RunAll(), [8]), 0, 9, [0])[0] is Decision.COMPLETE


def study_of_one_pause(scheduler, seconds=60):
    state = study(seconds, scheduler, [0])
    state.apply(epoch_ended(0, 1, "/0/1", "pause", val_accuracy=0.5, epoch_seconds=60.0))
    return state


def test_what_is_paused_where_there_is_no_time_is_not_ended():
    state = study(120, RunAll(), [1])
    _, events = decisions.after_epoch(state, 0, 2, {"epoch": 2, "val_accuracy": 0.5, "epoch_seconds": 60.0}, "/0/2")
    state.replay(events)
    assert decisions.closings(state, []) == []
    assert (state.is_over(), state.is_complete()) == (True, False)
    assert decisions.closings(study_of_one_pause(Promote(3, 1)), []) == []
    assert decisions.closings(study_of_one_pause(Promote(3, 1), seconds=600), []) != []
    state.time_budget = None
    assert (state.next([]).number, state.next([]).epoch, state.next([]).checkpoint) == (0, 2, "/0/2")


def test_no_more_time_is_left_than_the_budget_leaves():
    """Two of nine minutes are spent, and a minute has gone by since."""
    assert Forecast(study(9 * 60, RunAll(), [2])).left(1, waited={0: 60.0}) == Interval(360, 360)
    assert Forecast(study(9 * 60, RunAll(), [2])).left(2) == Interval(210, 210)
    assert Forecast(study(600)).left(1) == Interval(0, 600)


@pytest.mark.parametrize(
    ("seconds", "said", "as_typed"),
    [
        (14400, "4 h", "4h"),
        (5400, "90 min", "90m"),
        (1200 * 3600, "1,200 h", "1200h"),
        (172800, "48 h", "48h"),
        (100, "100 s", "100s"),
        (9000, "2.5 h", "2.5h"),
    ],
)
def test_a_budget_is_said_in_a_unit_that_suits_it(seconds, said, as_typed):
    assert (say(seconds), typed(seconds)) == (said, as_typed)


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("inf"), float("nan")])
def test_a_budget_without_time_is_refused(seconds):
    with pytest.raises(ValueError, match="is not possible: choose more than 0, 4h for example"):
        TimeBudget(seconds)

"""How long a study still takes, as far as can be told."""

import pytest
from histories import epoch_ended, sampled, started

from cifarray.config import TrainConfig
from cifarray.space.domains import choice, log_uniform
from cifarray.space.space import SearchSpace
from cifarray.study import decisions
from cifarray.study.events import TrialEnded
from cifarray.study.forecast import Forecast, Interval, Pace, share_done
from cifarray.study.schedulers import Asha, FreezeThaw, Promote, RunAll
from cifarray.study.state import StudyState

BASE = TrainConfig(epochs=9)
SEEDS = SearchSpace("toy", BASE, {"seed": choice(*range(100))})
NETWORKS = SearchSpace("toy", BASE, {"optimizer.lr": log_uniform(0.01, 1.0)})


def study(trials, num_trials, space=SEEDS, scheduler=None):
    """trials: of each the seconds of its epochs so far, and its outcome or None."""
    state = StudyState(space, num_trials, scheduler=scheduler or RunAll())
    for number, (seconds, outcome) in enumerate(trials):
        state.replay([sampled(number, {"seed": number}, BASE.to_dict()), started(number)])
        for epoch, each in enumerate(seconds, start=1):
            state.apply(epoch_ended(number, epoch, epoch_seconds=each, val_accuracy=0.5))
        if outcome is not None:
            state.apply(TrialEnded(trial=number, outcome=outcome))
    return state


def left(state, at_once=1, **known):
    return Forecast(state).left(at_once, **known)


def test_nothing_is_known_before_the_first_epoch():
    assert left(study([], 4)) is None
    assert left(study([((), None)], 4)) is None


def test_trials_that_all_run_and_are_alike_leave_no_doubt():
    """One trial of 9 epochs of 10 s has done two; two more come after it, one at a time."""
    assert left(study([((10, 10), None)], 3)) == Interval(7 * 10 + 180, 7 * 10 + 180)


def test_a_trial_that_a_scheduler_may_stop_takes_from_its_next_rung_to_its_end():
    """Rungs after epochs 1 and 3 of 9; of two epochs 10 s each are done."""
    assert left(study([((10, 10), None)], 1, scheduler=Asha(3, 1))) == Interval(10, 70)


def test_trials_that_run_side_by_side_take_as_long_as_the_longest():
    state = study([((10,), None), ((20,), None)], 2)
    assert left(state, at_once=2) == Interval(8 * 20, 8 * 20)
    assert left(state, at_once=1).high == pytest.approx(8 * 10 + 8 * 20)


def test_one_trial_tells_less_of_the_others_than_many_do():
    """Each takes 90 s; of ten more in networks that may differ the first tells little, and five that agree tell all."""
    one = left(study([((10,) * 9, "completed")], 11, NETWORKS))
    assert one.low < 10 * 90 < one.high
    five = left(study([((10,) * 9, "completed")] * 5, 15, NETWORKS))
    assert five == Interval(pytest.approx(900), pytest.approx(900))


def test_the_spread_is_that_of_what_trials_took():
    """n = 4 with 80, 100, 100 and 120 s: of four more the sum is 400 s, give or take 1.28 · s · √(4 + 16/4)."""
    state = study([((80,), "stopped"), ((100,), "stopped"), ((100,), "stopped"), ((120,), "stopped")], 8, NETWORKS)
    deviation = ((20**2 + 20**2) / 3) ** 0.5
    margin = 1.28 * deviation * 8**0.5
    found = left(state)
    assert found.low == pytest.approx(400 - margin)
    assert found.high == pytest.approx(400 + margin)


def test_time_that_goes_by_within_an_epoch_is_counted_down():
    """Of 9 epochs of 10 s two are done, and of the third 40 % by its workers' word, else what the clock says."""
    state = study([((10, 10), None)], 1)
    pace = Pace(trial=0, epoch=3, step=40, steps=100, batch_size=64)
    assert left(state, paces={0: pace}, waited={0: 7.0}).low == pytest.approx(66)
    assert left(state, waited={0: 7.0}).low == pytest.approx(63)
    assert left(state, waited={0: 700.0}).low == pytest.approx(60)
    assert left(state, paces={0: Pace(0, 2, 99, 100, 64)}).low == pytest.approx(70), "an epoch that is over"


def test_a_long_first_epoch_tells_from_its_steps():
    """100 steps of 64 images at 640 images/s are 10 s an epoch; 40 steps are done."""
    pace = Pace(trial=0, epoch=1, step=40, steps=100, batch_size=64, images_per_second=640.0)
    assert left(study([((), None)], 1), paces={0: pace}) == Interval(pytest.approx(86), pytest.approx(86))


def test_a_trial_whose_end_the_state_does_not_know_yet_is_over():
    state = study([((10,) * 8, None)], 2)
    assert left(state, just_ended=(0, 90.0)) == Interval(90, 90)


def test_failed_trials_that_are_opened_again_count_as_unfinished():
    state = study([((10,), "failed")], 1)
    forecast = Forecast(state)
    assert forecast.left(1) == Interval(0, 0)
    state.replay(decisions.reopenings(state))
    assert forecast.left(1) == Interval(80, 80)


def test_the_share_of_a_trial_is_that_of_its_epochs():
    trial = study([((10, 10), None)], 1).trials[0]
    assert share_done(trial, None) == pytest.approx(2 / 9)
    assert share_done(trial, Pace(0, 3, 50, 100, 64)) == pytest.approx(2.5 / 9)
    assert share_done(trial, Pace(0, 4, 50, 100, 64)) == pytest.approx(3.5 / 9), "the third is not stored yet"
    assert share_done(trial, Pace(0, 2, 50, 100, 64)) == pytest.approx(2 / 9), "done again"


def test_a_paused_trial_may_be_over_or_go_on_to_its_end():
    state = study([((10,) * 9, "completed"), ((10,), None)], 2, scheduler=Promote(3, 1))
    state.trials[1].is_paused = True
    assert left(state) == Interval(0, 80)


def test_where_an_amount_of_work_is_done_the_rest_takes_as_long_for_what_it_is():
    """30 trials of 9 epochs, rungs 2, 3 and 5: 9 + 30 · 2 + 15 + 8 · 2 + 4 · 4 = 116 epochs, of which 11 are done."""
    scheduler = FreezeThaw(grace_epochs=2)
    assert scheduler.epochs_at_most(30, 9) == 116
    alike = left(study([((10,) * 9, "completed"), ((10, 10), None)], 30, NETWORKS, scheduler))
    assert (alike.low, alike.high) == (pytest.approx(1050), pytest.approx(1050))
    at_once = left(study([((10,) * 9, "completed"), ((10, 10), None)], 30, NETWORKS, scheduler), at_once=3)
    assert at_once.high == pytest.approx(350)
    wider = left(study([((10,) * 9, "completed"), ((20, 20), None)], 30, NETWORKS, scheduler))
    assert wider.low < 130 * 105 / 11 < wider.high

"""What every scheduler does: a free group gets what waits before what is new. Found by name: `test_from_events`."""

from dataclasses import replace

import pytest
from histories import epoch_ended, sampled, started

from cifarray.config import TrainConfig
from cifarray.space.domains import log_uniform
from cifarray.space.space import SearchSpace
from cifarray.study.schedulers import SCHEDULERS, Assignment, RunAll, from_settings
from cifarray.study.state import StudyState
from cifarray.study.trial_record import Decision

SPACE = SearchSpace("toy", TrainConfig(), {"optimizer.lr": log_uniform(0.01, 1.0)})


def test_a_study_without_a_scheduler_has_one_that_stops_nobody():
    assert from_settings(None) == StudyState(SearchSpace("toy", TrainConfig()), 1).scheduler == RunAll()


@pytest.mark.parametrize("name", SCHEDULERS)
def test_who_waits_comes_before_a_new_trial_and_what_runs_is_left_alone(name):
    state = StudyState(SPACE, 3, scheduler=from_settings({"name": name}))

    def given(running):
        """But for what a scheduler says besides."""
        assignment = state.next(running)
        return assignment and replace(assignment, params=None, reason="")

    assert given(running=[]) == Assignment(0)
    for number in (0, 1):
        state.replay([sampled(number), started(number, attempt=2)])
    state.apply(epoch_ended(1, 1, "/storage/1", val_accuracy=0.5))
    assert given(running=[0]) == Assignment(1, epoch=1, checkpoint="/storage/1", attempt=3)
    assert given(running=[1]) == Assignment(0, attempt=3)
    assert given(running=[0, 1]) == Assignment(2)
    state.apply(sampled(2))
    assert given(running=[0, 1, 2]) is None


def test_without_early_stopping_nothing_is_decided():
    state = StudyState(SearchSpace("toy", TrainConfig()), 1)
    state.apply(sampled(0))
    assert RunAll().after_epoch(state, state.trials[0]) == (Decision.CONTINUE, "")

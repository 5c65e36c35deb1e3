"""A budget of worker-hours, on a virtual clock: what is begun, what pauses, and what goes on with a larger one."""

import pytest
from virtual_pool import VirtualPool, answer_of, make_driver, run

from cifarray.engine.orders import Answer
from cifarray.study.events import EpochEnded, TrialEnded, TrialStarted
from cifarray.study.faults import Fault
from cifarray.study.schedulers import Asha, FreezeThaw, Promote, RunAll
from cifarray.study.time_budget import UNLIMITED
from cifarray.study.trial_record import Outcome

EPOCH = VirtualPool.seconds
SCHEDULERS = [RunAll(), Asha(3, 1), Promote(3, 1), FreezeThaw()]
each_scheduler = pytest.mark.parametrize("scheduler", SCHEDULERS, ids=lambda scheduler: scheduler.name)


def epochs_of(events):
    return [(event.trial, event.epoch) for event in events if isinstance(event, EpochEnded)]


@each_scheduler
def test_a_search_without_a_number_of_trials_ends_when_its_budget_is_spent(scheduler):
    """On three groups it spends no more than an epoch of each beyond it, and nothing has failed."""
    driver = make_driver(UNLIMITED, 3, 9, scheduler, budget=40 * EPOCH)
    run(driver)
    state = driver.state
    assert 40 * EPOCH <= state.spent.seconds < 43 * EPOCH
    assert state.spent.seconds == state.epochs_done * EPOCH == len(epochs_of(driver.journal.events)) * EPOCH
    assert {trial.outcome for trial in state.trials.values()} <= {None, Outcome.COMPLETED, Outcome.STOPPED}
    assert all(trial.is_paused and trial.checkpoint[0] == trial.epoch for trial in state.unfinished.values())
    assert driver.is_over()
    assert not state.is_complete()
    assert len(driver.pool.free) == 3


@each_scheduler
@pytest.mark.parametrize("answers", [5, 12, 19, None])
def test_a_study_that_is_killed_or_ends_with_its_budget_goes_on_with_a_larger_one(scheduler, answers):
    """All that was spent counts, no epoch is done twice, and it ends as a study without a budget does: all decided."""
    driver = make_driver(12, 3, 9, scheduler, budget=20 * EPOCH)
    run(driver, answers=answers or 10**6)
    before = driver.journal.events
    spent = driver.state.spent.seconds
    again = make_driver(12, 3, 9, scheduler, budget=20 * EPOCH, before=before)
    assert again.state.spent.seconds == spent
    assert again.state.spent.seconds == len(epochs_of(before)) * EPOCH
    run(again)
    assert 20 * EPOCH <= again.state.spent.seconds < 23 * EPOCH
    before = [*before, *again.journal.events]
    larger = make_driver(12, 3, 9, scheduler, budget=1000 * EPOCH, before=before)
    run(larger)
    assert larger.state.is_complete()
    assert all(trial.outcome in (Outcome.COMPLETED, Outcome.STOPPED) for trial in larger.state.trials.values())
    epochs = epochs_of([*before, *larger.journal.events])
    assert len(set(epochs)) == len(epochs) == larger.state.epochs_done


def test_what_paused_for_the_budget_goes_on_before_anything_new_and_from_its_checkpoint():
    driver = make_driver(9, 2, 9, RunAll(), budget=5 * EPOCH)
    run(driver)
    assert {number: trial.epoch for number, trial in driver.state.trials.items()} == {0: 3, 1: 3}
    assert driver.journal.count(EpochEnded, out_of_time=True) == 2
    again = make_driver(9, 2, 9, RunAll(), before=driver.journal.events)
    run(again)
    starts = [(e.trial, e.epoch, e.attempt) for e in again.journal.events if isinstance(e, TrialStarted)]
    assert starts[:3] == [(0, 3, 2), (1, 3, 2), (2, 0, 1)]
    assert again.journal.count(TrialEnded, outcome=Outcome.COMPLETED) == 9


def test_no_trial_is_begun_that_those_that_run_leave_no_time_for():
    """Two trials of nine epochs spend 18 of 20; the third needs more than the two that are left, so there is no fourth
    beside it. A budget of 18 is for two."""
    driver = make_driver(9, 2, 9, RunAll(), budget=20 * EPOCH)
    run(driver)
    assert {number: trial.epoch for number, trial in driver.state.trials.items()} == {0: 9, 1: 9, 2: 2}
    driver = make_driver(9, 2, 9, RunAll(), budget=18 * EPOCH)
    run(driver)
    assert sorted(driver.state.trials) == [0, 1]
    assert [trial.outcome for trial in driver.state.trials.values()] == [Outcome.COMPLETED] * 2


def test_a_rung_is_not_begun_that_those_that_run_leave_no_time_for():
    """Two trials come to their rung after epoch 3 at once: five minutes are spent with the first one's, the other's
    last is a sixth, and the budget is less."""
    driver = make_driver(9, 2, 9, Asha(3, 3), budget=5.5 * EPOCH)
    run(driver)
    paused = {e.trial: e.reason for e in driver.journal.events if isinstance(e, EpochEnded) and e.out_of_time}
    assert paused == {
        0: "what is left of the budget of 5.5 min is for the trials that run",
        1: "the budget of 5.5 min is spent",
    }


def test_a_group_that_has_nothing_to_begin_any_more_is_released():
    """When the first of two trials has ended the other one needs all that is left; seven more would be to come."""
    needed = []
    driver = make_driver(9, 2, 9, RunAll(), budget=18 * EPOCH)
    driver.pool.release = needed.append
    run(driver)
    assert needed == [1]


def test_what_gives_nothing_is_spent_as_well():
    """Every trial diverges in its first epoch, after a minute of its group: with a budget alone that is no endless
    search."""
    driver = make_driver(UNLIMITED, 2, 9, RunAll(), budget=10 * EPOCH)
    run(driver, lambda number, epoch: Answer(number, 0, fault=Fault.DIVERGED, message="the loss is nan"))
    assert 10 * EPOCH <= driver.state.spent.seconds <= 12 * EPOCH
    assert len(driver.state.ended) * EPOCH == driver.state.spent.seconds


def test_a_trial_pauses_where_it_has_a_checkpoint():
    """It writes one after every third epoch; four epochs are the budget."""

    def answer(number, epoch):
        found = answer_of(number, epoch)
        return found if epoch % 3 == 0 else Answer(number, epoch, found.metrics)

    driver = make_driver(3, 1, 9, RunAll(), budget=4 * EPOCH)
    run(driver, answer)
    assert (driver.state.trials[0].epoch, driver.state.trials[0].checkpoint) == (6, (6, "/study/0/6"))

"""What the driver does, on a virtual clock. Its budget of time: `test_driver_budget`."""

import time
from dataclasses import replace

import pytest
from virtual_pool import VirtualPool, accuracy, answer_of, make_driver, run

from cifarray.engine.orders import Answer
from cifarray.study.events import CheckpointDropped, EpochEnded, TrialEnded, TrialStarted, WorkersRestarted
from cifarray.study.faults import Fault, Losses
from cifarray.study.schedulers import Asha, FreezeThaw, Promote, RunAll
from cifarray.study.trial_record import Decision, Outcome


def test_a_thousand_trials_on_a_hundred_groups_take_seconds():
    """Each epoch takes as long, so that the groups are all busy until the end: 1,000 · 20 / 100 epochs one after the
    other."""
    began = time.process_time()
    driver = make_driver(num_trials=1000, num_groups=100, epochs=20)
    run(driver)
    assert time.process_time() - began < 10
    assert driver.pool.now == 1000 * 20 / 100 * VirtualPool.seconds
    assert driver.journal.count(EpochEnded) == 20_000
    assert driver.journal.count(TrialEnded, outcome=Outcome.COMPLETED) == 1000


def test_who_is_stopped_frees_a_group_for_the_next_at_once():
    driver = make_driver(num_trials=30, num_groups=3, epochs=9, scheduler=Asha(3, 1))
    run(driver)
    stopped = [e for e in driver.journal.events if isinstance(e, TrialEnded) and e.outcome is Outcome.STOPPED]
    starts = [event.time for event in driver.journal.events if isinstance(event, TrialStarted)]
    assert stopped
    assert all(event.time in starts for event in stopped[:-3])
    # Accuracies of 0, 0.367, 0.734 and 0.101: each of the first three was the best when it came.
    assert (stopped[0].trial, stopped[0].message) == (3, "3rd of 4 after epoch 1, 1 goes on")


def test_a_view_that_hears_of_a_start_finds_the_trial(monkeypatch):
    """As the journal's listeners are told: while the event is written."""
    driver, seen = make_driver(num_trials=2, num_groups=1, epochs=1), []
    append = driver.journal.append

    def append_and_tell(events):
        seen.extend(driver.state.trials[event.trial].params for event in events if isinstance(event, TrialStarted))
        return append(events)

    monkeypatch.setattr(driver.journal, "append", append_and_tell)
    run(driver)
    assert len(seen) == 2


def test_only_what_is_wanted_is_kept():
    deleted = []
    driver = make_driver(num_trials=10, num_groups=2, epochs=3, deleted=deleted)
    run(driver)
    kept = {t.number: t.checkpoint for t in driver.state.trials.values() if t.checkpoints}
    best = sorted(range(10), key=lambda number: -accuracy(number, 3))[:3]
    assert kept == {number: (3, f"/study/{number}/3") for number in best}
    assert len(deleted) == driver.journal.count(CheckpointDropped) == 10 * 3 - 3


@pytest.mark.parametrize("fault", [Fault.GROUP_DIED, Fault.ACTOR_DIED])
def test_a_trial_that_loses_its_group_goes_on_from_its_checkpoint(fault):
    lost = set()

    def answer(number, epoch):
        if (number, epoch) == (1, 3) and not lost:
            lost.add(number)
            return Answer(1, 2, fault=fault, message="gone", group_broken=fault is Fault.GROUP_DIED)
        return answer_of(number, epoch)

    driver = make_driver(num_trials=3, num_groups=2, epochs=4)
    run(driver, answer)
    starts = [e.epoch for e in driver.journal.events if isinstance(e, TrialStarted) and e.trial == 1]
    assert starts == [0, 2]
    assert driver.journal.count(EpochEnded, trial=1) == 4
    assert driver.journal.count(WorkersRestarted, trial=1, restarts=1) == 1
    assert len(driver.pool.broken) == (fault is Fault.GROUP_DIED)
    assert driver.state.trials[1].outcome is Outcome.COMPLETED


def test_a_loss_of_workers_is_told_apart_from_the_error_that_ends_the_trial():
    losses = Losses(total=1, deaths=1, fault=Fault.WORKERS_DIED, message="worker 0: killed")
    driver = make_driver(num_trials=1, num_groups=1, epochs=2)
    run(driver, lambda number, epoch: Answer(0, 0, losses=losses, fault=Fault.RAISED, message="ZeroDivisionError"))
    restarts = [event for event in driver.journal.events if isinstance(event, WorkersRestarted)]
    assert [(event.fault, event.reason) for event in restarts] == [(Fault.WORKERS_DIED, "worker 0: killed")]
    assert driver.state.trials[0].message == "ZeroDivisionError"


def test_epochs_that_are_run_again_after_a_loss_are_counted_once():
    """Its checkpoint is of epoch 1; epochs 2 and 3 are done again and keep their decisions."""
    seen = []

    def answer(number, epoch):
        seen.append(epoch)
        if seen == [1, 2, 3, 4]:
            return Answer(0, 3, fault=Fault.GROUP_DIED, message="gone", group_broken=True)
        return replace(answer_of(number, epoch), checkpoint="/study/0/1" if epoch == 1 else None)

    driver = make_driver(num_trials=1, num_groups=1, epochs=4)
    run(driver, answer)
    assert seen == [1, 2, 3, 4, 2, 3, 4]
    assert [e.epoch for e in driver.journal.events if isinstance(e, EpochEnded)] == [1, 2, 3, 4]


class NeverWalked(dict):
    """Trials that may be looked up and counted, but not gone through."""

    def _refuse(self, *_):
        raise AssertionError("all trials were gone through for one answer")

    __iter__ = values = items = keys = _refuse


@pytest.mark.parametrize("scheduler", [RunAll(), Asha(3, 1)])
def test_no_answer_goes_through_all_trials(scheduler):
    """So the ten thousandth trial costs what the first one did."""
    driver = make_driver(num_trials=40, num_groups=4, epochs=9, scheduler=scheduler)
    driver.state.trials = NeverWalked()
    run(driver)
    assert len(driver.state.trials) == 40
    assert driver.state.best().outcome is Outcome.COMPLETED


def test_what_workers_have_to_say_is_told_once_and_their_format_goes_along():
    """Also where the first epochs after a loss are known already: the remark comes with the first new one."""
    seen = []

    def answer(number, epoch):
        seen.append(epoch)
        if seen == [1, 2, 3]:
            return Answer(0, 2, fault=Fault.GROUP_DIED, message="gone", group_broken=True)
        remark = "goes on in bf16" if len(seen) > 3 else ""
        return replace(answer_of(number, epoch), checkpoint=None, precision="bf16", remark=remark)

    driver = make_driver(num_trials=1, num_groups=1, epochs=4)
    started = []
    move_in = driver.pool.move_in

    def watched(group, assignment, config, folder):
        started.append((assignment.epoch, assignment.precision))
        return move_in(group, assignment, config, folder)

    driver.pool.move_in = watched
    run(driver, answer)
    assert started == [(0, ""), (0, "bf16")]
    told = [(event.epoch, event.remark) for event in driver.journal.events if isinstance(event, EpochEnded)]
    assert told == [(1, ""), (2, ""), (3, "goes on in bf16"), (4, "")]


def starts_of(driver, number):
    return [(e.epoch, e.group) for e in driver.journal.events if isinstance(e, TrialStarted) and e.trial == number]


@pytest.mark.parametrize("scheduler", [Promote(3, 1), FreezeThaw()], ids=lambda scheduler: scheduler.name)
def test_a_paused_trial_leaves_its_group_to_others_and_goes_on_from_its_checkpoint(scheduler):
    driver = make_driver(num_trials=30, num_groups=3, epochs=9, scheduler=scheduler)
    moved_in = {}
    move_in = driver.pool.move_in

    def watched(group, assignment, config, folder):
        epoch, address = driver.state.trials[assignment.number].checkpoint or (0, None)
        assert (assignment.epoch, assignment.checkpoint) == (epoch, address)
        moved_in.setdefault(assignment.number, []).append(epoch)
        return move_in(group, assignment, config, folder)

    driver.pool.move_in = watched
    run(driver)
    pauses = [e for e in driver.journal.events if isinstance(e, EpochEnded) and e.decision is Decision.PAUSE]
    assert pauses
    paused_at = {}
    for event in pauses:
        paused_at.setdefault(event.trial, []).append(event.epoch)
    assert all(epochs[1:] == paused_at[number][: len(epochs) - 1] for number, epochs in moved_in.items() if number)
    assert any(len(epochs) > 1 for epochs in moved_in.values())
    # Each epoch is trained once, each group is leased to one trial at a time, and nothing is left.
    epochs = [(e.trial, e.epoch) for e in driver.journal.events if isinstance(e, EpochEnded)]
    assert len(set(epochs)) == len(epochs) == driver.state.epochs_done
    assert len(driver.pool.free) == 3
    assert driver.state.is_over()


@pytest.mark.parametrize(
    ("scheduler", "rungs"),
    [(RunAll(), ()), (Asha(3, 1), (1, 3)), (Promote(3, 1), (1, 3)), (FreezeThaw(), (1, 2, 3, 5))],
    ids=lambda value: getattr(value, "name", None),
)
def test_a_group_is_told_after_which_epochs_its_trial_may_have_to_leave(scheduler, rungs):
    """And there is no other after which it has to, but the last."""
    driver = make_driver(num_trials=9, num_groups=2, epochs=9, scheduler=scheduler)
    told = []
    move_in = driver.pool.move_in

    def watched(group, assignment, config, folder):
        told.append(assignment.rungs)
        return move_in(group, assignment, config, folder)

    driver.pool.move_in = watched
    run(driver)
    assert set(told) == {rungs}
    left = {e.epoch for e in driver.journal.events if isinstance(e, EpochEnded) and e.decision is not Decision.CONTINUE}
    assert left <= {*rungs, 9}


def test_what_is_paused_at_the_end_is_over_and_keeps_no_checkpoint_but_the_best():
    deleted = []
    driver = make_driver(num_trials=30, num_groups=3, epochs=9, scheduler=Promote(3, 1), deleted=deleted)
    run(driver)
    outcomes = [trial.outcome for trial in driver.state.trials.values()]
    assert set(outcomes) == {Outcome.COMPLETED, Outcome.STOPPED}
    kept = [trial.number for trial in driver.state.trials.values() if trial.checkpoints]
    assert sorted(kept) == sorted(trial.number for trial in driver.state.ranking()[:3])
    assert len(set(deleted)) == len(deleted)


def test_nothing_is_decided_where_there_is_no_group_for_it():
    driver = make_driver(num_trials=3, num_groups=1, epochs=2)
    assert driver.next_trial() is not None
    driver.state.next = lambda running: pytest.fail("something is decided")
    assert driver.next_trial() is None


def test_what_comes_of_a_trial_that_was_told_to_pause_is_taken_once():
    """Tune gives the last result again when the trial leaves, or loses its actor just then; or its group is lost."""
    lost = Answer(0, 1, fault=Fault.GROUP_DIED, message="gone", group_broken=True)
    for last in (answer_of(0, 1), lost, None):
        driver = make_driver(num_trials=9, num_groups=1, epochs=9, scheduler=Promote(3, 1))
        driver.next_trial()
        assert driver.take(answer_of(0, 1)) is Decision.PAUSE
        driver.end(0, last)
        assert driver.journal.count(EpochEnded) == 1
        assert driver.journal.count(WorkersRestarted) == 0
        assert driver.state.trials[0].is_paused

"""An audit of early stopping, on a virtual clock: carried out by the driver, after the search and with its groups."""

import pytest
from virtual_pool import VirtualPool, make_driver, run

from cifarray.study.audit import Audit
from cifarray.study.events import AuditStarted, EpochEnded, TrialStarted
from cifarray.study.schedulers import Asha, FreezeThaw, Promote
from cifarray.study.time_budget import TimeBudget
from cifarray.study.trial_record import Outcome

AUDIT = Audit(0.2, asked_for=True)


def driver_of(scheduler, before=(), audit=AUDIT):
    driver = make_driver(num_trials=30, num_groups=3, epochs=9, scheduler=scheduler, before=before)
    driver.state.audit = audit
    return driver


@pytest.mark.parametrize("answers", [None, 60, 90])
@pytest.mark.parametrize("scheduler", [Asha(3, 1), Promote(3, 1), FreezeThaw()], ids=lambda scheduler: scheduler.name)
def test_audited_trials_run_to_their_end_once_and_after_all_others(scheduler, answers):
    """Their checkpoints are gone, so they begin anew: epochs that are run again are recorded once. After a kill it goes
    on with the same trials."""
    first = driver_of(scheduler)
    run(first, answers=answers or 10**6)
    driver = driver_of(scheduler, before=first.journal.events)
    run(driver)
    events = [*first.journal.events, *driver.journal.events]
    (audit,) = [event for event in events if isinstance(event, AuditStarted)]
    assert len(audit.trials) == -(-len(audit.given_up) // 5)
    assert all(driver.state.trials[number].outcome is Outcome.COMPLETED for number in audit.trials)
    epochs = [(event.trial, event.epoch) for event in events if isinstance(event, EpochEnded)]
    assert len(set(epochs)) == len(epochs) == driver.state.epochs_done
    after = events[events.index(audit) :]
    starts = [event for event in after if isinstance(event, TrialStarted)]
    assert {event.trial for event in starts} == set(audit.trials)
    assert all("audit of early stopping, which gave it up after epoch" in event.reason for event in starts)
    assert len(driver.pool.free) == 3
    assert driver.is_over()


def test_what_an_audit_will_need_is_kept_when_the_last_trials_of_the_search_end():
    """Of 30 trials 25 or so are given up, and a fifth of them is more than the three groups."""
    driver, wanted = driver_of(Asha(3, 1)), []
    driver.pool.release = lambda count: wanted.append((driver.journal.count(AuditStarted), count))
    run(driver)
    assert min(count for begun, count in wanted if not begun) >= 3
    assert [count for begun, count in wanted if begun][-2:] == [2, 1]


def test_an_audit_waits_for_a_larger_budget_and_spends_of_it():
    plain = driver_of(Asha(3, 1), audit=None)
    run(plain)
    spent = plain.state.spent.seconds
    driver = driver_of(Asha(3, 1))
    driver.state.time_budget = TimeBudget(spent + 5 * VirtualPool.seconds)
    run(driver)
    assert not driver.state.is_complete()
    assert set(driver.state.unfinished) <= set(driver.state.audited)
    assert driver.state.spent.seconds >= spent + 5 * VirtualPool.seconds
    again = driver_of(Asha(3, 1), before=driver.journal.events)
    run(again)
    assert again.state.is_complete()
    assert {trial.outcome for trial in again.state.audited.values()} == {Outcome.COMPLETED}

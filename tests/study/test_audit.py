"""An audit of early stopping: who is chosen, that the search knows nothing of it, and what it finds."""

import math
from dataclasses import replace
from typing import ClassVar

import pytest
from histories import driver_ended, driver_started, epoch_ended, sampled, started, study_started
from one_group import carry_out

from cifarray.config import TrainConfig
from cifarray.journal.events import from_json, to_json
from cifarray.space.domains import log_uniform
from cifarray.space.space import SearchSpace
from cifarray.study import decisions
from cifarray.study.audit import Audit, finding
from cifarray.study.events import AuditStarted, TrialEnded, TrialStarted
from cifarray.study.forecast import Forecast, Interval
from cifarray.study.schedulers import Asha, FreezeThaw, Promote, RunAll
from cifarray.study.state import StudyState
from cifarray.study.trial_record import Outcome

EPOCHS = 9
SPACE = SearchSpace("toy", TrainConfig(epochs=EPOCHS), {"optimizer.lr": log_uniform(0.01, 1.0)})
STRATEGIES = [Asha(3, 1), Promote(3, 1), FreezeThaw()]
each_strategy = pytest.mark.parametrize("scheduler", STRATEGIES, ids=lambda scheduler: scheduler.name)


@pytest.mark.parametrize(
    ("audit", "given_up", "count"),
    [
        (Audit(), 19, 0),
        (Audit(), 20, 1),
        (Audit(), 40, 2),
        (Audit(), 41, 3),
        (Audit(0.05, asked_for=True), 1, 1),
        (Audit(0.05, asked_for=True), 0, 0),
        (Audit(1.0, asked_for=True), 7, 7),
        (Audit(0.0, asked_for=True), 50, 0),
    ],
)
def test_a_share_of_what_is_given_up_is_at_least_one_trial(audit, given_up, count):
    chosen = audit.chosen(range(given_up), seed=0)
    assert len(chosen) == count
    assert set(chosen) <= set(range(given_up))


def test_who_is_chosen_depends_on_the_seed_alone_and_everybody_is_as_often():
    """Of 40 trials two: over 2,000 seeds each about 100 times, give or take four deviations of a binomial."""
    numbers = list(range(40))
    assert Audit().chosen(numbers, 3) == Audit().chosen(numbers[::-1], 3)
    counts = dict.fromkeys(numbers, 0)
    for seed in range(2000):
        for number in Audit().chosen(numbers, seed):
            counts[number] += 1
    spread = 4 * math.sqrt(2000 * 0.05 * 0.95)
    assert all(abs(count - 100) < spread for count in counts.values())


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_what_is_no_percentage_is_refused(share):
    with pytest.raises(ValueError, match="is no percentage: choose from 0"):
        Audit(share)


def curve(params, epoch):
    """Small rates learn late: early on the order is another one than at the end."""
    lr = params["optimizer.lr"]
    return 0.1 + (0.9 - 0.3 * lr) * (1 - math.exp(-epoch * 3 * lr))


def searched(scheduler, num_trials=30, audit=None, before=(), searcher="random"):
    """The state of a study that is carried out to its end by one group, and its events."""
    state = StudyState(SPACE, num_trials, searcher, scheduler, audit=audit)
    state.replay(before)
    return state, [*before, *carry_out(state, curve)]


@each_strategy
def test_trials_by_chance_run_to_their_end_after_the_search_which_decides_as_without_them(scheduler):
    plain, before = searched(scheduler)
    state, events = searched(scheduler, audit=Audit(0.1, asked_for=True))
    assert [type(event) for event in events[: len(before)]] == [type(event) for event in before]
    (audit,) = [event for event in events if isinstance(event, AuditStarted)]
    stopped = [trial.number for trial in plain.trials.values() if trial.outcome is Outcome.STOPPED]
    assert list(audit.given_up) == stopped
    assert list(audit.trials) == sorted(state.audited)
    assert len(audit.trials) == math.ceil(0.1 * len(stopped))
    for number, trial in state.trials.items():
        if number in audit.trials:
            assert (trial.outcome, trial.epoch, trial.given_up_after) == (
                Outcome.COMPLETED,
                EPOCHS,
                plain.trials[number].epoch,
            )
        else:
            assert (trial.outcome, trial.epochs) == (plain.trials[number].outcome, plain.trials[number].epochs)
    assert (state.macs_done, state.timeline) == (plain.macs_done, plain.timeline)
    after = events[len(before) :]
    reasons = {event.trial: event.reason for event in after if isinstance(event, TrialStarted)}
    assert set(reasons) <= set(audit.trials)
    assert state.is_complete()
    assert not decisions.audit(state)
    again = StudyState(SPACE, 30, "random", scheduler, audit=Audit(0.1, asked_for=True))
    again.replay([from_json(to_json(event)) for event in events])
    assert again.trials == state.trials
    assert (again.is_complete(), again.next([])) == (True, None)


@each_strategy
def test_a_search_that_goes_on_after_an_audit_knows_nothing_of_it(scheduler):
    _, events = searched(scheduler)
    plain, _ = searched(scheduler, 45, before=events)
    _, events = searched(scheduler, audit=Audit(0.3, asked_for=True))
    audited = [event.trials for event in events if isinstance(event, AuditStarted)]
    state, _ = searched(scheduler, 45, before=events)
    assert audited
    for number in range(30, 45):
        ours, theirs = state.trials.get(number), plain.trials.get(number)
        assert (ours is None) == (theirs is None)
        assert ours is None or (ours.params, ours.epochs, ours.outcome) == (
            theirs.params,
            theirs.epochs,
            theirs.outcome,
        )


class Watching(Asha):
    """Remembers which trials run, and what it is shown of the first one that is audited."""

    seen: ClassVar[list] = []

    def next(self, study, running):
        self.seen.append((list(running), [study.trials[number].outcome for number in AUDITED]))
        return super().next(study, running)

    def after_epoch(self, study, trial):
        self.seen.append(([], [study.trials[number].outcome for number in AUDITED]))
        return super().after_epoch(study, trial)


AUDITED = []


def test_who_decides_is_shown_audited_trials_as_they_were():
    """While they run: a study that goes on has both."""
    state, events = searched(Asha(3, 1))
    state = StudyState(SPACE, 31, "random", Watching(3, 1), audit=Audit(0.1, asked_for=True))
    state.replay(events)
    state.num_trials = 30
    state.replay(decisions.audit(state))
    state.num_trials, AUDITED[:] = 31, sorted(state.audited)
    Watching.seen.clear()
    assert state.next(AUDITED).number == 30
    assert Watching.seen == [([], [Outcome.STOPPED] * len(AUDITED))]
    state.replay([sampled(30, {"optimizer.lr": 0.5}, {"epochs": EPOCHS}), started(30)])
    decisions.after_epoch(state, 30, 1, {"epoch": 1, "val_accuracy": 0.5}, None)
    assert Watching.seen[1:] == Watching.seen[:1]


def test_tpe_does_not_hear_of_an_audit():
    _, events = searched(Asha(3, 1), searcher="tpe")
    _, more = searched(Asha(3, 1), audit=Audit(0.3, asked_for=True), searcher="tpe")
    states = [StudyState(SPACE, 45, "tpe", Asha(3, 1)) for _ in range(2)]
    states[0].replay(events)
    states[1].replay(more)
    assert states[1].audited
    assert states[0].sample(30) == states[1].sample(30)


def test_an_audit_is_of_what_was_given_up_since_the_one_before():
    audit = Audit(0.5, asked_for=True)
    state, events = searched(Asha(3, 1), audit=audit)
    state, events = searched(Asha(3, 1), 60, audit=audit, before=events)
    first, second = (event for event in events if isinstance(event, AuditStarted))
    assert not set(first.given_up) & set(second.given_up)
    assert set(first.given_up) | set(second.given_up) == {
        trial.number
        for trial in state.trials.values()
        if trial.outcome is Outcome.STOPPED or trial.number in state.audited
    }


def test_a_search_that_had_ended_is_audited_only_where_somebody_asks():
    _, events = searched(Asha(3, 1), 40)
    events.append(driver_ended())
    unasked, asked = (
        StudyState(SPACE, 40, "random", Asha(3, 1), audit=audit) for audit in (Audit(), Audit(0.05, True))
    )
    for state in (unasked, asked):
        state.replay(events)
    assert (unasked.is_complete(), decisions.audit(unasked)) == (True, [])
    assert (asked.is_complete(), asked.remaining()) == (False, 2)


def test_nothing_is_audited_where_nothing_is_given_up_or_the_budget_leaves_no_time():
    state, events = searched(RunAll(), 5, audit=Audit(1.0, asked_for=True))
    assert state.is_complete()
    assert not any(isinstance(event, AuditStarted) for event in events)


def trial_of(state, number, scores, outcome, audited_after=None):
    state.replay([sampled(number, {"optimizer.lr": 0.1 * (number + 1)}, {"epochs": 2}), started(number)])
    if audited_after is not None:
        state.apply(epoch_ended(number, 1, decision="stop", val_accuracy=scores[0]))
        state.apply(AuditStarted(trials=[number], given_up=[number]))
        state.apply(started(number))
        scores = scores[1:]
    for score in scores:
        epoch = state.trials[number].epoch + 1
        decision = {Outcome.COMPLETED: "complete", Outcome.STOPPED: "stop"}.get(outcome, "continue")
        state.apply(
            epoch_ended(number, epoch, decision=decision if score is scores[-1] else "continue", val_accuracy=score)
        )
    state.apply(TrialEnded(trial=number, outcome=outcome))


def study(*trials):
    state = StudyState(SPACE, 50)
    for number, trial in enumerate(trials):
        trial_of(state, number, *trial)
    return state


DONE, STOPPED = Outcome.COMPLETED, Outcome.STOPPED
COMPLETED = [([0.5, value], DONE) for value in (0.80, 0.79, 0.78, 0.77, 0.76, 0.75, 0.74, 0.73)]


def test_the_rate_is_of_those_that_are_better_than_the_best_that_the_search_completed():
    """Of four audited one is better by 1.5 points, one is between the two best of eight, which are their best quarter,
    and one diverged; Wilson's interval of 1 in 4 is 4.6 to 69.9 % (statsmodels' proportion_confint)."""
    audited = [([0.3, 0.815], DONE, 1), ([0.3, 0.795], DONE, 1), ([0.3, 0.1], DONE, 1), ([0.3], Outcome.DIVERGED, 1)]
    found = finding(study(*COMPLETED, *audited, ([0.2], STOPPED)).trials.values())
    assert (found.given_up, found.audited, found.better, found.in_top) == (5, 4, 1, 2)
    assert found.regret == pytest.approx(0.015)
    assert found.best.number == 8
    assert (found.low, found.high) == (pytest.approx(0.0456, abs=5e-5), pytest.approx(0.6994, abs=5e-5))


def test_an_audited_trial_that_is_the_best_leads_the_leaderboard():
    state = study(*COMPLETED, ([0.3, 0.9], DONE, 1))
    assert state.best().number == 8
    assert state.trials[8].outcome_in_words == "completed (audit, given up after epoch 1)"


def test_nothing_is_known_before_an_audited_trial_has_ended_or_without_one_that_the_search_completed():
    assert finding(study(*COMPLETED, ([0.2], STOPPED)).trials.values()) is None
    assert finding(study(([0.3, 0.9], DONE, 1)).trials.values()) is None
    none_better = finding(study(*COMPLETED, ([0.3, 0.7], DONE, 1)).trials.values())
    assert (none_better.better, none_better.regret) == (0, 0.0)


def test_the_time_left_is_that_of_audited_trials_to_their_end():
    """One that was stopped after the first of nine epochs, and takes 10 s an epoch."""
    state = StudyState(SPACE, 1, "random", Asha(3, 1), audit=Audit(1.0, asked_for=True))
    state.replay([sampled(0, {"optimizer.lr": 0.1}, {"epochs": EPOCHS}), started(0)])
    state.apply(epoch_ended(0, 1, decision="stop", val_accuracy=0.1, epoch_seconds=10.0))
    state.replay(decisions.audit(state))
    assert Forecast(state).left(1) == Interval(80, 80)


def test_the_time_left_is_that_of_an_audit_also_where_a_search_is_an_amount_of_work():
    """Each epoch takes a second; they run one after the other."""
    audit = Audit(0.3, asked_for=True)
    _, events = searched(FreezeThaw(), audit=audit)
    begins = next(place for place, event in enumerate(events) if isinstance(event, AuditStarted))
    state = StudyState(SPACE, 30, "random", FreezeThaw(), audit=audit)
    state.replay(events[: begins + 1])
    seconds = sum(EPOCHS - trial.epoch for trial in state.audited.values())
    assert Forecast(state).left(1) == Interval(pytest.approx(seconds), pytest.approx(seconds))


def test_what_a_budget_left_undecided_is_audited_when_all_is_decided():
    """A driver that came to the end of its time has not come to the end of the search."""
    events = [study_started(num_trials=60), replace(driver_started(), num_trials=60, budget_seconds=10.0)]
    for number in range(60):
        if number == 30:
            events += [driver_ended(), replace(driver_started(), num_trials=60)]
        config = TrainConfig(epochs=EPOCHS).to_dict()
        decision = "complete" if number == 59 else "stop"
        events += [sampled(number, config=config), started(number)]
        events.append(epoch_ended(number, EPOCHS if number == 59 else 1, decision=decision, val_accuracy=0.5))
    state = StudyState(SPACE, 60, "random", Asha(3, 1), audit=Audit())
    state.replay(events)
    chosen, candidates = state.to_audit()
    assert candidates == tuple(range(59))
    assert len(chosen) == 3  # 5 % of 59, rounded up

"""Decisions of a study, without Ray, files or clocks."""

import random

import pytest
from histories import sampled, started

from cifarray.config import TrainConfig, override
from cifarray.journal.events import from_json, to_json
from cifarray.space.domains import choice, log_uniform
from cifarray.space.space import SearchSpace
from cifarray.study import decisions
from cifarray.study.events import CheckpointStored, DriverStarted, TrialEnded, WorkersRestarted
from cifarray.study.faults import MAX_DEATHS, Fault, Losses
from cifarray.study.schedulers import Asha, Assignment
from cifarray.study.state import StudyState
from cifarray.study.trial_record import Decision, Metric, Outcome

EPOCHS = 4


def make_state(num_trials=6, keep=2, **plan):
    base = TrainConfig(epochs=EPOCHS)
    domains = {"optimizer.lr": log_uniform(0.01, 1.0), "batch_size": choice(64, 128)}
    return StudyState(SearchSpace("toy", base, domains), num_trials, keep_checkpoints=keep, **plan)


def begin(state, number):
    params = state.sample(number)
    events = [sampled(number, params, state.space.config(params).to_dict()), started(number)]
    state.replay(events)
    return events


def run_epoch(state, number, epoch, accuracy):
    address = f"/storage/{number}/{epoch}"
    metrics = {"epoch": epoch, "val_accuracy": accuracy, "epoch_seconds": 2.0}
    decision, events = decisions.after_epoch(state, number, epoch, metrics, address)
    state.replay(events)
    return decision, events


def run_to_the_end(state, number, accuracy):
    events = begin(state, number)
    for epoch in range(1, EPOCHS + 1):
        decision, more = run_epoch(state, number, epoch, accuracy)
        events += more
        if decision is not Decision.CONTINUE:
            break
    return events


def read_again(events):
    """What another driver reads in the journal."""
    return [from_json(to_json(event)) for event in events]


def independent_asha(curves, factor, rungs):
    """Who is stopped when whole trials arrive one after the other: an implementation of its own, from the paper."""
    seen, ends = {rung: [] for rung in rungs}, []
    for curve in curves:
        end = len(curve)
        for rung in rungs:
            seen[rung].append(curve[rung - 1])
            best = sorted(seen[rung], reverse=True)[: max(1, len(seen[rung]) // factor)]
            if curve[rung - 1] < best[-1]:
                end = rung
                break
        ends.append(end)
    return ends


def test_trials_end_where_an_independent_asha_ends_them():
    accuracies = [0.5, 0.4, 0.6, 0.55, 0.7, 0.65, 0.2, 0.66, 0.68, 0.9, 0.71, 0.3]
    state = make_state(len(accuracies), scheduler=Asha(3, 1))
    for number, accuracy in enumerate(accuracies):
        run_to_the_end(state, number, accuracy)
    expected = independent_asha([[a] * EPOCHS for a in accuracies], factor=3, rungs=(1, 3))
    assert [state.trials[n].epoch for n in range(len(accuracies))] == expected


def test_a_state_is_what_its_journal_says():
    state = make_state(scheduler=Asha(2, 1))
    events = []
    for number, accuracy in enumerate([0.3, 0.5, 0.4]):
        events += run_to_the_end(state, number, accuracy)
    again = make_state(scheduler=Asha(2, 1))
    again.replay(read_again(events))
    assert again == state
    assert again.sample(3) == state.sample(3)


def test_an_epoch_that_is_run_again_keeps_its_decision_and_is_not_counted_twice():
    state = make_state(scheduler=Asha(2, 1))
    begin(state, 0)
    first, events = run_epoch(state, 0, 1, 0.5)
    run_to_the_end(state, 1, 0.9)
    again, more = run_epoch(state, 0, 1, 0.5)
    assert events
    assert (again, more) == (first, [])
    assert state.trials[0].epoch == 1


def test_unfinished_trials_come_before_new_ones_and_go_on_from_their_checkpoint():
    state = make_state()
    run_to_the_end(state, 0, 0.5)
    begin(state, 1)
    run_epoch(state, 1, 1, 0.5)
    run_epoch(state, 1, 2, 0.5)
    assert state.next(running=[]) == Assignment(1, epoch=2, checkpoint="/storage/1/2", attempt=2)
    assert state.next(running=[1]) == Assignment(2)


def test_a_study_is_over_when_every_trial_has_an_outcome():
    state = make_state(num_trials=2)
    run_to_the_end(state, 0, 0.5)
    begin(state, 1)
    assert not state.is_over()
    assert state.next(running=[1]) is None
    state.apply(TrialEnded(trial=1, outcome=Outcome.DIVERGED))
    assert state.is_over()


def test_a_grid_ends_with_its_last_point():
    base = TrainConfig(epochs=1)
    space = SearchSpace("grid", base, {"batch_size": choice(64, 128)})
    assert StudyState(space, 20, "grid").budget == 2


def test_an_outcome_that_a_crash_cut_off_is_repaired():
    """Of a trial that was stopped, with why."""
    events = []
    state = make_state(scheduler=Asha(2, 1))
    for number, accuracy in enumerate((0.5, 0.4)):
        events += run_to_the_end(state, number, accuracy)
    assert events[-1] == TrialEnded(trial=1, outcome=Outcome.STOPPED, message="2nd of 2 after epoch 1, 1 goes on")
    again = make_state(scheduler=Asha(2, 1))
    again.replay(events[:-1])
    assert decisions.repairs(again) == events[-1:]
    again.replay(decisions.repairs(again))
    assert decisions.repairs(again) == []
    assert again == state


def test_best_trials_keep_their_newest_checkpoint_and_unfinished_ones_two():
    state = make_state(keep=2)
    for number, accuracy in enumerate([0.3, 0.5, 0.4]):
        run_to_the_end(state, number, accuracy)
    begin(state, 3)
    run_epoch(state, 3, 1, 0.1)
    run_epoch(state, 3, 2, 0.1)
    run_epoch(state, 3, 3, 0.1)
    dropped = decisions.superfluous_checkpoints(state)
    state.replay(dropped)
    kept = {number: sorted(trial.checkpoints) for number, trial in state.trials.items()}
    # Of the one that runs the newest two: the newest may turn out to be torn.
    assert kept == {0: [], 1: [EPOCHS], 2: [EPOCHS], 3: [2, 3]}
    assert {event.checkpoint for event in dropped} >= {"/storage/0/4", "/storage/1/1", "/storage/3/1"}


def test_completed_trials_rank_before_stopped_and_diverged_ones():
    state = make_state()
    run_to_the_end(state, 0, 0.5)
    run_to_the_end(state, 1, 0.6)
    begin(state, 2)
    run_epoch(state, 2, 1, 0.99)
    state.apply(TrialEnded(trial=2, outcome=Outcome.STOPPED))
    begin(state, 3)
    state.apply(TrialEnded(trial=3, outcome=Outcome.DIVERGED))
    assert [trial.number for trial in state.ranking()] == [1, 0, 2, 3]


@pytest.mark.parametrize("searcher", ["random", "tpe"])
def test_a_study_that_was_cut_off_anywhere_samples_the_same_trials(searcher):
    def run(cut):
        state, events = make_state(14, searcher=searcher), []
        for number in range(14):
            if number == cut:
                state = make_state(14, searcher=searcher)
                state.replay(read_again(events))
            events += run_to_the_end(state, number, accuracy=state.sample(number)["optimizer.lr"])
        return [trial.params for trial in state.trials.values()]

    assert run(cut=12) == run(cut=5) == run(cut=None)


def test_where_less_is_better_the_smallest_ranks_first_and_asha_stops_the_largest():
    state = make_state(scheduler=Asha(2, 1))
    state.metric = Metric("val_loss")
    for number, loss in enumerate((0.5, 0.9, 0.2)):
        begin(state, number)
        _, events = decisions.after_epoch(state, number, 1, {"epoch": 1, "val_loss": loss}, None)
        state.replay(events)
    assert [trial.number for trial in state.ranking()] == [2, 0, 1]
    assert state.trials[1].outcome is Outcome.STOPPED
    assert state.trials[2].outcome is None


def test_a_point_that_is_not_allowed_never_becomes_a_trial():
    state = make_state(num_trials=10)
    state.allowed = lambda params: params["batch_size"] == 128
    for number in range(10):
        begin(state, number)
    assert {trial.params["batch_size"] for trial in state.trials.values()} == {128}


def state_of_one(**fields):
    """A trial that has done its first epoch."""
    base = override(TrainConfig(epochs=EPOCHS, batch_size=128), fields)
    state = StudyState(SearchSpace("toy", base), 1)
    begin(state, 0)
    run_epoch(state, 0, 1, 0.5)
    return state


def test_a_trial_out_of_memory_has_ended():
    state = state_of_one()
    state.replay(decisions.after_fault(state, 0, Fault.OUT_OF_MEMORY, "CUDA out of memory", workers=2)[0])
    assert state.trials[0].outcome is Outcome.OUT_OF_MEMORY
    assert state.trials[0].message == "CUDA out of memory"


def test_a_trial_that_may_halves_its_micro_batches_until_they_are_two_images():
    """Two workers take 64 images each."""
    state = state_of_one(auto_micro_batch=True)
    seen = []
    while state.trials[0].outcome is None:
        state.replay(decisions.after_fault(state, 0, Fault.OUT_OF_MEMORY, "CUDA out of memory", workers=2)[0])
        seen.append(state.trials[0].config["accumulate"])
    assert seen == [2, 4, 8, 16, 32, 32]
    assert [epoch for epoch, _ in state.trials[0].halvings] == [1] * 5  # each time it goes on after its checkpoint
    assert state.trials[0].outcome_in_words == "out_of_memory (32 micro-batches after epoch 1)"
    assert state.trials[0].outcome is Outcome.OUT_OF_MEMORY
    assert state.trials[0].restarts == 0


def test_restarts_that_only_the_group_has_seen_count_too():
    """The group went on by itself after each loss; the driver hears of that with what comes next."""
    state = state_of_one()
    losses = Losses(total=2, deaths=2, fault=Fault.WORKERS_DIED, message="killed")
    assert decisions.after_restarts(state, 0, Losses()) == []
    state.replay(decisions.after_restarts(state, 0, losses))
    assert (state.trials[0].restarts, state.trials[0].deaths) == (2, 2)
    assert decisions.after_restarts(state, 0, losses) == []

    unheard = state_of_one()
    events, pause = decisions.after_fault(unheard, 0, Fault.WORKERS_DIED, "killed", losses)
    assert not pause
    assert events[0] == WorkersRestarted(trial=0, restarts=3, epoch=1, reason="killed", fault="workers_died", deaths=3)
    assert isinstance(events[1], TrialEnded)
    assert events[1].outcome is Outcome.FAILED


def lose_workers(state, number, fault=Fault.WORKERS_DIED):
    """Why the study pauses after it, if it does."""
    events, pause = decisions.after_fault(state, number, fault, "gone")
    state.replay(events)
    return pause


def test_a_new_checkpoint_makes_up_for_deaths_before_it():
    """Three deaths with progress in between end no trial; three without do."""
    state = make_state(num_trials=1)
    begin(state, 0)
    for epoch in (1, 2, 3):
        assert lose_workers(state, 0) == ""
        run_epoch(state, 0, epoch, 0.5)
    assert state.trials[0].outcome is None
    assert state.trials[0].restarts == 3
    for _ in range(MAX_DEATHS):
        assert state.trials[0].outcome is None
        lose_workers(state, 0)
    assert state.trials[0].outcome is Outcome.FAILED


def test_three_losses_in_a_row_of_any_trials_pause_the_study_and_end_none():
    state = make_state(num_trials=4)
    for number in range(4):
        begin(state, number)
    assert lose_workers(state, 0, Fault.STORAGE) == ""
    assert lose_workers(state, 1, Fault.STORAGE) == ""
    run_epoch(state, 2, 1, 0.5)
    assert lose_workers(state, 3, Fault.STORAGE) == ""
    assert lose_workers(state, 0, Fault.NODE_DIED) == "", "counted apart"
    assert lose_workers(state, 0, Fault.STORAGE) == ""
    assert "3 losses in a row" in lose_workers(state, 1, Fault.STORAGE)
    assert len(state.unfinished) == 4
    # Whoever starts it again has mended something.
    state.apply(DriverStarted(pid=1, versions={}))
    assert lose_workers(state, 1, Fault.STORAGE) == ""


def test_a_torn_checkpoint_costs_the_epochs_since_the_one_before_it():
    state = make_state(num_trials=1)
    begin(state, 0)
    for epoch in (1, 2, 3):
        run_epoch(state, 0, epoch, 0.1 * epoch)
    state.replay(decisions.superfluous_checkpoints(state))
    seen = []
    while (assignment := state.next([])).checkpoint:
        seen.append((assignment.epoch, assignment.checkpoint))
        lose_workers(state, 0, Fault.CHECKPOINT)
    assert seen == [(3, "/storage/0/3"), (2, "/storage/0/2")]
    assert (assignment.epoch, assignment.restarts) == (0, 0)
    # What is done again keeps what it had, whatever comes of it now, and gives the checkpoint that is missing.
    told = decisions.after_epoch(state, 0, 2, {"epoch": 2, "val_accuracy": 0.9}, "/storage/0/2")
    stored = CheckpointStored(trial=0, epoch=2, checkpoint="/storage/0/2")
    assert told == (Decision.CONTINUE, [stored])
    state.apply(stored)
    assert state.trials[0].epochs[1]["val_accuracy"] == pytest.approx(0.2)
    assert (state.next([]).epoch, state.next([]).checkpoint) == (2, "/storage/0/2")
    assert decisions.after_epoch(state, 0, 2, {"epoch": 2, "val_accuracy": 0.9}, "/storage/0/2")[1] == []


def test_failed_trials_can_be_tried_again_from_what_they_have():
    state = make_state(num_trials=2)
    begin(state, 0)
    run_epoch(state, 0, 1, 0.5)
    state.replay(decisions.after_fault(state, 0, Fault.RAISED, "a bug, mended since")[0])
    run_to_the_end(state, 1, 0.4)
    assert state.is_over()
    state.replay(decisions.reopenings(state))
    assert not state.is_over()
    assert (state.next([]).number, state.next([]).epoch) == (0, 1)
    for epoch in range(2, EPOCHS + 1):
        run_epoch(state, 0, epoch, 0.6)
    assert [trial.outcome for trial in state.ranking()] == [Outcome.COMPLETED] * 2
    assert decisions.reopenings(state) == []


def test_who_is_stopped_and_who_goes_on_at_a_rung_is_told_why():
    state = make_state(scheduler=Asha(2, 2))
    for number in (0, 1):
        begin(state, number)
        assert [event.reason for event in run_epoch(state, number, 1, 0.5)[1]] == [""]
    assert run_epoch(state, 0, 2, 0.5)[1][0].reason == "1st of 1 after epoch 2, 1 goes on"
    epoch, end = run_epoch(state, 1, 2, 0.4)[1]
    assert (epoch.decision, epoch.reason) == (Decision.STOP, "2nd of 2 after epoch 2, 1 goes on")
    assert (end.outcome, end.message) == (Outcome.STOPPED, epoch.reason)


def test_the_precision_of_a_trial_is_that_of_its_last_epoch():
    state = make_state()
    begin(state, 0)
    for epoch, precision in enumerate(("bf16", "fp32"), start=1):
        state.replay(decisions.after_epoch(state, 0, epoch, {"val_accuracy": 0.5}, None, precision)[1])
    assert state.trials[0].precision == "fp32"


@pytest.mark.parametrize("seed", range(5))
def test_what_is_kept_up_to_date_is_what_a_look_at_all_trials_finds(seed):
    """Trials that end in every way, that go on, that drop checkpoints, in an order by chance."""
    chance = random.Random(seed)
    state = make_state(num_trials=20, scheduler=Asha(2, 1), keep=2)
    for _ in range(300):
        act(state, chance)
        trials = list(state.trials.values())
        unfinished = [trial for trial in trials if trial.outcome is None]
        assert list(state.unfinished.values()) == unfinished
        assert sorted(trial.number for trial in state.ended) == [t.number for t in trials if t.outcome is not None]
        assert state.is_over() == (not unfinished and len(trials) == 20)
        assert state.remaining() == len(unfinished) + 20 - len(trials)
        assert state.epochs_done == sum(len(trial.epochs) for trial in trials)
        assert state.seconds_trained == sum(trial.seconds for trial in trials) == 2.0 * state.epochs_done
        ranked = sorted(trials, key=rank)
        assert state.ranking() == ranked
        assert state.best() == next((trial for trial in ranked if trial.epochs), None)
        for epoch in range(1, EPOCHS + 1):
            reached = sorted(trial.scores[epoch - 1] for trial in trials if trial.epoch >= epoch)
            assert list(state.scores_after(epoch)) == reached
        keep = {t.number for t in [t for t in ranked if t.outcome is not None and t.checkpoints][:2]}
        superfluous = {
            (trial.number, epoch)
            for trial in trials
            for epoch in trial.checkpoints
            if epoch not in sorted(trial.checkpoints)[-1 if trial.outcome else -2 :]
            or (trial.outcome is not None and trial.number not in keep)
        }
        assert {(event.trial, event.epoch) for event in decisions.superfluous_checkpoints(state)} == superfluous


def act(state, chance):
    """Something happens in a study."""
    kind = chance.choice(["new", "epoch", "epoch", "epoch", "epoch", "fault", "drop"])
    if kind == "new" and len(state.trials) < state.budget:
        begin(state, len(state.trials))
    elif kind == "drop":
        state.replay(decisions.superfluous_checkpoints(state))
    elif state.unfinished:
        trial = state.unfinished[chance.choice(sorted(state.unfinished))]
        if kind == "epoch":
            run_epoch(state, trial.number, trial.epoch + 1, round(chance.random(), 1))
        elif kind == "fault":
            state.replay(decisions.after_fault(state, trial.number, chance.choice(list(Fault)), "bad luck")[0])


def rank(trial):
    score = trial.score if trial.outcome is not Outcome.DIVERGED and trial.epochs else float("-inf")
    return trial.outcome is not Outcome.COMPLETED, -trial.epoch, -score, trial.number


def fail(state, number, line=7, message=None):
    """Of a trial in its first epoch; why the study pauses after it, if it does."""
    begin(state, number)
    trace = f'Traceback:\n  File "a.py", line {line}, in forward\nValueError: {number} does not fit'
    events, pause = decisions.after_fault(state, number, Fault.RAISED, message or trace)
    state.replay(events)
    return pause


def test_a_study_whose_first_three_trials_fail_alike_pauses_with_the_cause():
    state = make_state()
    assert [bool(fail(state, number)) for number in range(2)] == [False, False]
    pause = fail(state, 2)
    assert "3 trials in a row failed alike in their first epoch" in pause
    assert "(ValueError: 2 does not fit)" in pause
    assert [trial.outcome for trial in state.ended] == [Outcome.FAILED] * 3


def test_failures_of_different_causes_or_with_an_epoch_between_them_pause_nothing():
    state = make_state(num_trials=20)
    assert not any(fail(state, number, line=number) for number in range(4))
    assert not any(fail(state, number) for number in (4, 5))
    begin(state, 6)
    run_epoch(state, 6, 1, 0.5)
    assert not any(fail(state, number) for number in (7, 8))
    # By another driver: somebody may have mended it.
    state.replay([DriverStarted(pid=1, versions={})])
    assert not any(fail(state, number) for number in (9, 10))


def test_equal_failures_pause_nothing_once_a_trial_has_completed_or_after_the_first_epoch():
    state = make_state(num_trials=20)
    run_to_the_end(state, 0, 0.5)
    assert not any(fail(state, number) for number in range(1, 6))
    state = make_state(num_trials=20)
    for number in range(4):
        begin(state, number)
        run_epoch(state, number, 1, 0.5)
    for number in range(4):
        events, pause = decisions.after_fault(state, number, Fault.RAISED, "ValueError: late")
        state.replay(events)
        assert not pause


def test_the_next_driver_counts_equal_failures_anew_and_reads_the_same_in_the_journal():
    state = make_state()
    for number in range(3):
        fail(state, number)
    assert state.failures_alike(state.trials[2].message) == 3
    state.replay([DriverStarted(pid=1, versions={})])
    assert state.failures_alike(state.trials[2].message) == 0

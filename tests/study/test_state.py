"""Decisions of a study, without Ray, files or clocks."""

import json

import pytest

from cifarray.config import TrainConfig, override
from cifarray.space.domains import choice, log_uniform
from cifarray.space.space import SearchSpace
from cifarray.study.schedulers.asha import Asha
from cifarray.study.state import MAX_RESTARTS, StudyState, outcome_event
from cifarray.study.trial_record import Decision, Metric, Outcome

EPOCHS = 4


def make_state(num_trials=6, scheduler=None, searcher="random", keep=2):
    base = TrainConfig(epochs=EPOCHS)
    domains = {"optimizer.lr": log_uniform(0.01, 1.0), "batch_size": choice(64, 128)}
    return StudyState(SearchSpace("toy", base, domains), num_trials, searcher, scheduler, seed=0, keep_checkpoints=keep)


def begin(state, number):
    params = state.sample(number)
    config = state.space.config(params).to_dict()
    event = {"kind": "trial", "trial": number, "params": params, "config": config, "num_params": 1, "macs": 1}
    events = [event, {"kind": "start", "trial": number, "attempt": 1, "group": "g", "epoch": 0}]
    state.replay(events)
    return events


def run_epoch(state, number, epoch, accuracy):
    address = f"/store/{number}/{epoch}"
    decision, events = state.after_epoch(number, epoch, {"epoch": epoch, "val_accuracy": accuracy}, address)
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
    state = make_state(len(accuracies), Asha(3, 1))
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
    again.replay(json.loads(json.dumps(events)))
    assert again.ranking() == state.ranking()
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
    assert state.next_number(running=[]) == 1
    assignment = state.assignment(1)
    assert (assignment.epoch, assignment.checkpoint, assignment.attempt) == (2, "/store/1/2", 2)
    assert state.next_number(running=[1]) == 2


def test_a_study_is_over_when_every_trial_has_an_outcome():
    state = make_state(num_trials=2)
    run_to_the_end(state, 0, 0.5)
    begin(state, 1)
    assert not state.is_over()
    assert state.next_number(running=[1]) is None
    state.apply(outcome_event(1, Outcome.DIVERGED))
    assert state.is_over()


def test_a_grid_ends_with_its_last_point():
    base = TrainConfig(epochs=1)
    space = SearchSpace("grid", base, {"batch_size": choice(64, 128)})
    assert StudyState(space, 20, "grid", None, seed=0).budget == 2


def test_the_third_loss_of_its_workers_ends_a_trial():
    state = make_state()
    begin(state, 0)
    for _ in range(MAX_RESTARTS - 1):
        state.replay(state.after_loss(0, "killed"))
        assert state.trials[0].outcome is None
    state.replay(state.after_loss(0, "killed"))
    assert state.trials[0].outcome is Outcome.FAILED
    assert "lost 3 times: killed" in state.trials[0].message


def test_an_outcome_that_a_crash_cut_off_is_repaired():
    state = make_state()
    events = run_to_the_end(state, 0, 0.5)
    assert events[-1]["kind"] == "outcome"
    again = make_state()
    again.replay(events[:-1])
    assert again.repairs() == events[-1:]
    again.replay(again.repairs())
    assert again.repairs() == []


def test_best_trials_and_unfinished_ones_keep_their_newest_checkpoint():
    state = make_state(keep=2)
    for number, accuracy in enumerate([0.3, 0.5, 0.4]):
        run_to_the_end(state, number, accuracy)
    begin(state, 3)
    run_epoch(state, 3, 1, 0.1)
    run_epoch(state, 3, 2, 0.1)
    dropped = state.superfluous_checkpoints()
    state.replay(dropped)
    kept = {number: sorted(trial.checkpoints) for number, trial in state.trials.items()}
    assert kept == {0: [], 1: [EPOCHS], 2: [EPOCHS], 3: [2]}
    assert {event["checkpoint"] for event in dropped} >= {"/store/0/4", "/store/1/1", "/store/3/1"}


def test_completed_trials_rank_before_stopped_and_diverged_ones():
    state = make_state()
    run_to_the_end(state, 0, 0.5)
    run_to_the_end(state, 1, 0.6)
    begin(state, 2)
    run_epoch(state, 2, 1, 0.99)
    state.apply(outcome_event(2, Outcome.STOPPED))
    begin(state, 3)
    state.apply(outcome_event(3, Outcome.DIVERGED))
    assert [trial.number for trial in state.ranking()] == [1, 0, 2, 3]


@pytest.mark.parametrize("searcher", ["random", "tpe"])
def test_a_study_that_was_cut_off_anywhere_samples_the_same_trials(searcher):
    def run(cut):
        state, events = make_state(14, searcher=searcher), []
        for number in range(14):
            if number == cut:
                state = make_state(14, searcher=searcher)
                state.replay(json.loads(json.dumps(events)))
            events += run_to_the_end(state, number, accuracy=state.sample(number)["optimizer.lr"])
        return [trial.params for trial in state.trials.values()]

    assert run(cut=12) == run(cut=5) == run(cut=None)


def test_where_less_is_better_the_smallest_ranks_first_and_asha_stops_the_largest():
    state = make_state(scheduler=Asha(2, 1))
    state.metric = Metric("val_loss")
    for number, loss in enumerate((0.5, 0.9, 0.2)):
        begin(state, number)
        _, events = state.after_epoch(number, 1, {"epoch": 1, "val_loss": loss}, None)
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


def out_of_memory_state(**fields):
    base = override(TrainConfig(epochs=EPOCHS, batch_size=128), fields)
    state = StudyState(SearchSpace("toy", base), 1, "random", None, seed=0)
    begin(state, 0)
    run_epoch(state, 0, 1, 0.5)
    return state


def test_a_trial_out_of_memory_has_ended():
    state = out_of_memory_state()
    state.replay(state.after_out_of_memory(0, 2, "CUDA out of memory"))
    assert state.trials[0].outcome is Outcome.OUT_OF_MEMORY
    assert state.trials[0].message == "CUDA out of memory"


def test_a_trial_that_may_halves_its_micro_batches_until_they_are_two_images():
    """Two workers take 64 images each."""
    state = out_of_memory_state(auto_micro_batch=True)
    seen = []
    while state.trials[0].outcome is None:
        state.replay(state.after_out_of_memory(0, 2, "CUDA out of memory"))
        seen.append(state.trials[0].config["accumulate"])
        assert state.assignment(0).epoch == 1  # goes on after its checkpoint
    assert seen == [2, 4, 8, 16, 32, 32]
    assert state.trials[0].ending == "out_of_memory (32 micro-batches after epoch 1)"
    assert state.trials[0].outcome is Outcome.OUT_OF_MEMORY
    assert state.trials[0].restarts == 0

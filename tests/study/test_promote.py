"""ASHA that pauses and promotes, against algorithm 2 of the paper (arXiv:1810.05934) written out."""

import pytest
from histories import epoch_ended, sampled, started

from cifarray.config import TrainConfig
from cifarray.space.domains import log_uniform
from cifarray.space.space import SearchSpace
from cifarray.study import decisions
from cifarray.study.faults import Fault
from cifarray.study.schedulers import Promote
from cifarray.study.state import StudyState
from cifarray.study.trial_record import Decision, Outcome

EPOCHS = 9
"""Rungs of η = 3 after epochs 1 and 3."""


def make_state(num_trials=20, **settings):
    space = SearchSpace("toy", TrainConfig(epochs=EPOCHS), {"optimizer.lr": log_uniform(0.01, 1.0)})
    return StudyState(space, num_trials, scheduler=Promote(**settings))


def run(state, accuracy, steps=10_000):
    """One group: what it is given until it is told to leave. Yields (trial, epoch) of each start."""
    for _ in range(steps):
        assignment = state.next(running=[])
        if assignment is None:
            return
        number = assignment.number
        if number not in state.trials:
            state.apply(sampled(number, {"optimizer.lr": 0.01 * (number + 1)}, TrainConfig(epochs=EPOCHS).to_dict()))
        state.apply(started(number, assignment.epoch))
        yield number, assignment.epoch
        decision = Decision.CONTINUE
        while decision is Decision.CONTINUE:
            epoch = state.trials[number].epoch + 1
            metrics = {"epoch": epoch, "val_accuracy": accuracy(number, epoch)}
            decision, events = decisions.after_epoch(state, number, epoch, metrics, f"/{number}/{epoch}")
            state.replay(events)


def algorithm_2(accuracy, num_trials, eta=3, rungs=(1, 3, 9)):
    """What one worker does, from the paper."""
    results, promoted, new = [{} for _ in rungs], [set() for _ in rungs], 0
    while True:
        for rung in range(len(rungs) - 2, -1, -1):
            ranked = sorted(results[rung], key=lambda trial: (-results[rung][trial], trial))
            ready = [trial for trial in ranked[: len(ranked) // eta] if trial not in promoted[rung]]
            if ready:
                trial = ready[0]
                promoted[rung].add(trial)
                yield trial, rungs[rung]
                results[rung + 1][trial] = accuracy(trial, rungs[rung + 1])
                break
        else:
            if new == num_trials:
                return
            yield new, 0
            results[0][new] = accuracy(new, 1)
            new += 1


def scattered(number, epoch):
    return (number * 367 % 1000 / 1000 + 0.1 * (number * 91 % 7) / 7 * epoch / EPOCHS) * (1 - 0.5**epoch)


def test_one_group_is_given_what_algorithm_2_gives_it():
    expected = list(algorithm_2(scattered, 40))
    assert list(run(make_state(40), scattered))[: len(expected)] == expected


def test_equal_trials_are_promoted_in_order_and_no_more_of_them_than_of_others():
    """All at chance: of 9 at a rung 3 go on, the first three."""
    state = make_state(9)
    starts = list(run(state, lambda number, epoch: 0.1))
    assert [number for number, epoch in starts if epoch == 1] == [0, 1, 2]
    assert [number for number, epoch in starts if epoch == 3] == [0]


def test_of_few_trials_one_runs_to_its_end_and_the_others_are_over():
    state = make_state(2)
    list(run(state, lambda number, epoch: 0.5 + number / 10))
    assert {number: trial.outcome for number, trial in state.trials.items()} == {0: None, 1: Outcome.COMPLETED}
    assert not state.is_over()
    state.replay(decisions.closings(state, running=[]))
    assert state.is_over()
    assert (state.trials[0].outcome, state.trials[0].message) == (
        Outcome.STOPPED,
        "paused after epoch 1 of 9, others were given preference",
    )


def test_nothing_is_over_while_something_runs():
    state = make_state(2)
    for number in (0, 1):
        state.replay([sampled(number, config=TrainConfig(epochs=EPOCHS).to_dict()), started(number)])
    state.apply(epoch_ended(0, 1, "/0/1", decision="pause", val_accuracy=0.5))
    assert state.next(running=[1]) is None
    assert decisions.closings(state, running=[1]) == []


def test_what_is_promoted_has_its_checkpoint_and_says_why():
    state = make_state(9)
    for number in range(3):
        state.replay([sampled(number, config=TrainConfig(epochs=EPOCHS).to_dict()), started(number)])
        state.apply(epoch_ended(number, 1, f"/{number}/1", decision="pause", val_accuracy=0.5 + number / 100))
    assignment = state.next(running=[])
    assert (assignment.number, assignment.epoch, assignment.checkpoint) == (2, 1, "/2/1")
    assert assignment.reason == "1st of 3 after epoch 1"


def test_a_trial_that_has_not_left_its_group_yet_is_neither_promoted_nor_over():
    state = make_state(3)
    for number in range(3):
        state.replay([sampled(number, config=TrainConfig(epochs=EPOCHS).to_dict()), started(number)])
        state.apply(epoch_ended(number, 1, f"/{number}/1", decision="pause", val_accuracy=0.5))
    assert state.next(running=[0, 1]) is None
    assert state.next(running=[1]).number == 0
    assert decisions.closings(state, running=[1]) == []


def test_a_trial_that_was_interrupted_comes_before_all_that_are_paused():
    state = make_state(9)
    for number in range(4):
        state.replay([sampled(number, config=TrainConfig(epochs=EPOCHS).to_dict()), started(number)])
        if number < 3:
            state.apply(epoch_ended(number, 1, f"/{number}/1", decision="pause", val_accuracy=0.5))
    assert state.next(running=[]).number == 3


def test_a_pause_is_kept_until_the_trial_is_started_again_and_costs_one_checkpoint():
    state = make_state(9)
    state.replay([sampled(0, config=TrainConfig(epochs=EPOCHS).to_dict()), started(0)])
    state.apply(epoch_ended(0, 1, "/0/1", decision="continue", val_accuracy=0.5))
    state.apply(epoch_ended(0, 2, "/0/2", decision="continue", val_accuracy=0.5))
    assert decisions.superfluous_checkpoints(state) == []
    state.apply(epoch_ended(0, 3, "/0/3", decision="pause", val_accuracy=0.5))
    assert (state.trials[0].is_paused, state.trials[0].standing) == (True, "paused")
    assert [event.epoch for event in decisions.superfluous_checkpoints(state)] == [1, 2]
    state.apply(started(0, epoch=3))
    assert (state.trials[0].is_paused, state.trials[0].standing) == (False, "unfinished")


def test_a_trial_that_lost_the_checkpoint_of_its_pause_passes_it_by_when_it_comes_there_again():
    """It was told to go on; paused again, it would never get further."""
    state = make_state(9)
    state.replay([sampled(0, config=TrainConfig(epochs=EPOCHS).to_dict()), started(0)])
    state.apply(epoch_ended(0, 1, "/0/1", decision="pause", val_accuracy=0.5))
    state.apply(started(0, epoch=1))
    events, _ = decisions.after_fault(state, 0, Fault.CHECKPOINT, "/0/1 is gone")
    state.replay(events)
    assert state.next(running=[]).epoch == 0
    decision, _ = decisions.after_epoch(state, 0, 1, {"val_accuracy": 0.5}, "/0/1")
    assert decision is Decision.CONTINUE


@pytest.mark.parametrize("settings", [{"reduction_factor": 1}, {"grace_epochs": 0}])
def test_impossible_settings_are_refused(settings):
    with pytest.raises(ValueError, match="choose"):
        Promote(**settings)

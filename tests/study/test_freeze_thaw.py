"""Freeze-thaw: its rungs, what it begins with, what it chooses, what it spends, and that a journal tells it all."""

import itertools
import math
import random
import time
from dataclasses import replace

import pytest
from histories import epoch_ended, sampled, started
from one_group import carry_out

from cifarray.config import TrainConfig, override
from cifarray.journal.events import from_json, to_json
from cifarray.space.domains import choice, log_uniform, uniform
from cifarray.space.features import Features
from cifarray.space.space import SearchSpace
from cifarray.study.events import EpochEnded, TrialEnded, TrialSampled, TrialStarted
from cifarray.study.gaussian_process import Posterior
from cifarray.study.schedulers import FreezeThaw, from_settings, observed
from cifarray.study.state import StudyState
from cifarray.study.trial_record import Decision, Metric, Outcome

EPOCHS = 12
BASE = override(TrainConfig(epochs=EPOCHS), {"optimizer.lr": 0.05, "label_smoothing": 0.1, "precision": "bf16"})
DOMAINS = {
    "optimizer.lr": log_uniform(0.001, 1.0),
    "label_smoothing": uniform(0.0, 0.5),
    "precision": choice("fp32", "bf16"),
}
SPACE = SearchSpace("toy", BASE, DOMAINS)


def make_state(num_trials=25, space=SPACE, seed=0, **settings):
    return StudyState(space, num_trials, scheduler=FreezeThaw(**settings), seed=seed)


def learns(params, epoch):
    """The nearer the rate is to 0.1 the better; after the last epoch at most 90 %."""
    miss = abs(math.log10(params["optimizer.lr"]) + 1) + params["label_smoothing"] / 2
    return (0.9 - 0.25 * miss) * (1 - 0.6 ** (1 + 8 * epoch / EPOCHS))


def decided(events):
    """What a study decided, without what hangs on how often it was interrupted."""
    kinds = (TrialSampled, EpochEnded, TrialEnded)
    return [to_json(event) for event in events if isinstance(event, kinds)]


@pytest.mark.parametrize(
    ("grace", "epochs", "rungs"),
    [
        (1, 40, (1, 2, 3, 5, 10, 20)),
        (7, 200, (7, 13, 25, 50, 100)),
        (8, 200, (13, 25, 50, 100)),
        (1, 27, (1, 2, 4, 7, 14)),
        (1, 2, (1,)),
        (1, 1, ()),
    ],
)
def test_rungs_are_the_halves_of_the_epochs_rounded_up(grace, epochs, rungs):
    assert FreezeThaw(grace).rungs(epochs) == rungs
    assert FreezeThaw(grace, full_runs=True).rungs(epochs) == ()


def test_the_base_point_comes_first_and_runs_to_its_end():
    events = list(carry_out(make_state(), learns))
    first = next(event for event in events if isinstance(event, TrialSampled))
    assert first.params == {"optimizer.lr": 0.05, "label_smoothing": 0.1, "precision": "bf16"}
    epochs = [event for event in events if isinstance(event, EpochEnded)][:EPOCHS]
    assert [(event.trial, event.epoch) for event in epochs] == [(0, epoch) for epoch in range(1, EPOCHS + 1)]
    assert {event.decision for event in epochs[:-1]} == {Decision.CONTINUE}


def test_the_next_eight_are_spread_over_the_space_and_go_to_the_first_rung():
    """Of eight points of a balanced sequence one is in each eighth of every range."""
    starts = [event for event in carry_out(make_state(), learns) if isinstance(event, TrialStarted)]
    assert [(event.trial, event.epoch) for event in starts[:9]] == [(number, 0) for number in range(9)]
    state = make_state()
    list(carry_out(state, learns))
    shares = [(math.log10(state.trials[number].params["optimizer.lr"]) + 3) / 3 for number in range(1, 9)]
    assert sorted(int(8 * share) for share in shares) == list(range(8))
    assert len({state.trials[number].params["label_smoothing"] * 16 // 1 for number in range(1, 9)}) == 8


def test_of_the_first_points_the_cheapest_come_first():
    state = make_state()
    state.macs_of = lambda params: round(1e6 * params["label_smoothing"])
    list(carry_out(state, learns))
    costs = [state.trials[number].params["label_smoothing"] for number in range(1, 9)]
    assert costs == sorted(costs)


def test_every_other_trial_pauses_at_every_rung():
    events = [event for event in carry_out(make_state(), learns) if isinstance(event, EpochEnded) and event.trial]
    at_rungs = [event for event in events if event.epoch in (1, 2, 3, 6)]
    assert {event.decision for event in at_rungs} == {Decision.PAUSE}
    assert {event.decision for event in events if event not in at_rungs and event.epoch < EPOCHS} == {Decision.CONTINUE}
    assert at_rungs[0].reason == "2nd of 2 after epoch 1"


def test_it_finds_a_better_point_than_its_first_ones_and_runs_it_to_its_end():
    """Best of all is 0.9 · (1 − 0.6⁹) = 0.891, at a rate of 0.1 without smoothing."""
    for seed in range(3):
        state = make_state(seed=seed)
        list(carry_out(state, learns))
        best = state.best()
        assert best.outcome is Outcome.COMPLETED
        assert best.value > 0.86 > max(state.trials[number].epochs[-1]["val_accuracy"] for number in range(9))


def test_it_spends_what_successive_halving_of_its_trials_would():
    """The base point's 12, then for 25 trials and rungs 1, 2, 3, 6, 12: 25 · 1 + 13 · 1 + 7 · 1 + 4 · 3 + 2 · 6."""
    assert FreezeThaw().epochs_at_most(25, EPOCHS) == 12 + 25 + 13 + 7 + 12 + 12
    state = make_state()
    events = list(carry_out(state, learns))
    assert 81 <= state.epochs_done < 81 + 6
    left = [trial for trial in state.trials.values() if trial.outcome is Outcome.STOPPED]
    assert left
    assert all(
        trial.message == f"paused after epoch {trial.epoch} of 12, others were given preference" for trial in left
    )
    assert len(state.trials) + len(left) > 10
    assert state.is_over()
    assert isinstance(events[-1], TrialEnded)


def test_more_trials_go_on_where_fewer_were_over():
    state = make_state(10)
    events = list(carry_out(state, learns))
    more = make_state(20)
    more.replay(events)
    assert not more.is_over()
    begun = len(more.trials)
    list(carry_out(more, learns))
    assert len(more.trials) > begun


def test_few_trials_are_no_more_than_all_of_their_epochs():
    assert FreezeThaw().epochs_at_most(2, EPOCHS) == 24
    assert FreezeThaw(full_runs=True).epochs_at_most(2, EPOCHS) is None


@pytest.mark.parametrize("full_runs", [False, True])
def test_a_study_that_was_killed_anywhere_decides_what_it_would_have_decided(full_runs):
    """After each event in turn: before a trial's first epoch, between epochs, at a pause, before its start again."""
    whole = list(carry_out(make_state(16, full_runs=full_runs), learns))
    for cut in range(1, len(whole)):
        state = make_state(16, full_runs=full_runs)
        before = [from_json(to_json(event)) for event in whole[:cut]]
        state.replay(before)
        # What a crash cut off after the epoch that implies it is repaired by the engine.
        ends = [
            TrialEnded(trial=trial.number, outcome=trial.outcome, message=trial.message)
            for trial in state.ended
            if not trial.outcome_recorded
        ]
        state.replay(ends)
        # Only as far as to the next few decisions, but for some.
        rest = carry_out(state, learns)
        after = list(rest) if cut % 20 == 0 else [event for event, _ in zip(rest, range(12), strict=False)]
        found = decided([*before, *ends, *after])
        assert found == decided(whole)[: len(found)], f"after event {cut}"


def test_how_long_epochs_took_decides_nothing():
    """A machine that is busy, or another one, would otherwise make another study of it."""
    space = SPACE
    whole = list(
        carry_out(make_state(16, space), learns, macs=lambda params: 1 + round(100 * params["label_smoothing"]))
    )
    source = random.Random(0)

    def as_another_machine(event):
        if not isinstance(event, EpochEnded):
            return event
        return replace(event, metrics={**event.metrics, "epoch_seconds": 10 ** source.uniform(-1, 2)})

    starts = [place for place, event in enumerate(whole) if isinstance(event, TrialStarted)]
    for place in starts[::3]:
        began = whole[place]
        state = make_state(16)
        # Without the trial that is sampled in the same go.
        before = whole[: place - isinstance(whole[place - 1], TrialSampled)]
        state.replay(map(as_another_machine, before))
        chosen = state.next(running=[])
        assert (chosen.number, chosen.epoch) == (began.trial, began.epoch)
        if chosen.params is not None:
            assert chosen.params == whole[place - 1].params


def test_hyperparameters_are_fitted_after_fixed_numbers_of_observations(monkeypatch):
    """After 5 and each time 1.4 times as many, rounded up; here the model is first asked when base point and design
    have given 5 + 8. So a study that goes on has the same as one that never stopped."""
    fits = []

    def watched(observations):
        fits.append(len(observations))
        return fit(observations)

    fit = observed.fit
    monkeypatch.setattr(observed, "fit", watched)
    list(carry_out(make_state(), learns))
    assert len(fits) > 2
    assert fits == [10, 14, 20, 28, 40, 56][: len(fits)]


def test_a_point_that_diverges_is_no_model_for_others():
    """All rates above 0.3 diverge in their second epoch: of those that are chosen later hardly one is among them."""

    def diverges(params, epoch):
        return None if params["optimizer.lr"] > 0.3 and epoch == 2 else learns(params, epoch)

    chosen = []
    for seed in range(3):
        state = make_state(40, seed=seed)
        list(carry_out(state, diverges))
        assert state.best().outcome is Outcome.COMPLETED
        chosen += [state.trials[number].params["optimizer.lr"] > 0.3 for number in range(14, len(state.trials))]
    # Of points that are spread evenly a sixth would be.
    assert sum(chosen) / len(chosen) < 1 / 12


def test_where_all_diverge_all_trials_are_tried_and_it_ends():
    state = make_state(30)
    list(carry_out(state, lambda params, epoch: None))
    assert len(state.trials) == 30
    assert {trial.outcome for trial in state.trials.values()} == {Outcome.DIVERGED}


def test_where_all_are_alike_it_comes_to_an_end():
    """Ten per cent, as from networks that have learnt nothing; and nothing but noise."""
    noise = random.Random(0)
    for curve in (lambda params, epoch: 0.1, lambda params, epoch: noise.uniform(0.1, 0.9)):
        state = make_state()
        list(carry_out(state, curve))
        assert state.is_over()
        assert state.best().outcome is Outcome.COMPLETED


def test_losses_are_as_good_as_accuracies():
    state = StudyState(SPACE, 25, scheduler=FreezeThaw(), metric=Metric("val_loss"))
    list(carry_out(state, lambda params, epoch: 1 - learns(params, epoch)))
    assert state.best().value < 1 - 0.87


def test_where_there_is_too_little_to_compare_ranks_decide():
    """Nine trials run or are paused with four observations: of two at a rung one goes on, else there is a new one."""
    state = make_state()
    for number in range(9):
        params = dict(state.next(running=range(number)).params)
        state.replay([sampled(number, params, state.space.config(params).to_dict()), started(number)])
    for number in (1, 2):
        state.apply(epoch_ended(number, 1, f"/{number}/1", decision="pause", val_accuracy=0.1 * number))
    running = [0, *range(3, 9)]
    chosen = state.next(running)
    assert (chosen.number, chosen.epoch, chosen.reason) == (2, 1, "1st of 2 after epoch 1")
    state.apply(started(2, epoch=1))
    chosen = state.next([*running, 2])
    assert (chosen.number, chosen.epoch) == (9, 0)
    assert chosen.reason == "there is too little to compare yet"


def test_several_groups_are_not_given_the_same():
    state = make_state(40)
    for event in carry_out(state, learns):
        if isinstance(event, EpochEnded) and event.trial == 8:
            break
    running, points = [], []
    for _ in range(6):
        assignment = state.next(running)
        if assignment.number not in state.trials:
            params = dict(assignment.params)
            state.apply(sampled(assignment.number, params, state.space.config(params).to_dict()))
        state.apply(started(assignment.number, assignment.epoch))
        running.append(assignment.number)
        points.append(math.log10(state.trials[assignment.number].params["optimizer.lr"]))
    assert len(set(running)) == 6
    assert max(points) - min(points) > 0.1


def test_what_runs_counts_as_if_it_had_come_out_as_predicted(monkeypatch):
    """So more is known of it, and nothing else is expected of it."""
    state = make_state()
    for event in carry_out(state, learns):
        if isinstance(event, EpochEnded) and event.trial == 8:
            break
    asked = []
    monkeypatch.setattr(FreezeThaw, "_best", lambda self, study, running, seen, posterior: asked.append(posterior))
    state.next(running=[3])
    seen = observed.Observed.of(state, state.scheduler.rungs, Features(SPACE.tree))
    before, after = Posterior(asked[0].logs, seen.standardised), asked[0]
    at_next_rung = seen.rows_of([state.trials[3]], [2])
    (mean, deviation), (mean_then, deviation_then) = before.predict(*at_next_rung), after.predict(*at_next_rung)
    assert mean_then == pytest.approx(mean, abs=1e-4)
    assert deviation_then < 0.9 * deviation


def test_a_new_point_that_is_like_a_trial_is_not_begun():
    """Space of one range: as near as a hundredth of it no two trials are, though all want the same rate."""
    space = SearchSpace("line", TrainConfig(epochs=EPOCHS), {"optimizer.lr": log_uniform(0.001, 1.0)})
    state = make_state(40, space=space)
    list(carry_out(state, lambda params, epoch: learns({**params, "label_smoothing": 0.0}, epoch)))
    shares = sorted((math.log10(trial.params["optimizer.lr"]) + 3) / 3 for trial in list(state.trials.values())[9:])
    assert min(high - low for low, high in itertools.pairwise(shares)) > 0.01


def test_full_runs_never_pause_and_only_finished_trials_are_compared():
    state = make_state(12, full_runs=True)
    events = list(carry_out(state, learns))
    assert not [event for event in events if isinstance(event, EpochEnded) and event.decision is Decision.PAUSE]
    assert state.epochs_done == 12 * EPOCHS
    assert state.best().value > 0.86


def test_limits_of_the_space_hold_for_every_point():
    state = make_state(30)
    state.allowed = lambda params: params["optimizer.lr"] < 0.04
    list(carry_out(state, learns))
    assert len(state.trials) > 9
    assert all(trial.params["optimizer.lr"] < 0.04 for trial in state.trials.values())


def test_a_space_of_few_points_is_searched_to_its_end():
    space = SearchSpace("few", TrainConfig(epochs=3), {"batch_size": choice(32, 64), "mixup": choice(0.0, 0.2)})
    state = make_state(20, space=space)
    list(carry_out(state, lambda params, epoch: params["batch_size"] / 100))
    assert len(state.trials) == 4
    assert len({str(trial.params) for trial in state.trials.values()}) == 4


def test_a_study_of_one_config_is_one_trial():
    state = make_state(1, space=SearchSpace("one", TrainConfig(epochs=3)))
    list(carry_out(state, lambda params, epoch: 0.5))
    assert [trial.outcome for trial in state.trials.values()] == [Outcome.COMPLETED]


def test_it_is_what_its_settings_say():
    assert from_settings(FreezeThaw(3, True).settings()) == FreezeThaw(3, True)
    with pytest.raises(ValueError, match="grace_epochs 0 is not possible: choose 1 or more"):
        FreezeThaw(0)


def test_a_decision_takes_one_core_and_leaves_the_others_to_those_who_train(monkeypatch):
    from threadpoolctl import threadpool_info, threadpool_limits

    seen = []

    def watched(observations):
        seen.extend(library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas")
        return fit(observations)

    fit = observed.fit
    monkeypatch.setattr(observed, "fit", watched)
    with threadpool_limits(2, "blas"):
        list(carry_out(make_state(10), learns))
        after = {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}
    assert (set(seen), after) == ({1}, {2})


def test_a_decision_among_two_thousand_trials_takes_less_than_60_ms():
    state, source = make_state(4000, grace_epochs=1), random.Random(0)
    rungs = FreezeThaw().rungs(EPOCHS)
    for number in range(2000):
        params = state.sample(number)
        state.replay([sampled(number, params, {"epochs": EPOCHS}), started(number)])
        last = min(int(source.expovariate(0.8)), len(rungs) - 1)
        for epoch in range(1, rungs[last] + 1):
            metrics = {"val_accuracy": learns(params, epoch) + source.random() / 100, "epoch_seconds": 10.0}
            decision = "pause" if epoch == rungs[last] else "continue"
            state.apply(epoch_ended(number, epoch, decision=decision, **metrics))
    state.next(running=[])
    seconds = []
    for running in ([], [1], [1, 2], [1, 2, 3]):
        state.once("spread", list, version=-1)  # new points are drawn anew, as after each new trial
        began = time.process_time()
        assert state.next(running) is not None
        seconds.append(time.process_time() - began)
    assert min(seconds) < 0.06

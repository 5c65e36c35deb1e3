"""Finished trials of earlier studies as observations: which are points of a space, who learns from them, and that they
are no trials."""

import math
import statistics

import pytest
from histories import epoch_ended, sampled, started, study_started
from one_group import carry_out

from cifarray.config import TrainConfig, override
from cifarray.journal.events import from_json, to_json
from cifarray.space.domains import choice, log_uniform
from cifarray.space.space import SearchSpace
from cifarray.study.events import EarlierTrials, TrialEnded
from cifarray.study.gaussian_process import Prior
from cifarray.study.schedulers import FreezeThaw, RunAll
from cifarray.study.schedulers.observed import MAX_OBSERVATIONS, MAX_OF_EARLIER, Observed, fitted
from cifarray.study.state import StudyState
from cifarray.study.trial_record import DEFAULT_METRIC, Metric, Outcome
from cifarray.study.warm_start import taken, what_differs

BASE = TrainConfig(epochs=4)
SPACE = SearchSpace("now", BASE, {"optimizer.lr": log_uniform(0.01, 1.0), "batch_size": choice(64, 128)})
OPTIMUM = 0.1


def finished(*configs, outcome=Outcome.COMPLETED, value=0.5, **measured):
    """The state of an earlier study: a trial for each of its configs' changes."""
    state = StudyState(SearchSpace("then", BASE, {"optimizer.lr": log_uniform(1e-4, 10.0)}), 100)
    for number, changes in enumerate(configs):
        config = override(BASE, changes)
        params = {"optimizer.lr": config.optimizer.lr}
        state.replay([sampled(number, params, config.to_dict(), num_params=100, macs=1000), started(number)])
        measured = measured or {"val_accuracy": value}
        state.replay([epoch_ended(number, epoch, None, **measured) for epoch in range(1, config.epochs + 1)])
        state.apply(TrialEnded(trial=number, outcome=outcome))
    return state


def taken_by(space, state, metric=DEFAULT_METRIC):
    return taken(space, metric, "then", study_started("then", data_sha256="d1"), state)


@pytest.mark.parametrize(
    ("changes", "params"),
    [
        ({"optimizer.lr": 0.2, "batch_size": 64}, {"optimizer.lr": 0.2, "batch_size": 64}),
        # What was fixed there may vary here; seed, place of the images and speed are of no consequence.
        ({"optimizer.lr": 0.01}, {"optimizer.lr": 0.01, "batch_size": 128}),
        ({"optimizer.lr": 0.2, "seed": 7}, {"optimizer.lr": 0.2, "batch_size": 128}),
        # When there are checkpoints is no matter.
        ({"checkpoint_every": 2, "checkpoint_minutes": 5.0}, {"optimizer.lr": 0.1, "batch_size": 128}),
        ({"optimizer.lr": 0.2, "data.source": "/a/folder"}, {"optimizer.lr": 0.2, "batch_size": 128}),
        ({"optimizer.lr": 0.2, "channels_last": False}, {"optimizer.lr": 0.2, "batch_size": 128}),
        ({"optimizer.lr": 2.0}, None),
        ({"optimizer.lr": 0.2, "batch_size": 32}, None),
        ({"optimizer.lr": 0.2, "epochs": 5}, None),
        ({"optimizer.lr": 0.2, "data.validation": 0.2}, None),
        ({"optimizer.lr": 0.2, "model.widen_factor": 2}, None),
    ],
)
def test_a_trial_is_taken_as_the_point_that_it_is_here(changes, params):
    event = taken_by(SPACE, finished(changes))
    assert [told["params"] for told in event.trials] == ([params] if params else [])
    assert event.dropped == (params is None)
    if params:
        assert SPACE.config(params).model == override(BASE, changes).model


def test_what_varies_here_alone_is_asked_of_fields_on_a_condition_as_well():
    domains = {
        "schedule.name": choice("cosine", "one_cycle"),
        "schedule.pct_start": choice(0.2, 0.3).when("schedule.name", "one_cycle"),
    }
    space = SearchSpace("now", BASE, domains)
    state = finished({}, {"schedule.name": "one_cycle"}, {"schedule.name": "one_cycle", "schedule.pct_start": 0.4})
    assert [told["params"] for told in taken_by(space, state).trials] == [
        {"schedule.name": "cosine"},
        {"schedule.name": "one_cycle", "schedule.pct_start": 0.3},
    ]


def test_a_seed_that_varies_here_is_part_of_the_point_and_limits_are_kept():
    seeds = SearchSpace("now", BASE, {"seed": choice(0, 1)})
    assert [told["params"] for told in taken_by(seeds, finished({"seed": 1}, {"seed": 2})).trials] == [{"seed": 1}]
    small = SearchSpace("now", BASE, dict(SPACE.domains), max_macs=999)
    assert taken_by(small, finished({"optimizer.lr": 0.2})).dropped == 1


def test_what_failed_or_was_not_measured_teaches_nothing():
    assert taken_by(SPACE, finished({}, outcome=Outcome.FAILED)).trials == ()
    losses = finished({"optimizer.lr": 0.2}, val_loss=1.0)
    assert (taken_by(SPACE, losses).dropped, len(taken_by(SPACE, losses, Metric("val_loss")).trials)) == (1, 1)


def test_why_trials_are_no_points_is_told_by_the_field():
    assert (
        what_differs(SPACE, finished({"epochs": 5}, {"epochs": 5}, {"optimizer.lr": 2.0})) == "epochs 5 there, 4 here"
    )
    assert what_differs(SPACE, finished({"optimizer.lr": 2.0})) == "optimizer.lr 2 there, 0.01..1 (log) here"
    assert what_differs(SPACE, finished({"optimizer.lr": 0.5})) == ""


def quality(params):
    """The best rate is 0.1."""
    return 0.9 - 0.2 * abs(math.log10(params["optimizer.lr"] / OPTIMUM))


def lesson(count=30, space=SPACE):
    """An event of so many completed trials, evenly over the rates."""
    trials = []
    for number in range(count):
        params = {"optimizer.lr": 0.01 * 100 ** (number / (count - 1)), "batch_size": 128}
        values = [quality(params) * (1 - 0.5**epoch) for epoch in range(1, 5)]
        trials.append({"trial": number, "params": params, "epochs": 4, "values": values})
    size = {"outcome": "completed", "num_params": 100, "macs": 1000}
    return EarlierTrials(study="then", id="a", data_sha256="d", trials=[{**trial, **size} for trial in trials])


def state_of(seed, *events, **plan):
    state = StudyState(SPACE, **{"num_trials": 20, "seed": seed, **plan})
    state.replay(events)
    return state


def test_observations_are_no_trials():
    state = state_of(0, lesson(), searcher="tpe")
    assert (len(state.earlier), len(state.trials), state.remaining(), state.epochs_done) == (30, 0, 20, 0)
    assert (state.ranking(), state.best(), state.scores_after(4), state.seconds_trained) == ([], None, (), 0.0)
    assert state.next([]).number == 0
    # What was run there may be run here: the winner is to be of this study.
    assert all(state.is_new(dict(trial.params)) for trial in state.earlier.values())


def distances(plan, *events):
    """How far the first points after the first one are from the best rate, in powers of ten; the median."""
    found = []
    for seed in range(8):
        state = state_of(seed, *events, num_trials=6, **plan)
        list(carry_out(state, lambda params, epoch: quality(params) * (1 - 0.5**epoch)))
        found += [abs(math.log10(state.trials[number].params["optimizer.lr"] / OPTIMUM)) for number in range(1, 5)]
    return statistics.median(found)


@pytest.mark.parametrize(
    "plan", [{"searcher": "tpe", "scheduler": RunAll()}, {"scheduler": FreezeThaw()}], ids=["tpe", "freeze-thaw"]
)
def test_who_learns_from_earlier_trials_begins_where_those_were_good(plan):
    """Uniform in the logarithm over two decades around it, the median distance is half a decade."""
    cold, warm = distances(plan), distances(plan, lesson())
    assert warm < 0.5 * cold


def test_a_study_goes_on_from_its_journal_alone_as_if_never_interrupted():
    def run(cut):
        state, events = state_of(1, scheduler=FreezeThaw()), [lesson()]
        state.replay(events)
        for event in carry_out(state, lambda params, epoch: quality(params) * (1 - 0.5**epoch)):
            events.append(event)
            if len(events) == cut:
                state = state_of(1, *[from_json(to_json(each)) for each in events], scheduler=FreezeThaw())
                events += carry_out(state, lambda params, epoch: quality(params) * (1 - 0.5**epoch))
                break
        return [(trial.number, trial.params, trial.epoch, trial.outcome) for trial in state.trials.values()]

    whole = run(cut=None)
    assert run(cut=23) == run(cut=40) == whole
    assert whole[0][:2] == (0, {"optimizer.lr": 0.1, "batch_size": 128}), "the base point, which is run all the same"


def test_a_journal_gives_back_what_was_learnt():
    event = lesson(5)
    assert from_json(to_json(event)) == event
    assert state_of(0, from_json(to_json(event))) == state_of(0, event)


@pytest.mark.parametrize(("completed", "diverged", "is_fitted"), [(4, 0, False), (5, 0, True), (4, 1, True)])
def test_the_model_is_fitted_to_earlier_trials_as_to_this_studys_own(completed, diverged, is_fitted):
    """To five observations for the first time, of which those that came to nothing are some."""
    trials = [*lesson(6).trials[:completed], *({**each, "values": []} for each in lesson(6).trials[-1:] * diverged)]
    trials = [{**each, "outcome": "completed" if each["values"] else "diverged"} for each in trials]
    state = state_of(0, EarlierTrials(study="then", id="a", data_sha256="d", trials=trials))
    strategy = FreezeThaw(full_runs=True)
    features = strategy._proposals(state).features
    prior = Prior.of(features.num_features).means
    assert (list(fitted(state, strategy.rungs, features)) != list(prior)) == is_fitted


def test_the_same_study_teaches_once():
    state = state_of(0, lesson(5), lesson(5))
    assert (len(state.earlier), len(state.learnt_from)) == (5, 1)


def test_many_earlier_trials_leave_room_for_this_studys_own():
    """Of 200 completed ones and 120 own that have done an epoch each."""
    state = state_of(0, lesson(200), scheduler=FreezeThaw())
    for number in range(120):
        params = {"optimizer.lr": 0.01 * 1.03**number, "batch_size": 64}
        state.replay([sampled(number, params, BASE.to_dict()), epoch_ended(number, 1, val_accuracy=0.3)])
    features = FreezeThaw()._proposals(state).features
    numbers = Observed.of(state, FreezeThaw().rungs, features).standardised.trials
    assert (numbers < 0).sum() == MAX_OF_EARLIER
    assert (numbers >= 0).sum() == MAX_OBSERVATIONS - MAX_OF_EARLIER


def test_what_diverged_there_counts_as_the_worst():
    event = lesson(6)
    bad = {**event.trials[0], "outcome": "diverged", "values": []}
    trials = [*event.trials[1:], bad]
    state = state_of(0, EarlierTrials(study="then", id="a", data_sha256="d", trials=trials), scheduler=FreezeThaw())
    observed = Observed.of(state, FreezeThaw().rungs, FreezeThaw()._proposals(state).features)
    values = observed.standardised.values[observed.standardised.trials == min(state.earlier)]
    assert list(values) == [observed.standardised.values.min()]

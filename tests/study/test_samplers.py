"""Samplers are pure functions of (space, seed, number, history)."""

import json
import math

import pytest

from cifarray.config import TrainConfig
from cifarray.space.domains import cases, choice, integers, log_uniform, uniform
from cifarray.space.space import SearchSpace
from cifarray.study import tpe
from cifarray.study.samplers import EmptySpaceError, Observation, Sampler, point_key, shortage

SPACE = SearchSpace(
    "toy",
    TrainConfig(),
    {
        "optimizer.lr": log_uniform(1e-3, 1.0),
        "schedule.milestones": choice((0.5,), (0.3, 0.6)),
        "batch_size": choice(64, 128),
    },
)


def sample(space, searcher, seed, number, history, allowed=None):
    """By a sampler of its own, as after a restart."""
    tried = {point_key(observation.params) for observation in history}
    return Sampler(space, searcher, seed, allowed).sample(number, history, tried)


def observed(params, value, ended=True, completed=True):
    return Observation(params, (value / 2, value), ended, completed)


def history_of(count, searcher="random"):
    """Trials whose value is best at a rate of 0.1."""
    history = []
    for number in range(count):
        params = sample(SPACE, searcher, 0, number, history)
        history.append(observed(params, 1 - abs(math.log10(params["optimizer.lr"]) + 1)))
    return history


@pytest.mark.parametrize("searcher", ["random", "tpe"])
def test_the_same_question_gets_the_same_answer(searcher):
    history = history_of(12)
    assert sample(SPACE, searcher, 3, 12, history) == sample(SPACE, searcher, 3, 12, history)
    assert sample(SPACE, searcher, 3, 12, history) != sample(SPACE, searcher, 4, 12, history)
    assert sample(SPACE, searcher, 3, 13, history) != sample(SPACE, searcher, 3, 12, history)


def test_grid_walks_through_the_points_in_order():
    space = SearchSpace("grid", TrainConfig(), {"batch_size": choice(64, 128), "epochs": choice(1, 2)})
    points = [sample(space, "grid", 0, number, []) for number in range(4)]
    assert points == [
        {"batch_size": 64, "epochs": 1},
        {"batch_size": 64, "epochs": 2},
        {"batch_size": 128, "epochs": 1},
        {"batch_size": 128, "epochs": 2},
    ]


def test_tpe_comes_closer_to_the_optimum_than_random():
    def distance(searcher):
        tail = history_of(40, searcher)[20:]
        return sum(abs(math.log10(o.params["optimizer.lr"]) + 1) for o in tail) / len(tail)

    assert distance("tpe") < 0.7 * distance("random")


@pytest.mark.parametrize(
    ("scores", "completed", "expected"),
    [
        ((0.5,), [], 0.5),
        ((0.5,), [(0.4, 0.6), (0.5, 0.8), (0.1, 0.9)], 0.8),  # gains of 0.2, 0.3 and 0.8 since the first epoch
        ((0.5, 0.6), [(0.4, 0.6), (0.3, 0.5)], 0.6),
        ((-2.0,), [(-2.5, -1.5)], -1.0),  # a loss
        ((), [(0.4, 0.6)], None),
    ],
)
def test_a_paused_trial_is_expected_to_gain_what_completed_ones_did(scores, completed, expected):
    assert tpe.expected_end(scores, completed) == (None if expected is None else pytest.approx(expected))


def test_tpe_is_told_what_a_paused_trial_will_end_with_and_not_that_it_is_bad():
    """Told as running, the constant liar would take it for the worst."""
    point = sample(SPACE, "random", 0, 0, [])
    paused = Observation(point, (0.5,), ended=False, completed=False, predicted=0.9)
    (told,) = tpe._rebuilt(SPACE, 0, [paused]).trials
    assert (told.state.name, told.value) == ("COMPLETE", 0.9)


def test_tpe_takes_stopped_running_and_diverged_trials_as_they_come_from_the_journal():
    params = {"optimizer.lr": 0.1, "schedule.milestones": [0.3, 0.6], "batch_size": 64}
    history = [
        *history_of(11),
        Observation(params, (0.3,), ended=True, completed=False),
        Observation(params, (), ended=True, completed=False),
        Observation(params, (0.2,), ended=False, completed=False),
    ]
    assert set(sample(SPACE, "tpe", 0, 14, history)) == set(SPACE.domains)


def test_an_unknown_searcher_is_refused():
    with pytest.raises(ValueError, match="choose one of random, grid, tpe"):
        sample(SPACE, "bayes", 0, 0, [])


CONDITIONAL = SearchSpace(
    "conditional",
    TrainConfig(),
    {
        "schedule.name": choice("multistep", "one_cycle"),
        "schedule.gamma": choice(0.1, 0.2).when("schedule.name", "multistep"),
        "schedule.pct_start": uniform(0.2, 0.4).when("schedule.name", "one_cycle"),
        "optimizer.lr": cases("schedule.name", {"multistep": choice(0.1, 0.2), "one_cycle": log_uniform(0.2, 2.0)}),
    },
)


@pytest.mark.parametrize("searcher", ["random", "tpe"])
def test_a_searcher_hears_of_a_branchs_fields_only_there(searcher):
    history = []
    for number in range(30):
        params = sample(CONDITIONAL, searcher, 0, number, history)
        multistep = params["schedule.name"] == "multistep"
        assert set(params) - {"schedule.name", "optimizer.lr"} == {
            "schedule.gamma" if multistep else "schedule.pct_start"
        }
        history.append(observed(params, 0.5 + 0.1 * multistep))
    assert {params.params["schedule.name"] for params in history} == {"multistep", "one_cycle"}


def test_tpe_learns_inside_of_a_branch():
    """The best of one branch is at a rate of 1; what the other branch does must not blur it."""
    history = []
    for number in range(60):
        params = sample(CONDITIONAL, "tpe", 0, number, history)
        one_cycle = params["schedule.name"] == "one_cycle"
        value = 1 - abs(math.log10(params["optimizer.lr"])) if one_cycle else 0.0
        history.append(observed(params, value))
    tail = [o.params for o in history[30:]]
    assert sum(params["schedule.name"] == "one_cycle" for params in tail) > 20
    rates = [abs(math.log10(p["optimizer.lr"])) for p in tail if p["schedule.name"] == "one_cycle"]
    # Drawn at random they would be 0.29 away: the mean distance from 0 of a uniform number in (-0.70, 0.30).
    assert sum(rates) / len(rates) < 0.15


@pytest.mark.parametrize("searcher", ["random", "tpe"])
def test_what_is_not_allowed_is_drawn_again(searcher):
    drawn = [sample(SPACE, searcher, 0, n, [], lambda params: params["batch_size"] == 64) for n in range(20)]
    assert {params["batch_size"] for params in drawn} == {64}
    assert len({params["optimizer.lr"] for params in drawn}) == 20


def test_a_limit_leaves_the_draws_that_it_allows_as_they_were():
    for number in range(20):
        free = sample(SPACE, "random", 0, number, [])
        limited = sample(SPACE, "random", 0, number, [], lambda params: params["batch_size"] == 64)
        assert limited == free or free["batch_size"] == 128


def test_a_grid_leaves_out_what_is_not_allowed():
    space = SearchSpace("grid", TrainConfig(), {"batch_size": choice(64, 128), "epochs": choice(1, 2)})
    points = [sample(space, "grid", 0, number, [], lambda params: params["epochs"] == 2) for number in range(2)]
    assert points == [{"batch_size": 64, "epochs": 2}, {"batch_size": 128, "epochs": 2}]


def test_a_space_that_nothing_satisfies_is_one_sentence():
    space = SearchSpace("toy", TrainConfig(), SPACE.domains, max_params=1000)
    with pytest.raises(EmptySpaceError, match="none of 1000 points .* at most 1,000 parameters: raise the limit"):
        sample(space, "random", 0, 0, [], lambda params: False)


FEW = SearchSpace(
    "few",
    TrainConfig(),
    {
        "model.widen_factor": choice(1, 2),
        "schedule.name": choice("multistep", "cosine"),
        "schedule.milestones": choice((0.5,), (0.3, 0.6)).when("schedule.name", "multistep"),
        "epochs": integers(1, 3),
    },
)
"""2 × (2 + 1) × 3 points."""


def points_of(space, searcher, seed, count, allowed=None):
    """What a study of `count` trials tries, as its journal gives it back."""
    history = []
    for number in range(count):
        params = json.loads(json.dumps(sample(space, searcher, seed, number, history, allowed)))
        history.append(observed(params, params["model.widen_factor"] / 2))
    return [observation.params for observation in history]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("searcher", ["random", "tpe"])
def test_every_point_of_a_small_space_is_tried_once_and_then_there_is_none(searcher, seed):
    points = points_of(FEW, searcher, seed, 18)
    assert len({point_key(params) for params in points}) == 18
    with pytest.raises(EmptySpaceError, match="the space has no point left: vary more, or ask for fewer trials"):
        sample(FEW, searcher, seed, 18, [observed(params, 0.5) for params in points])


@pytest.mark.parametrize("searcher", ["random", "tpe"])
def test_a_seed_that_varies_makes_other_points_of_the_same_rest(searcher):
    space = SearchSpace("seeds", TrainConfig(), {"model.widen_factor": choice(1, 2), "seed": choice(0, 1, 2)})
    points = points_of(space, searcher, 0, 6)
    assert sorted(params["seed"] for params in points) == [0, 0, 1, 1, 2, 2]


@pytest.mark.parametrize("searcher", ["random", "tpe"])
def test_all_points_that_are_allowed_are_tried(searcher):
    points = points_of(FEW, searcher, 0, 6, lambda params: params["epochs"] == 2)
    assert len({point_key(params) for params in points}) == 6
    assert {params["epochs"] for params in points} == {2}


def test_points_that_are_hardly_ever_drawn_are_found_too():
    """One of 90,000 is allowed: a thousand draws miss it 99 times of 100."""
    domains = {name: choice(*range(300)) for name in ("model.depth", "model.width")}
    space = SearchSpace("needle", TrainConfig(), domains)
    wanted = {"model.depth": 123, "model.width": 211}
    assert sample(space, "random", 0, 0, [], lambda params: params == wanted) == wanted


@pytest.mark.parametrize("searcher", ["random", "tpe"])
def test_what_was_tried_changes_no_draw_that_is_new(searcher):
    """The first draw of a trial is the one of a study in which nothing else was tried."""
    repeated = 0
    history = []
    for number in range(12):
        first = Sampler(FEW, searcher, 5).sample(number, history, tried=())
        tried = {point_key(observation.params) for observation in history}
        params = sample(FEW, searcher, 5, number, history)
        repeated += point_key(first) in tried
        assert params == first or point_key(first) in tried
        history.append(observed(params, params["model.widen_factor"] / 2))
    assert 0 < repeated < 12


def test_tpe_is_told_the_history_once_for_all_that_is_asked_again(monkeypatch):
    rebuilt = []

    def counted(space, seed, history, whole=tpe._rebuilt):
        rebuilt.append(len(history))
        return whole(space, seed, history)

    monkeypatch.setattr(tpe, "_rebuilt", counted)
    history = [observed(params, 0.5) for params in points_of(FEW, "random", 0, 16)]
    sample(FEW, "tpe", 0, 16, history)
    assert rebuilt == [16]


@pytest.mark.parametrize("searcher", ["random", "tpe", "grid"])
def test_a_space_with_fewer_points_than_trials_has_fewer_trials(searcher):
    space = SearchSpace("few", TrainConfig(), {"batch_size": choice(64, 128), "epochs": choice(1, 2, 3)})
    assert Sampler(space, searcher, 0).budget(20) == 6
    assert Sampler(space, searcher, 0).budget(4) == 4
    within = Sampler(space, searcher, 0, lambda params: params["epochs"] == 2)
    assert within.budget(20) == 2
    assert within.budget(1) == 1


def test_a_space_of_infinitely_many_points_has_all_trials():
    assert Sampler(CONDITIONAL, "random", 0).budget(10**6) == 10**6
    assert Sampler(CONDITIONAL, "tpe", 0, lambda params: False).budget(10**6) == 10**6


def test_a_shortage_of_points_is_told():
    assert shortage(4, 8) == "the space has only 4 points: 4 of 8 trials are run"
    assert shortage(1, 3) == "the space has only 1 point: 1 of 3 trials are run"
    assert shortage(8, 8) is None


def test_a_grids_point_is_asked_for_the_limits_once():
    """And only as many points are looked at as are needed."""
    space = SearchSpace("grid", TrainConfig(), {"batch_size": choice(64, 128), "epochs": choice(*range(1, 51))})
    asked = []

    def allowed(params):
        asked.append(point_key(params))
        return params["epochs"] % 2 == 0

    sampler = Sampler(space, "grid", 0, allowed)
    assert sampler.sample(2, [], ())["epochs"] == 6
    assert len(asked) == 6
    assert sampler.budget(100) == 50
    assert [sampler.sample(number, [], ())["epochs"] for number in (0, 24, 25)] == [2, 50, 2]
    assert len(asked) == len(set(asked)) == 100
    with pytest.raises(EmptySpaceError, match="the space has no point left"):
        sampler.sample(50, [], ())


def test_a_grid_without_limits_is_not_walked():
    """10^12 points: the last of them is as near as the first."""
    domains = {f"model.option{number}": choice(*range(10)) for number in range(12)}
    sampler = Sampler(SearchSpace("huge", TrainConfig(), domains), "grid", 0)
    assert sampler.budget(10**13) == 10**12
    assert set(sampler.sample(10**12 - 1, [], ()).values()) == {9}

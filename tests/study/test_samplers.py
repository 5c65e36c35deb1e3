"""Samplers are pure functions of (space, seed, number, history)."""

import math

import pytest

from cifarray.config import TrainConfig
from cifarray.space.domains import cases, choice, log_uniform, uniform
from cifarray.space.space import SearchSpace
from cifarray.study.samplers import EmptySpaceError, Observation, sample

SPACE = SearchSpace(
    "toy",
    TrainConfig(),
    {
        "optimizer.lr": log_uniform(1e-3, 1.0),
        "schedule.milestones": choice((0.5,), (0.3, 0.6)),
        "batch_size": choice(64, 128),
    },
)


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

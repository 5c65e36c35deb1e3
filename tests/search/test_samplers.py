"""Samplers are pure functions of (space, seed, number, history)."""

import math

import pytest

from cifarray.config import TrainConfig
from cifarray.search.samplers import Observation, sample
from cifarray.search.space import SearchSpace, choice, log_uniform

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

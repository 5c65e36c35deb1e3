"""Comparisons of which the answer is known beforehand."""

import random
from dataclasses import replace

import pytest
from made_curves import straight

from cifarray.simulate.compare import compare, with_base_among_the_best
from cifarray.simulate.curves import Curve, points_of
from cifarray.simulate.strategies import BASELINE, STRATEGIES

OPTUNA = "Optuna's TPE, Hyperband"
FINALS = [0.5 + 0.004 * number for number in range(100)]


def test_where_curves_are_parallel_asha_is_sooner_than_full_runs() -> None:
    """What is best after the first epoch is best at the end, so early stopping loses nothing."""
    told = compare(straight(FINALS, epochs=27), 1, 20, ["asha", "none"], reached="complete")
    by_name = {each.name: each for each in told.strategies}
    assert by_name["asha"].sooner[0.01].low > by_name["none"].sooner[0.01].high


@pytest.mark.parametrize("name", ["asha", "promote", "none", OPTUNA])
def test_where_curves_are_noise_the_leader_is_any_point(name: str) -> None:
    """Values after an epoch say nothing of the next one: the leader is any trial, and its regret that of a point at
    random, which is the mean regret of the pool."""
    source = random.Random(1)
    noise = [
        Curve({"optimizer.lr": 0.001 * (place + 1)}, tuple(source.uniform(0.4, 0.6) for _ in range(9)), 10.0)
        for place in range(80)
    ]
    # The last value, by which the regret is measured, is no strategy's to see before it is over.
    curves = points_of([replace(each, values=(*each.values, source.uniform(0.4, 0.6))) for each in noise])
    (_, told) = compare(curves, 2, 25, [name]).strategies
    finals = [curve.values[-1] for curve in curves.curves]
    at_random = max(finals) - sum(finals) / len(finals)
    assert told.regret[0.1].mean == pytest.approx(at_random, abs=4 * 0.2 / 12**0.5 / 25**0.5)


def test_optuna_learns_where_the_good_points_are() -> None:
    """Each of three fields adds its part: TPE is at the best point sooner than who takes points at random, and stops
    them early or runs them all."""
    curves = [
        Curve(
            {"model.widen_factor": 1 + width, "optimizer.lr": 0.01 * (1 + rate), "optimizer.momentum": 0.1 * momentum},
            tuple((0.3 + 0.02 * (width + rate + momentum)) * (epoch + 1) / 9 for epoch in range(9)),
            10.0,
        )
        for width in range(6)
        for rate in range(6)
        for momentum in range(4)
    ]
    told = compare(points_of(curves), 1, 20, [OPTUNA, "none"], reached="complete")
    by_name = {each.name: each for each in told.strategies}
    assert by_name[OPTUNA].sooner[0.01].low > max(1.0, by_name["none"].sooner[0.01].high)


def test_a_search_of_optunas_is_a_function_of_its_seed() -> None:
    (_, first), (_, again) = (compare(straight(FINALS, epochs=9), 2, 2, [OPTUNA]).strategies for _ in range(2))
    assert first.times == again.times


def test_the_base_point_first_is_where_it_is_good() -> None:
    curves = with_base_among_the_best(straight(FINALS), 3)
    assert curves.base is not None
    assert curves.curves[curves.base].values[-1] >= sorted(FINALS)[-10]
    told = compare(curves, 1, 10, ["random in full, base point first"], reached="complete")
    assert told.strategies[1].sooner[0.1].mean > 1.0
    assert [each.name for each in compare(straight(FINALS), 1, 1).strategies] == [
        BASELINE,
        *(name for name, strategy in STRATEGIES.items() if name != BASELINE and not strategy.base_first),
    ]


def test_targets_that_come_at_once_are_marked() -> None:
    assert 0.1 in compare(straight(FINALS[:20]), 4, 5, ["none"]).early

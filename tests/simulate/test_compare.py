"""Comparisons of which the answer is known beforehand."""

import pytest
from made_curves import straight

from cifarray.simulate.compare import compare, with_base_among_the_best
from cifarray.simulate.strategies import BASELINE, STRATEGIES

FINALS = [0.5 + 0.004 * number for number in range(100)]


def test_where_curves_are_parallel_asha_is_sooner_than_full_runs() -> None:
    """What is best after the first epoch is best at the end, so early stopping loses nothing."""
    told = compare(straight(FINALS, epochs=27), 1, 20, ["asha", "none"], reached="complete")
    by_name = {each.name: each for each in told.strategies}
    assert by_name["asha"].sooner[0.01].low > by_name["none"].sooner[0.01].high


def test_what_is_equally_good_is_equal_within_the_interval() -> None:
    told = compare(straight([0.7] * 40), 2, 5, ["none", "asha", "promote", "freeze-thaw"])
    for each in told.strategies:
        assert each.regret[1.0].mean == pytest.approx(0.0, abs=1e-12)
        assert all(time <= told.budget * 1.2 for time in each.times[0.1])


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

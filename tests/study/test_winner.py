"""Who wins, and what is told from it: expected values are Student's t and Holm's, worked out by hand."""

import math
import random

import pytest

from cifarray.study.winner import verdict


def test_the_best_mean_wins_and_the_nearest_comes_first() -> None:
    rows = {"a": {1: 0.5, 2: 0.7}, "b": {1: 0.9, 2: 0.9}, "c": {1: 0.8, 2: 0.85}}
    found = verdict(rows)
    assert found is not None
    assert (found.name, found.mean) == ("b", 0.9)
    assert [rival.name for rival in found.rivals] == ["c", "a"]
    assert [round(rival.lead.mean, 6) for rival in found.rivals if rival.lead] == [0.075, 0.3]


def test_of_losses_the_lowest_wins() -> None:
    found = verdict({"a": {1: 0.5}, "b": {1: 0.4}}, lower_is_better=True)
    assert found is not None
    assert found.name == "b"
    assert found.rivals[0].lead is not None
    assert found.rivals[0].lead.mean == pytest.approx(0.1)


def test_p_is_students_for_one_rival_and_three_times_that_for_the_surest_of_three_pairs() -> None:
    """Leads of 1, 2 and 3: t = 2 / (1 / √3) = 2√3 with 2 degrees of freedom, where p = 1 − t / √(t² + 2)."""
    base = {1: 0.0, 2: 0.0, 3: 0.0}
    best = {1: 1.0, 2: 2.0, 3: 3.0}
    t = 2 * math.sqrt(3)
    p = 1 - t / math.sqrt(t**2 + 2)
    (rival,) = verdict({"best": best, "base": base}).rivals  # type: ignore[union-attr]
    assert rival.p == pytest.approx(p)
    assert not rival.is_beaten
    wide = {1: 0.9, 2: -3.0, 3: 4.0}
    surer = next(
        each
        for each in verdict({"best": best, "base": base, "wide": wide}).rivals  # type: ignore[union-attr]
        if each.name == "base"
    )
    assert surer.p == pytest.approx(3 * p)


def test_of_equal_configs_one_is_rarely_said_to_be_better() -> None:
    """Ten configs, ten seeds, 300 times: at most 5 % but for chance (3 deviations: 8.8 %)."""
    source = random.Random(0)
    wrong = 0
    for _ in range(300):
        rows = {name: {seed: source.gauss(0, 1) for seed in range(10)} for name in "abcdefghij"}
        wrong += any(rival.is_beaten for rival in verdict(rows).rivals)  # type: ignore[union-attr]
    assert wrong / 300 < 0.088


def test_a_config_that_lacks_seeds_does_not_compete() -> None:
    """Its mean is over those that went well."""
    rows = {"a": {1: 0.94}, "b": {1: 0.95, 2: 0.93, 3: 0.93}, "c": {1: 0.90, 2: 0.91, 3: 0.9}, "d": {}}
    found = verdict(rows)
    assert found is not None
    assert (found.name, [rival.name for rival in found.rivals]) == ("b", ["c"])
    assert found.short_of_seeds == ("a", "d")


def test_a_lead_that_is_steady_is_a_win() -> None:
    rows = {"a": {1: 0.900, 2: 0.911, 3: 0.905}, "b": {1: 0.880, 2: 0.890, 3: 0.886}}
    assert verdict(rows).rivals[0].is_beaten  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "rows",
    [
        {"a": {1: 0.9}, "b": {1: 0.8}},  # a single seed
        {"a": {1: 0.9, 2: 0.9}, "b": {1: 0.8, 2: 0.8}},  # leads that all are the same: few images
        {"a": {1: 0.9, 2: 0.8}, "b": {3: 0.8, 4: 0.7}},  # no seed in common
    ],
)
def test_what_nothing_is_known_of_is_not_beaten(rows: dict[str, dict[int, float]]) -> None:
    assert [(rival.p, rival.is_beaten) for rival in verdict(rows).rivals] == [(None, False)]  # type: ignore[union-attr]


def test_without_a_value_there_is_no_winner() -> None:
    assert verdict({"a": {}, "b": {}}) is None
    assert verdict({}) is None

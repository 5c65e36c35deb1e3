"""Paired differences against textbooks and against scipy."""

import random

import pytest
from scipy import stats

from cifarray.study.stats import Paired, holm, needed, paired

# Student 1908, "The probable error of a mean", §IX: hours of sleep gained by ten patients with two drugs.
DRUG_1 = dict(enumerate([0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]))
DRUG_2 = dict(enumerate([1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]))


def test_the_interval_is_students_own():
    """Mean 1.58, t = 4.0621 with 9 degrees of freedom, p = 0.00283; 95 % interval 0.70 to 2.46 (R's `sleep`)."""
    found = paired(DRUG_2, DRUG_1)
    assert found.n == 10
    assert found.mean == pytest.approx(1.58)
    assert found.p == pytest.approx(0.002833, rel=1e-3)
    assert (found.low, found.high) == pytest.approx((0.7001142, 2.4598858), rel=1e-6)


def test_two_pairs_worked_by_hand():
    """Differences 1 and 3: mean 2, deviation √2, standard error 1; t(0.975, 1) = 12.706 (tables), p = 2·atan(1/2)/π."""
    found = paired({0: 1.0, 1: 3.0}, {0: 0.0, 1: 0.0})
    assert (found.mean, found.half_width) == pytest.approx((2.0, 12.706), rel=1e-4)
    assert found.p == pytest.approx(0.295167, rel=1e-5)


def test_only_seeds_that_both_rows_have_are_pairs():
    found = paired({0: 0.5, 1: 0.6, 7: 0.9}, {1: 0.5, 0: 0.5, 8: 0.1})
    assert found.n == 2
    assert found.mean == pytest.approx(0.05)
    assert paired({0: 0.5}, {1: 0.5}) is None


@pytest.mark.parametrize(
    ("values", "against"),
    [
        ({0: 0.75}, {0: 0.5}),
        # Equal on paper: 0.82 - 0.8 and 0.52 - 0.5 differ in the last bits.
        ({0: 0.82, 1: 0.52}, {0: 0.80, 1: 0.50}),
        ({0: 0.5, 1: 0.6}, {0: 0.5, 1: 0.6}),
    ],
)
def test_no_spread_is_no_certainty(values, against):
    found = paired(values, against)
    assert (found.half_width, found.p) == (None, None)


def test_holm_against_numbers_worked_by_hand():
    """p = 0.01, 0.02, 0.03, 0.04 of four: 4 · 0.01 = 0.04, 3 · 0.02 = 0.06, 2 · 0.03 = 0.06, then never below: 0.06."""
    assert holm([0.01, 0.02, 0.03, 0.04]) == pytest.approx([0.04, 0.06, 0.06, 0.06])
    assert holm([0.04, 0.01, 0.03, 0.005]) == pytest.approx([0.06, 0.03, 0.06, 0.02])  # Wikipedia's example
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_thirteen_comparisons_of_nothing_find_something_in_a_twentieth_of_all_tables():
    """Without the correction it would be 1 − 0.95¹³ = 49 % of them."""
    source, found, tables = random.Random(0), 0, 1000
    for _ in range(tables):
        ps = [source.random() for _ in range(13)]
        found += min(holm(ps)) < 0.05
    assert found / tables == pytest.approx(0.05, abs=0.02)


def test_p_is_scipys():
    source = random.Random(1)
    first, second = ({seed: source.gauss(0, 1) for seed in range(6)} for _ in range(2))
    expected = stats.ttest_1samp([first[seed] - second[seed] for seed in range(6)], 0).pvalue
    assert paired(first, second).p == pytest.approx(expected)
    assert isinstance(paired(first, second), Paired)


def test_what_a_lone_finding_needs_among_several_tests():
    """5 pairs: t(0.975, 4) = 2.776 and, at 5 % of 12 tests, t(1 − 0.05/24, 4) = 5.890 (tables of Student's t)."""
    step = Paired(5, 0.0, 2.776)
    assert needed(step, 1) == pytest.approx(2.776, rel=1e-3)
    assert needed(step, 12) == pytest.approx(5.890, rel=1e-2)
    assert needed(Paired(1, 0.5), 12) is None

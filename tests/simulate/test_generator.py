"""Made curves are curves, and functions of point and seed."""

import random

import pytest
from made_curves import straight

from cifarray.simulate.generator import Fitted, Made


def test_the_formula_rises_to_its_end_and_is_best_where_it_says() -> None:
    made = Made()
    best = {"optimizer.lr": 0.1, "optimizer.weight_decay": 5e-4, "model.widen_factor": 8}
    values = made.curve_of(best).values
    assert len(values) == made.epochs
    assert list(values) == sorted(values)
    assert all(0 <= value < 1 for value in values)
    for path, worse in (("optimizer.lr", 0.005), ("optimizer.weight_decay", 1e-2), ("model.widen_factor", 1)):
        assert made.curve_of({**best, path: worse}).values[-1] < values[-1] - 0.01


def test_a_point_has_one_curve_for_each_seed() -> None:
    point = {"optimizer.lr": 0.1, "optimizer.weight_decay": 5e-4, "model.widen_factor": 8}
    assert Made(0).curve_of(point) == Made(0).curve_of(point) != Made(1).curve_of(point)


def test_where_all_recorded_curves_are_the_same_so_is_every_new_one() -> None:
    curves = straight([0.6] * 12, seconds=7.0)
    fitted, source = Fitted(curves), random.Random(0)
    for _ in range(5):
        curve = fitted.curve_of(curves.space.tree.point(lambda name, domain: domain.draw(source)))
        assert curve.values == pytest.approx(curves.curves[0].values, abs=1e-6)
        assert curve.seconds == pytest.approx(7.0)


def test_new_points_are_between_their_neighbours_but_for_the_noise_of_what_neighbours_tell() -> None:
    curves = straight([0.5 + 0.02 * number for number in range(20)])
    fitted = Fitted(curves)
    low, high = (fitted.curve_of({"optimizer.lr": rate}).values[-1] for rate in (0.02, 0.19))
    assert 0.4 < low < 0.7 < high < 0.98

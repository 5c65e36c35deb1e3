"""The leaderboard's words."""

import pytest

from cifarray.report.leaderboard import mean_and_deviation, short_names
from cifarray.study.trial_record import Metric


@pytest.mark.parametrize(
    ("path", "among", "name"),
    [
        ("model.widen_factor", ["model.widen_factor", "optimizer.lr"], "widen_factor"),
        ("schedule.name", ["schedule.name", "optimizer.lr"], "schedule"),
        ("schedule.name", ["schedule.name", "optimizer.name"], "schedule"),
        ("a.rate", ["a.rate", "b.rate"], "a.rate"),
        ("seed", ["seed", "recipe"], "seed"),
    ],
)
def test_a_field_is_called_by_what_tells_it_from_the_others(path, among, name):
    assert short_names(among)[path] == name


def test_a_deviation_is_that_of_a_sample_and_one_value_has_none():
    assert mean_and_deviation([0.5, 0.6, 0.7], Metric()) == "60.00 ± 10.00 %"
    assert mean_and_deviation([0.5], Metric()) == "50.00 %"
    assert mean_and_deviation([1.0, 2.0, 3.0], Metric("val_loss")) == "2.0000 ± 1.0000"

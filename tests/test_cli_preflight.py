"""What `--preflight` tells. Not here: how it comes to know (`tests/engine/test_preflight.py`, `tests/simulate`)."""

import datetime
from types import SimpleNamespace

import pytest

from cifarray.cli.preflight import expectation, measured, planned_and_actual
from cifarray.engine.preflight import Corner
from cifarray.simulate.plan import Plan

NOON = datetime.datetime(2026, 3, 2, 12, 0)  # a Monday
STUDY = SimpleNamespace(num_trials=64, scheduler=SimpleNamespace(name="asha"))


@pytest.mark.parametrize(
    ("hours", "wall_hours", "groups", "price", "told"),
    [
        (
            (14.2, 19.4),
            (7.2, 9.8),
            2,
            None,
            "expected: 14 to 19 worker-hours for 64 trials (scheduler asha); with 2 trials at once 7 hours to 10 "
            "hours, until about 21:48",
        ),
        (
            (100.4, 100.4),
            (30.0, 30.0),
            1,
            2.5,
            "expected: 100 worker-hours for 64 trials (scheduler asha), 251 at 2.5 a worker-hour; with 1 trial at once "
            "1 day, until about Tue 03 Mar 18:00",
        ),
    ],
)
def test_hours_and_when_it_is_over(hours, wall_hours, groups, price, told):
    expected = Plan(*(3600 * each for each in (*hours, *wall_hours)), groups)
    assert expectation(expected, STUDY, price, NOON) == told


def test_of_a_study_that_goes_on_the_whole_is_told_and_no_end():
    told = expectation(Plan(80.0, 100.0, 40.0, 50.0, 2), STUDY, None, NOON, begun=True)
    assert told.endswith("with 2 trials at once 1 minute, from its beginning on")


def test_a_network_that_does_not_fit_is_named_with_what_leaves_it_out():
    small = Corner("wide_resnet (depth 10)", 77_850, 12_000_000, 2345.6, 612_000_000, 0.04)
    large = Corner("wide_resnet (depth 40)", 55_900_000, 8_100_000_000, failure="CUDA out of memory")
    first, second = measured([small, large], "1 CPU + 1 GPU")
    assert first.endswith("2,346 images/s on a worker with 1 CPU + 1 GPU, 0.6 GB, 0.0 s for a checkpoint")
    assert "does not fit on a worker with 1 CPU + 1 GPU (CUDA out of memory)" in second
    assert second.endswith("(--set batch_size=… or accumulate=…), or --max-macs 8099999999 to leave it out")
    # Where not even the smallest fits there would be none left.
    assert "--max-macs" not in "".join(measured([large], "1 GPU"))


@pytest.mark.parametrize(
    ("taken", "verdict"),
    [
        (90.0, "80 to 100 worker-seconds expected, 90 worker-seconds taken: as expected"),
        (40.0, "80 to 100 worker-seconds expected, 40 worker-seconds taken: 50 % less than that"),
        (150.0, "80 to 100 worker-seconds expected, 2.5 worker-minutes taken: 50 % more than that"),
    ],
)
def test_the_plan_is_held_against_what_was_taken(taken, verdict):
    assert planned_and_actual(Plan(80.0, 100.0, 40.0, 50.0, 2), taken) == verdict

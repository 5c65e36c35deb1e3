"""Curves are read as they were recorded: repeats are averaged, what is none is told with its line."""

from pathlib import Path

import pytest
from histories import epoch_ended, sampled, started, study_started
from made_curves import line, written

from cifarray.simulate.curves import lines_of, read
from cifarray.space.domains import Choice, Range
from cifarray.study.state import StudyState


def test_lines_with_equal_params_are_one_curve_of_means(tmp_path: Path) -> None:
    path = written(
        tmp_path, line([0.2, 0.4]), line([0.4, 0.6], seed=1, seconds=[4.0, 4.0]), line([0.1, 0.1], params={})
    )
    first, second = read(path).curves
    assert first.values == pytest.approx((0.3, 0.5))
    assert first.seconds == 3.0
    assert (second.params, second.values) == ({}, (0.1, 0.1))


def test_the_study_called_default_is_the_base_point(tmp_path: Path) -> None:
    others = [line([0.1], params={"optimizer.lr": 0.1 * number}) for number in (1, 2, 9)]
    assert read(written(tmp_path, *others)).base is None
    # Also where another study had the same point first.
    with_base = read(written(tmp_path, *others, line([0.5], params={"optimizer.lr": 0.1 * 9}, study="default")))
    assert with_base.base == 2
    assert with_base.only([1]).curves[with_base.only([1]).base or 0].params == {"optimizer.lr": 0.1 * 9}


def test_many_numbers_are_a_range_and_few_a_choice(tmp_path: Path) -> None:
    lines = [
        line([0.1], params={"optimizer.lr": 0.001 * 2**n, "model.depth": 10 + n % 2, "data.flip": n % 2 == 0})
        for n in range(12)
    ]
    domains = read(written(tmp_path, *lines)).space.domains
    assert domains["optimizer.lr"] == Range(0.001, 0.001 * 2**11, log=True)
    assert isinstance(domains["model.depth"], Choice)
    assert set(domains["data.flip"].values) == {True, False}  # type: ignore[union-attr]


def test_fields_that_no_config_has_are_points_too(tmp_path: Path) -> None:
    path = written(tmp_path, line([0.1], params={"log_lr": -3.0}), line([0.2], params={"log_lr": -2.0}))
    assert [curve.params for curve in read(path).curves] == [{"model.log_lr": -3.0}, {"model.log_lr": -2.0}]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], "has no curves: give a file with a line for each run, as --record writes it"),
        (["{"], "line 1 is no run .*JSONDecodeError"),
        ([line([0.1]), line([0.1, 0.2])], r"curves of different numbers of epochs \(1, 2\): give one file for each"),
        ([line([0.1]), line([float("nan")])], 'line 2 is no run: it has "params", and as many "seconds" above 0'),
        ([line([])], "line 1 is no run"),
        ([line([0.5, 80.0])], "line 1 has val_accuracy 80: give shares from 0 to 1, not per cent"),
        ([line([0.1], seconds=[1.0, 2.0])], "line 1 is no run"),
        ([line([0.1], seconds=[0.0])], "line 1 is no run"),
        (['{"params": {}}'], r"line 1 is no run \(KeyError: 'val_accuracy'\)"),
    ],
)
def test_what_is_no_curve_is_told_with_its_line(lines: list[str], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        read(written(tmp_path, *lines))


def test_a_recorded_study_is_read_back_without_the_trials_that_were_stopped(tmp_path: Path) -> None:
    config = {"epochs": 2, "seed": 7}
    events = [study_started()]
    for trial, (values, last) in enumerate([((0.25, 0.5), "complete"), ((0.1,), "stop")]):
        events += [sampled(trial, {"optimizer.lr": 0.1 + trial}, config), started(trial)]  # type: ignore[list-item]
        for epoch, value in enumerate(values, start=1):
            decision = last if epoch == len(values) else "continue"
            events.append(
                epoch_ended(trial, epoch, decision=decision, val_accuracy=value, epoch_seconds=3.0)  # type: ignore[arg-type]
            )
    lines = list(lines_of("wrn", StudyState.from_events(events)))
    assert len(lines) == 1
    curve = read(written(tmp_path, *lines, line([0.1, 0.1], params={"optimizer.lr": 0.7}))).curves[0]
    assert (curve.params, curve.values, curve.seconds) == ({"optimizer.lr": 0.1}, (0.25, 0.5), 3.0)

"""What of Ray's lines reaches the terminal."""

import logging

import pytest

from cifarray.engine import quiet


@pytest.fixture
def quietened(monkeypatch):
    pytest.importorskip("ray.tune")
    levels = {name: logging.getLogger(name).level for name in ("ray", "ray.tune", "ray.train", "ray.data", *quiet.TUNE)}
    monkeypatch.setattr(quiet.ray_internals, "silence_raylet_lines", lambda: None)
    quiet.quieten()
    yield
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
    logging.getLogger(quiet.TUNES_CONTROLLER).removeFilter(quiet._is_no_death)


def shown(name, error):
    logger = logging.getLogger(name)
    record = logger.makeRecord(name, logging.ERROR, "", 0, "Trial task failed", (), (type(error), error, None))
    return logger.isEnabledFor(logging.ERROR) and bool(logger.filter(record))


def test_a_death_that_the_driver_tells_is_not_told_by_tune_too(quietened):
    from ray.exceptions import ActorDiedError

    assert not shown(quiet.TUNES_CONTROLLER, ActorDiedError())
    assert not shown("ray.tune.tune", ValueError("Trials did not complete"))


def test_an_error_that_nobody_else_tells_is_shown(quietened):
    assert shown(quiet.TUNES_CONTROLLER, ValueError("a bug"))
    assert shown("ray.data", ValueError("a bug"))

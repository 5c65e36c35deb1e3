"""ASHA's rungs and whom it stops (arXiv:1810.05934, §3.2)."""

import pytest

from cifarray.study.schedulers.asha import Asha


@pytest.mark.parametrize(
    ("reduction_factor", "grace", "epochs", "rungs"),
    [
        (3, 1, 4, (1, 3)),
        (3, 1, 3, (1,)),
        (3, 1, 1, ()),
        (2, 1, 16, (1, 2, 4, 8)),
        (4, 2, 200, (2, 8, 32, 128)),
    ],
)
def test_rungs_grow_geometrically_and_end_before_the_last_epoch(reduction_factor, grace, epochs, rungs):
    assert Asha(reduction_factor, grace).rungs(epochs) == rungs


@pytest.mark.parametrize(
    ("value", "others", "goes_on"),
    [
        (0.1, [], True),  # the first to arrive has nobody to lose against
        (0.2, [0.1], True),
        (0.1, [0.2], False),  # of two, one passes
        (0.1, [0.2, 0.3], False),
        (0.4, [0.2, 0.3], True),
        (0.5, [0.6, 0.1, 0.2, 0.3, 0.4], True),  # second of six: 6 // 3 pass
        (0.4, [0.6, 0.5, 0.1, 0.2, 0.3], False),  # third of six
        (0.5, [0.5, 0.1], True),  # a tie with the best
    ],
)
def test_the_best_third_passes_a_rung(value, others, goes_on):
    assert Asha(reduction_factor=3).goes_on(value, others) is goes_on


@pytest.mark.parametrize("arguments", [{"reduction_factor": 1}, {"grace_epochs": 0}])
def test_impossible_settings_are_refused(arguments):
    with pytest.raises(ValueError, match="choose"):
        Asha(**arguments)

"""ASHA's rungs and whom it stops (arXiv:1810.05934, §3.2), and why."""

from types import SimpleNamespace

import pytest

from cifarray.study.schedulers.asha import Asha, ordinal
from cifarray.study.trial_record import Decision, Metric, TrialRecord


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


def after_epoch(epoch, value, others, epochs=9, metric="val_accuracy"):
    """What Asha(3, 1) says of a trial with `value` after `epoch`, of `others` (scores, rising) after epoch 3."""
    trial = TrialRecord(0, {}, {"epochs": epochs}, metric=Metric(metric), epochs=[{metric: value}] * epoch)
    study = SimpleNamespace(scores_after={3: others}.get)
    return Asha(3, 1).after_epoch(study, trial)


@pytest.mark.parametrize(
    ("value", "others", "goes_on"),
    [
        (0.1, [], True),  # the first to arrive has nobody to lose against
        (0.2, [0.1], True),
        (0.1, [0.2], False),  # of two, one passes
        (0.1, [0.2, 0.3], False),
        (0.4, [0.2, 0.3], True),
        (0.5, [0.1, 0.2, 0.3, 0.4, 0.6], True),  # second of six: 6 // 3 pass
        (0.4, [0.1, 0.2, 0.3, 0.5, 0.6], False),  # third of six
        (0.5, [0.1, 0.5], True),  # a tie with the best
    ],
)
def test_the_best_third_passes_a_rung(value, others, goes_on):
    decision, _ = after_epoch(3, value, others)
    assert decision is (Decision.CONTINUE if goes_on else Decision.STOP)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (0.45, "5th of 9 after epoch 3, 3 go on"),
        (0.85, "1st of 9 after epoch 3, 3 go on"),
        (0.70, "2nd of 9 after epoch 3, 3 go on"),  # shared: only one of the others is better
        (0.65, "3rd of 9 after epoch 3, 3 go on"),
        (0.05, "9th of 9 after epoch 3, 3 go on"),
    ],
)
def test_the_reason_is_the_place_among_all_that_have_reached_the_rung(value, reason):
    others = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8]
    assert after_epoch(3, value, others)[1] == reason


def test_of_losses_the_smallest_has_the_first_place():
    assert after_epoch(3, 0.2, [-0.9, -0.5, -0.1], metric="val_loss") == (
        Decision.STOP,
        "2nd of 4 after epoch 3, 1 goes on",
    )


def test_between_rungs_there_is_nothing_to_decide():
    assert after_epoch(2, 0.0, []) == (Decision.CONTINUE, "")


@pytest.mark.parametrize("arguments", [{"reduction_factor": 1}, {"grace_epochs": 0}])
def test_impossible_settings_are_refused(arguments):
    with pytest.raises(ValueError, match="choose"):
        Asha(**arguments)


def test_ordinals_are_those_of_english():
    numbers = (1, 2, 3, 4, 10, 11, 12, 13, 21, 22, 33, 101, 111, 112)
    assert " ".join(map(ordinal, numbers)) == "1st 2nd 3rd 4th 10th 11th 12th 13th 21st 22nd 33rd 101st 111th 112th"

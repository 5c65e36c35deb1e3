"""What a user reads while a study runs where nothing is redrawn: one line an event. The table: `test_table`."""

import pytest
from scenes import Scene

from cifarray.config import TrainConfig
from cifarray.report.lines import LineView
from cifarray.space.domains import choice
from cifarray.space.space import SearchSpace
from cifarray.study.events import GroupChanged, TrialEnded, TrialStarted, WorkersRestarted
from cifarray.study.schedulers import Promote
from cifarray.study.trial_record import Decision, Outcome


@pytest.fixture
def scene():
    return Scene(LineView, SearchSpace("toy", TrainConfig(epochs=4), {"batch_size": choice(64, 128, 256, 512)}))


def test_a_line_is_plain_text(scene):
    scene.begins(0)
    scene.epoch(0, 1, 0.5)
    assert {letter for letter in scene.text.getvalue() if not letter.isprintable()} == {"\n"}


def test_a_decision_is_told_with_its_reason(scene):
    for number, accuracy in enumerate((0.5, 0.3)):
        scene.begins(number)
        scene.epoch(number, 1, accuracy)
    assert scene.lines[-4:] == [
        "trial 0 epoch 1/4: train loss 1.000, val accuracy 50.00 %, 1,000 images/s (1st of 1 after epoch 1, 1 goes on)",
        "trial 1 starts: batch_size 64",
        "trial 1 epoch 1/4: train loss 1.000, val accuracy 30.00 %, 1,000 images/s",
        # At least: 30 s to trial 0's next rung, and of two more trials 2 · 45 s less 1.28 · 21.2 · √(2 + 4/2), from the
        # 30 s of trial 1 and 60 s of trial 0; at most 90 + 2 · 75 + 1.28 · 63.6 · 2 s, where trial 0 takes 120 s.
        "trial 1 stopped: 2nd of 2 after epoch 1, 1 goes on (1–7 min left)",
    ]


def test_the_first_trial_that_ends_gives_an_estimate(scene):
    scene.begins(0)
    for epoch in range(1, 5):
        decision = scene.epoch(0, epoch, 0.5)
    assert decision is Decision.COMPLETE
    # Three more trials like the first are 360 s; if others are half as long or as long again, ± 1.28 · 60 · √(3 + 9) s.
    assert scene.lines[-1] == "trial 0 completed (1–11 min left)"


def test_a_pause_is_told_and_why_a_trial_goes_on():
    space = SearchSpace("toy", TrainConfig(epochs=4), {"batch_size": choice(64, 128, 256, 512)})
    scene = Scene(LineView, space, scheduler=Promote(2, 1))
    scene.begins(0)
    scene.epoch(0, 1, 0.5)
    assert (scene.lines[-1], scene.view.running) == (
        "trial 0 epoch 1/4: train loss 1.000, val accuracy 50.00 %, 1,000 images/s (pauses: 1st of 1 after epoch 1)",
        {},
    )
    scene.happens(TrialStarted(trial=0, attempt=2, group="toy/group-0", epoch=1, reason="1st of 2 after epoch 1"))
    assert scene.lines[-1] == "trial 0 starts after epoch 1: batch_size 64 (1st of 2 after epoch 1)"
    assert scene.view.running == {0: "toy/group-0"}


def test_what_happens_to_groups_and_workers_is_told(scene):
    scene.begins(0)
    scene.happens(
        GroupChanged(group="toy/group-0", event="started"),
        GroupChanged(group="toy/group-0", event="ready", reason="12.3 s"),
        WorkersRestarted(trial=0, restarts=1, epoch=2),
        GroupChanged(group="toy/group-0", event="replaced", reason="Traceback\n  here\nRuntimeError: gone"),
        GroupChanged(group="toy/group-1", event="closed", reason="no trial needs it any more"),
        TrialEnded(trial=0, outcome=Outcome.FAILED, message="its workers were lost 3 times: gone"),
    )
    assert scene.lines[-5:] == [
        "worker group 0 starting",
        "worker group 0 ready after 12.3 s",
        "trial 0 lost its workers (1): goes on from its checkpoint",
        "worker group 0 replaced: RuntimeError: gone",
        "trial 0 failed: its workers were lost 3 times: gone",
    ]

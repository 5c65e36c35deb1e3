"""What a user reads while a study runs: one line an event, and the table."""

import io
import re

import pytest
from rich.console import Console

from cifarray.config import TrainConfig
from cifarray.report.live import LineView, TableView
from cifarray.space.domains import choice
from cifarray.space.space import SearchSpace
from cifarray.study import decisions
from cifarray.study.events import GroupChanged, TrialEnded, TrialSampled, TrialStarted, WorkersRestarted
from cifarray.study.schedulers import Asha
from cifarray.study.state import StudyState
from cifarray.study.study import Study
from cifarray.study.trial_record import Decision, Outcome

SPACE = SearchSpace("toy", TrainConfig(epochs=4), {"batch_size": choice(64, 128, 256, 512)})


class Scene:
    """A view that hears of events before they take effect, as the driver has it."""

    def __init__(self, view_of, num_trials=4):
        self.text = io.StringIO()
        self.state = StudyState(SPACE, num_trials, "random", Asha(2, 1))
        self.view = view_of(Console(file=self.text, width=120))
        self.view.start(Study("toy", SPACE, num_trials, "/results", "sqlite://"), self.state, "1 CPU")

    def happens(self, *events):
        for event in events:
            if isinstance(event, TrialSampled):
                self.state.apply(event)
                self.view.event(event)
            else:
                self.view.event(event)
                self.state.apply(event)

    def begins(self, number):
        params = {"batch_size": 64}
        config = SPACE.config(params).to_dict()
        self.happens(
            TrialSampled(trial=number, params=params, config=config, num_params=1, macs=1),
            TrialStarted(trial=number, attempt=1, group="toy/group-0", epoch=0),
        )

    def epoch(self, number, epoch, accuracy):
        metrics = {"val_accuracy": accuracy, "train_loss": 1.0, "images_per_second": 1000.0, "epoch_seconds": 30.0}
        decision, events = decisions.after_epoch(self.state, number, epoch, metrics, None)
        self.happens(*events)
        return decision

    @property
    def lines(self):
        return [line.split("] ", 1)[-1] for line in self.text.getvalue().splitlines()]


@pytest.fixture
def scene():
    return Scene(LineView)


def test_a_decision_is_told_with_its_reason(scene):
    for number, accuracy in enumerate((0.5, 0.3)):
        scene.begins(number)
        scene.epoch(number, 1, accuracy)
    assert scene.lines[-4:] == [
        "trial 0 epoch 1/4: train loss 1.000, val accuracy 50.00 %, 1,000 images/s (1st of 1 after epoch 1, 1 goes on)",
        "trial 1 starts: batch_size 64",
        "trial 1 epoch 1/4: train loss 1.000, val accuracy 30.00 %, 1,000 images/s",
        # Trial 0 has 3 epochs left, and the ended trial's one epoch is the guess for each of the two others: 5 · 30 s.
        "trial 1 stopped: 2nd of 2 after epoch 1, 1 goes on (about 2:30 left)",
    ]


def test_the_first_trial_that_ends_gives_an_estimate(scene):
    scene.begins(0)
    for epoch in range(1, 5):
        decision = scene.epoch(0, epoch, 0.5)
    assert decision is Decision.COMPLETE
    # Three more trials of 4 epochs.
    assert scene.lines[-1] == "trial 0 completed (about 6:00 left)"


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


def test_the_table_shows_what_runs_and_the_best_so_far():
    scene = Scene(TableView)
    scene.view.stop()
    scene.begins(0)
    scene.epoch(0, 1, 0.5)
    scene.begins(1)
    scene.view.console.print(scene.view.draw())
    table = scene.text.getvalue()
    assert re.search(r"^ +0 +running +1/4 +50\.00 % +1,000", table, re.MULTILINE)
    assert re.search(r"^ +1 +running +0/4 +– ", table, re.MULTILINE)
    assert "0/4 trials done · 2 running · best 50.00 % (trial 0)" in table
    # 3 + 4 epochs of the two that run and 8 of the two to come, 30 s each, two at once.
    assert "about 3:45 left" in table


def test_a_table_before_anything_happened_is_drawn():
    scene = Scene(TableView)
    scene.view.stop()
    scene.view.console.print(scene.view.draw())
    assert "0/4 trials done · 0 running" in scene.text.getvalue()

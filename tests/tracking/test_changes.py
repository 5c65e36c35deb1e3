"""Which event becomes what: decided without MLflow."""

import colorsys
from dataclasses import replace

import pytest
from histories import driver_ended, epoch_ended, split_opened

from cifarray.study.events import DriverStarted, MicroBatchHalved, StudyReported, TrialReopened
from cifarray.study.trial_record import Outcome
from cifarray.tracking.changes import CHECKPOINT_TAG, PARENT, StudyRuns
from cifarray.tracking.wording import brief, color, describe


def told(journal) -> StudyRuns:
    runs = StudyRuns()
    for event in journal.events:
        runs.apply(event)
    return runs


@pytest.mark.parametrize(
    ("outcome", "status"),
    [
        (Outcome.COMPLETED, "FINISHED"),
        (Outcome.STOPPED, "FINISHED"),
        (Outcome.DIVERGED, "FAILED"),
        (Outcome.OUT_OF_MEMORY, "FAILED"),
        (Outcome.FAILED, "FAILED"),
    ],
)
def test_outcome_decides_the_status(journal, outcome, status):
    journal.study()
    journal.trial(0)
    journal.outcome(0, outcome, message="why")
    change = told(journal).changes[0]
    assert (change.status, change.tags["outcome"], change.tags["message"]) == (status, outcome, "why")
    assert change.status_time == round(journal.now * 1000)


@pytest.mark.parametrize(
    ("reason", "status"), [("finished", "FINISHED"), ("interrupted", "KILLED"), ("error", "FAILED")]
)
def test_ended_study_has_no_running_run(journal, reason, status):
    journal.study()
    journal.trial(0)
    journal.trial(1)
    journal.outcome(0)
    journal.ended(reason)
    changes = told(journal).changes
    assert {key: change.status for key, change in changes.items()} == {PARENT: status, 0: "FINISHED", 1: "KILLED"}


def test_driver_that_died_silently_leaves_no_running_run(journal):
    journal.study()
    journal.trial(0)
    runs = told(journal)
    died = round(journal.now * 1000)
    runs.driver_gone()
    assert [(change.status, change.status_time) for change in runs.changes.values()] == [("KILLED", died)] * 2


def test_next_driver_closes_what_the_one_before_left_running(journal):
    journal.study()
    journal.trial(0)
    died = journal.now
    journal.now += 3600
    journal.driver()
    changes = told(journal).changes
    assert (changes[PARENT].status, changes[0].status) == ("RUNNING", "KILLED")
    assert changes[0].status_time == round(died * 1000), "it ended when it was last heard of, not an hour later"


def test_trial_that_goes_on_is_running_again(journal):
    journal.study()
    journal.trial(0)
    journal.driver()
    journal.start(0, epoch=1)
    assert told(journal).changes[0].status == "RUNNING"


def test_trial_that_pauses_is_neither_running_nor_over(journal):
    """Nor killed, where its driver is gone: it goes on when another one chooses it."""
    journal.study()
    journal.trial(0)
    journal.write(epoch_ended(0, 1, decision="pause", reason="2nd of 3 after epoch 1"))
    runs = told(journal)
    runs.driver_gone()
    assert runs.changes[0].status == "SCHEDULED"
    assert runs.changes[0].tags["decision"] == "paused: 2nd of 3 after epoch 1"
    journal.start(0, epoch=1)
    assert told(journal).changes[0].status == "RUNNING"


def test_smaller_micro_batches_are_told_as_a_tag_since_params_are_written_once(journal):
    journal.study()
    journal.trial(0)
    for epoch, accumulate in ((1, 2), (1, 4)):
        journal.write(MicroBatchHalved(trial=0, epoch=epoch, accumulate=accumulate, message="CUDA out of memory"))
    assert told(journal).changes[0].tags["accumulate"] == "2 after epoch 1, 4 after epoch 1"


def test_test_of_a_finished_study_wakes_nothing(journal):
    journal.whole_study()
    runs = told(journal)
    runs.changes.clear()
    runs.apply(journal.write(split_opened(1, opening=2, test_accuracy=0.8, test_loss=0.6)))
    runs.driver_gone()
    assert set(runs.changes) == {1}
    assert runs.changes[1].status is None
    assert runs.changes[1].tags == {"test_openings": "2"}
    assert [(point.name, point.value, point.step) for point in runs.changes[1].points] == [
        ("test_accuracy", 0.8, 2),
        ("test_loss", 0.6, 2),
    ]


def test_report_of_a_finished_study_is_the_parents_and_wakes_nothing(journal):
    journal.whole_study()
    runs = told(journal)
    runs.changes.clear()
    runs.apply(journal.write(StudyReported(metrics={"ablation_mixup": 0.01}, artifacts=("ablation.png",))))
    runs.driver_gone()
    assert set(runs.changes) == {PARENT}
    change = runs.changes[PARENT]
    assert (change.status, change.artifacts) == (None, ["ablation.png"])
    assert [(point.name, point.value, point.step) for point in change.points] == [("ablation_mixup", 0.01, 0)]


def test_epoch_that_is_trained_again_counts_once(journal):
    journal.study()
    journal.trial(0)
    journal.epoch(0, 1, accuracy=0.5)
    journal.epoch(0, 2, accuracy=0.6)
    journal.driver()
    journal.start(0, epoch=1)
    journal.epoch(0, 2, accuracy=0.6)
    points = [point for point in told(journal).changes[0].points if point.name == "val_accuracy"]
    assert [(point.step, point.value) for point in points] == [(1, 0.5), (2, 0.6)]


def test_best_accuracy_so_far_is_a_curve_over_epochs_spent(journal):
    journal.study()
    for trial in range(2):
        journal.trial(trial)
    for trial, epoch, accuracy in [(0, 1, 0.5), (1, 1, 0.4), (0, 2, 0.6)]:
        journal.epoch(trial, epoch, accuracy)
    points = told(journal).changes[PARENT].points
    assert [(point.name, point.step, point.value) for point in points] == [
        ("best_val_accuracy", 1, 0.5),
        ("best_val_accuracy", 3, 0.6),
    ]


def test_study_without_validation_images_has_no_best(journal):
    journal.study()
    journal.trial(0)
    journal.write(epoch_ended(0, 1, train_loss=1.0))
    assert told(journal).changes[PARENT].points == []


def test_checkpoint_tag_is_the_latest_kept_one(journal):
    journal.study()
    journal.trial(0)
    journal.epoch(0, 1, checkpoint="s3://bucket/1")
    journal.epoch(0, 2, checkpoint="s3://bucket/2")
    journal.epoch(0, 3, checkpoint="s3://bucket/3")
    journal.epoch(0, 4)

    def tag_after_dropping(epoch: int) -> str | None:
        journal.drop(0, epoch, f"s3://bucket/{epoch}")
        return told(journal).changes[0].tags[CHECKPOINT_TAG]

    assert told(journal).changes[0].tags[CHECKPOINT_TAG] == "s3://bucket/3"
    assert tag_after_dropping(3) == "s3://bucket/2"
    assert tag_after_dropping(1) == "s3://bucket/2"
    assert tag_after_dropping(2) is None


def test_compare_page_opens_with_what_is_searched_and_how_good_it_was(journal):
    journal.study()
    journal.trial(0)
    journal.epoch(0, 1)
    change = told(journal).changes[0]
    assert change.points[0].name == "val_accuracy", "MLflow shows the metric that was logged first"
    sizes = [name for name in change.params if name.endswith(("num_params", "macs"))]
    assert min(sizes) > max(name for name in change.params if name.startswith(("model.", "optimizer.", "schedule.")))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "none"),
        (True, "true"),
        (16, "16"),
        (0.0731294812, "0.0731295"),
        (5e-4, "0.0005"),
        ([0.3, 0.6, 0.8], "0.3,0.6,0.8"),
        ([], "none"),
        ("one_cycle", "one_cycle"),
    ],
)
def test_params_are_short(value, text):
    assert brief(value) == text


def test_neighbours_have_colours_that_differ():
    def hue(trial: int) -> float:
        red, green, blue = (int(color(trial)[start : start + 2], 16) / 255 for start in (1, 3, 5))
        return colorsys.rgb_to_hls(red, green, blue)[0]

    for first in range(50):
        hues = sorted(hue(trial) for trial in range(first, first + 6))
        gaps = [after - before for before, after in zip(hues, [*hues[1:], hues[0] + 1], strict=True)]
        assert min(gaps) > 1 / 12


def test_long_values_fit_into_mlflow(journal):
    journal.study()
    journal.trial(0)
    journal.outcome(0, Outcome.FAILED, message="x" * 100_000)
    assert len(told(journal).changes[0].tags["message"]) == 8000
    assert len(brief("x" * 100_000)) == 6000


def test_description_says_what_is_searched(journal):
    journal.study(num_trials=16)
    assert describe(journal.events[0]) == (
        "Searches model.widen_factor in {1, 2, 4}, optimizer.lr in 0.01..1 (log) · 16 trials · "
        "scheduler asha (reduction_factor=3, grace_epochs=1) · searcher random · 2 workers per trial"
    )
    alone = replace(journal.events[0], domains={}, num_trials=1, workers=1, scheduler=None)
    assert describe(alone) == "Trains one config · 1 trial · scheduler none · searcher random · 1 worker per trial"


def test_why_a_trial_was_stopped_or_went_on_last_is_a_tag(journal):
    journal.study()
    for number, (decision, reason) in enumerate(
        [("continue", "1st of 4 after epoch 1, 1 goes on"), ("stop", "2nd of 4 after epoch 1, 1 goes on")]
    ):
        journal.trial(number)
        journal.write(epoch_ended(number, 1, decision=decision, reason=reason))
    journal.epoch(0, 2)
    changes = told(journal).changes
    assert changes[0].tags["decision"] == "went on: 1st of 4 after epoch 1, 1 goes on"
    assert changes[1].tags["decision"] == "stopped: 2nd of 4 after epoch 1, 1 goes on"


def test_the_precision_of_the_last_epoch_is_a_tag(journal):
    journal.study()
    journal.trial(0)
    journal.epoch(0, 1)
    assert "precision" not in told(journal).changes[0].tags
    journal.write(replace(epoch_ended(0, 2), precision="bf16"))
    assert told(journal).changes[0].tags["precision"] == "bf16"


def test_the_commit_is_mlflows_own_tag(journal):
    journal.study()
    assert "mlflow.source.git.commit" not in told(journal).changes[PARENT].tags
    journal.write(DriverStarted(pid=1, versions={"torch": "2.9.0", "commit": "0123abcd with changes"}))
    assert told(journal).changes[PARENT].tags["mlflow.source.git.commit"] == "0123abcd"


def test_a_driver_that_goes_on_takes_the_error_of_the_one_before_away(journal):
    journal.study()
    journal.write(driver_ended("error", message="GroupStartError: no node has 8 GPUs"))
    assert told(journal).changes[PARENT].tags["message"] == "GroupStartError: no node has 8 GPUs"
    journal.driver()
    assert told(journal).changes[PARENT].tags["message"] is None
    journal.ended()
    assert told(journal).changes[PARENT].tags["message"] is None


def test_a_failed_trial_that_is_run_again_has_no_outcome_and_no_error(journal):
    journal.study()
    journal.trial(0)
    journal.outcome(0, Outcome.FAILED, "RuntimeError: no")
    runs = told(journal)
    assert runs.changes[0].tags["message"] == "RuntimeError: no"
    journal.write(TrialReopened(trial=0))
    runs = told(journal)
    assert (runs.changes[0].tags["outcome"], runs.changes[0].tags["message"]) == (None, None)
    journal.start(0)
    journal.outcome(0)
    runs = told(journal)
    assert (runs.changes[0].tags["outcome"], runs.changes[0].tags["message"]) == ("completed", None)
    assert runs.changes[0].status == "FINISHED"


def test_a_study_without_errors_removes_no_message(journal):
    journal.whole_study()
    assert "message" not in told(journal).changes[PARENT].tags


def test_only_what_differs_is_told_again(journal):
    journal.whole_study(num_trials=1)
    runs = told(journal)
    runs.changes.clear()
    runs.correct(0, "FINISHED", {CHECKPOINT_TAG: "/ck/0/2"})
    runs.correct(PARENT, "FINISHED", {})
    assert runs.changes == {}
    runs.correct(0, "RUNNING", {CHECKPOINT_TAG: "/ck/0/1"})
    runs.correct(PARENT, "FINISHED", {"message": "an error of last week"})
    assert (runs.changes[0].status, runs.changes[0].tags) == ("FINISHED", {CHECKPOINT_TAG: "/ck/0/2"})
    assert runs.changes[PARENT].tags == {"message": None}

"""A study at a glance in MLflow: data set, totals, description, where its code is from. Values are counted by hand."""

import json
from dataclasses import replace

import pytest
from histories import epoch_ended, study_started
from mlflow.tracking import MlflowClient
from test_changes import told

from cifarray.study.events import DriverStarted, GroupChanged, TrialReopened
from cifarray.study.trial_record import Outcome
from cifarray.tracking.changes import PARENT
from cifarray.tracking.mirror import Mirror
from cifarray.tracking.summary import data_set_of
from cifarray.tracking.wording import Links, note, source_tags, table_of_trials

DIGEST = "0123456789abcdef" * 4
COMMAND = "python jobs/tune_wrn.py --trials 4"


def driver(command: str = COMMAND, commit: str = "0123abcd with changes") -> DriverStarted:
    return DriverStarted(pid=1, versions={"commit": commit} if commit else {}, command=command, node="head")


def values(change, name):
    return [(point.value, point.step) for point in change.points if point.name == name]


def test_a_trial_that_is_over_has_its_totals(journal):
    """Two workers: worker-seconds are twice the seconds."""
    journal.study()
    journal.trial(0)
    for epoch, accuracy in enumerate((0.5, 0.7, 0.6), start=1):
        journal.epoch(0, epoch, accuracy, epoch_seconds=10.0 * epoch)
    journal.outcome(0)
    change = told(journal).changes[0]
    assert values(change, "best_val_accuracy") == [(0.7, 3)]
    assert values(change, "final_val_accuracy") == [(0.6, 3)]
    assert values(change, "epochs") == [(3.0, 3)]
    assert values(change, "worker_seconds") == [(120.0, 3)]


def test_the_best_of_losses_is_the_lowest_and_accuracies_are_told_beside_it(journal):
    journal.write(study_started("wrn", metric="val_loss"))
    journal.trial(0)
    for epoch, (loss, accuracy) in enumerate([(1.0, 0.3), (0.5, 0.8), (0.7, 0.9)], start=1):
        journal.epoch(0, epoch, accuracy, val_loss=loss)
    journal.outcome(0)
    change = told(journal).changes[0]
    assert values(change, "best_val_loss") == [(0.5, 3)]
    assert values(change, "final_val_loss") == [(0.7, 3)]
    assert values(change, "best_val_accuracy") == [(0.9, 3)]


def test_an_epoch_that_is_trained_again_is_counted_once(journal):
    journal.study()
    journal.trial(0)
    for epoch in (1, 2, 2):
        journal.epoch(0, epoch, 0.5, epoch_seconds=1.0)
    journal.outcome(0)
    assert values(told(journal).changes[0], "worker_seconds") == [(4.0, 2)]


def test_a_study_has_the_totals_of_its_trials(journal):
    journal.study()
    for number, outcome in enumerate((Outcome.COMPLETED, Outcome.FAILED)):
        journal.trial(number)
        journal.epoch(number, 1, 0.5, epoch_seconds=3.0)
        journal.outcome(number, outcome)
    journal.ended()
    change = told(journal).changes[PARENT]
    for name, value in {"trials": 2.0, "trials_completed": 1.0, "epochs": 2.0, "worker_seconds": 12.0}.items():
        assert values(change, name) == [(value, 0)], name


@pytest.mark.parametrize(
    ("outcomes", "reason", "status"),
    [
        ([Outcome.FAILED, Outcome.DIVERGED, Outcome.OUT_OF_MEMORY], "finished", "FAILED"),
        ([Outcome.FAILED, Outcome.COMPLETED], "finished", "FINISHED"),
        ([Outcome.FAILED, Outcome.STOPPED], "finished", "FINISHED"),
        ([Outcome.FAILED], "interrupted", "KILLED"),
        ([], "finished", "FINISHED"),
    ],
)
def test_a_study_whose_trials_all_failed_has_failed(journal, outcomes, reason, status):
    journal.study()
    for number, outcome in enumerate(outcomes):
        journal.trial(number)
        journal.outcome(number, outcome)
    journal.ended(reason)
    assert told(journal).changes[PARENT].status == status


def test_a_failed_trial_that_is_run_again_is_no_failure_of_the_study(journal):
    journal.study()
    journal.trial(0)
    journal.outcome(0, Outcome.FAILED)
    journal.write(TrialReopened(trial=0))
    journal.start(0)
    journal.outcome(0)
    journal.ended()
    assert told(journal).changes[PARENT].status == "FINISHED"


def test_the_best_five_stand_by_how_far_they_came_and_then_by_value(journal):
    journal.study()
    results = [(2, 0.5, "completed"), (1, 0.9, "stopped"), (2, 0.8, "completed"), (1, 0.2, "stopped")]
    results += [(2, 0.6, "completed"), (2, 0.7, "completed"), (2, 0.4, "completed")]
    for number, (epochs, value, outcome) in enumerate(results):
        journal.trial(number)
        for epoch in range(1, epochs + 1):
            journal.epoch(number, epoch, value)
        journal.outcome(number, Outcome(outcome))
    runs = told(journal)
    assert [number for number, _ in runs.summary.best()] == [2, 5, 4, 0, 6]
    runs.summary.changed = False
    journal.trial(7)
    journal.outcome(7, Outcome.FAILED)
    assert [number for number, _ in told(journal).summary.best()] == [2, 5, 4, 0, 6]
    journal.write(TrialReopened(trial=2))
    assert [number for number, _ in told(journal).summary.best()] == [5, 4, 0, 6, 1]


def test_of_stopped_trials_the_one_that_came_further_stands_before_the_better_one(journal):
    journal.study()
    for number, accuracies in enumerate([(0.9,), (0.2, 0.3)]):
        journal.trial(number)
        for epoch, accuracy in enumerate(accuracies, start=1):
            journal.epoch(number, epoch, accuracy)
        journal.outcome(number, Outcome.STOPPED)
    assert [number for number, _ in told(journal).summary.best()] == [1, 0]


def test_the_data_set_is_named_with_digest_and_sizes():
    started = study_started(data_sha256=DIGEST, train_images=45_000, held_out_images=5000, num_classes=10)
    config = {**started.config, "data": {**started.config["data"], "source": "s3://me:hunter22@bucket/cats"}}
    found = data_set_of(replace(started, config=config))
    assert found is not None
    assert (found.name, found.digest) == ("cats", DIGEST[:36])
    assert "hunter22" not in found.source
    assert json.loads(found.profile) == {"train": 45_000, "held out": 5000, "classes": 10, "image size": 32}
    assert data_set_of(study_started()) is None, "an older journal does not know it"


def test_a_trial_of_other_images_has_not_the_studys_data_set(journal):
    journal.write(study_started("wrn", data_sha256=DIGEST))
    journal.trial(0)
    journal.trial(1, {"data.source": "cifar100"})
    changes = told(journal).changes
    assert changes[PARENT].data_set == changes[0].data_set != None  # noqa: E711
    assert changes[1].data_set is None


@pytest.mark.parametrize(
    ("event", "tags"),
    [
        (
            driver(),
            {
                "mlflow.source.name": "jobs/tune_wrn.py",
                "mlflow.source.type": "LOCAL",
                "mlflow.source.git.commit": "0123abcd",
                "mlflow.source.git.dirty": "true",
            },
        ),
        (driver("python -c", "0123abcd"), {"mlflow.source.git.commit": "0123abcd", "mlflow.source.git.dirty": "false"}),
        (driver("", ""), {}),
    ],
)
def test_where_the_code_is_from_is_in_mlflows_own_tags(event, tags):
    assert source_tags(event) == tags


def test_the_command_and_the_machines_are_tags(journal):
    journal.study()
    journal.write(driver())
    journal.write(GroupChanged(group="group-0", event="ready", reason="2.0 s", nodes=("gpu-1", "gpu-2")))
    journal.trial(0)
    journal.trial(1)
    changes = told(journal).changes
    parent = {"cifarray.command": COMMAND, "cifarray.node": "head", "mlflow.source.name": "jobs/tune_wrn.py"}
    assert parent.items() <= changes[PARENT].tags.items()
    assert changes[0].tags["mlflow.source.git.commit"] == "0123abcd"
    assert changes[0].tags["cifarray.nodes"] == "gpu-1, gpu-2"
    assert "cifarray.nodes" not in changes[1].tags


def test_the_description_has_the_best_trials_and_links(journal):
    journal.study()
    journal.trial(0, {"model.widen_factor": 4, "optimizer.lr": 0.2})
    journal.epoch(0, 1, 0.7)
    journal.outcome(0)
    runs = told(journal)
    assert runs.started is not None
    links = Links("wrn", {0: "#/run"}, "#/table", "trial 0 is models:/m-1")
    lines = note(runs.started, runs.summary.best(), links).splitlines()
    assert lines[0].startswith("Searches model.widen_factor in {1, 2, 4}")
    assert "| trial | val accuracy | epochs | outcome | what varied |" in lines
    assert "| [wrn-0](#/run) | 70.00 % | 1 | completed | model.widen_factor=4, optimizer.lr=0.2 |" in lines
    assert lines[-3:] == ["[All trials, with what varied](#/table)", "", "trial 0 is models:/m-1"]


def test_the_table_of_runs_opens_with_the_metric_and_what_varies(journal):
    journal.study()
    started = told(journal).started
    assert started is not None
    view = table_of_trials(started, "cifarray.study")
    assert view["selectedColumns"][-3:] == [
        "metrics.`val_accuracy`",
        "params.`model.widen_factor`",
        "params.`optimizer.lr`",
    ]
    assert (view["orderByKey"], view["orderByAsc"]) == ("metrics.`val_accuracy`", False)
    assert view["searchFilter"] == "tags.`cifarray.study` = 'id-of-wrn'"
    assert table_of_trials(replace(started, metric="val_loss"), "cifarray.study")["orderByAsc"] is True


def test_mlflow_has_all_of_it_and_a_users_own_description_stays(journal, tracking_uri, experiment):
    journal.study()
    journal.events.clear()
    journal.path.unlink()
    journal.write(study_started("wrn", id=journal.id, data_sha256=DIGEST, train_images=9, held_out_images=1))
    journal.write(driver())
    journal.trial(0)
    journal.write(epoch_ended(0, 1, val_accuracy=0.5, epoch_seconds=1.0))
    journal.outcome(0)
    mirror = Mirror(journal.path, tracking_uri, experiment)
    mirror.update()
    client = MlflowClient(tracking_uri)
    parent, child = (client.get_run(run) for run in (mirror.state.parent_run_id, mirror.state.runs["0"]))
    for run in (parent, child):
        (given,) = run.inputs.dataset_inputs
        assert (given.dataset.name, given.dataset.digest) == ("cifar10", DIGEST[:36])
    assert child.data.metrics["final_val_accuracy"] == 0.5
    written = parent.data.tags["mlflow.note.content"]
    assert f"[wrn-0](#/experiments/{mirror.state.experiment_id}/runs/{child.info.run_id})" in written
    key = written.partition("viewStateShareKey=")[2].partition(")")[0]
    tags = client.get_experiment(mirror.state.experiment_id).tags
    view = json.loads(tags[f"mlflow.sharedViewState.{key}"])
    found = client.search_runs([mirror.state.experiment_id], view["searchFilter"])
    assert {run.info.run_id for run in found} == {parent.info.run_id, child.info.run_id}
    client.set_tag(parent.info.run_id, "mlflow.note.content", "my own words")
    journal.trial(1)
    journal.write(epoch_ended(1, 1, val_accuracy=0.6))
    journal.outcome(1)
    journal.ended()
    mirror.update(driver_gone=True)
    assert client.get_run(parent.info.run_id).data.tags["mlflow.note.content"] == "my own words"

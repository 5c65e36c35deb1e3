"""Requests that took effect though nobody heard of it: in the end each run is there once and as the journal says."""

import itertools
import random
from collections import Counter

import pytest
from lossy_server import FAILED, LATE, LOST
from mlflow.entities import ViewType
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from cifarray.study.trial_record import Outcome
from cifarray.tracking import mirror
from cifarray.tracking.mirror import Mirror


@pytest.fixture
def uri(server, gateway, monkeypatch):
    # As in the child process, where retries are its own.
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setattr(mirror, "EVENTS_PER_BATCH", 4)
    return f"http://{server[1]}"


@pytest.fixture
def client(tracking_uri):
    return MlflowClient(tracking_uri)


def write(journal):
    """Trial 0 is completed, trial 1 diverges, trial 2 is running when the driver is interrupted."""
    journal.study(num_trials=3)
    for number in range(3):
        journal.trial(number)
        for epoch in (1, 2):
            journal.epoch(number, epoch, accuracy=0.1 * epoch, checkpoint=f"/ck/{number}/{epoch}")
        journal.drop(number, 1, f"/ck/{number}/1")
    journal.outcome(0)
    journal.outcome(1, Outcome.DIVERGED, message="the loss is not finite")
    journal.ended("interrupted")


STATUSES = {"": "KILLED", "-0": "FINISHED", "-1": "FAILED", "-2": "KILLED"}


def mirrored(following, lives=None):
    """Update until it has succeeded; of `lives`, each try is a new mirror's."""
    for _ in range(200):
        try:
            (following if lives is None else lives()).update(driver_gone=True)
            return
        except MlflowException:
            pass
    pytest.fail("200 tries are not enough")


def check(client, experiment, name="wrn", deleted=0):
    """What MLflow has of the study is what its journal says, and nothing twice."""
    experiment_ids = [client.get_experiment_by_name(experiment).experiment_id]
    of_study = f"tags.`cifarray.study` = 'id-of-{name}'"
    runs = client.search_runs(experiment_ids, of_study)
    assert len(client.search_runs(experiment_ids, of_study, ViewType.DELETED_ONLY)) == deleted
    counted = Counter(run.info.run_name for run in runs)
    assert counted == {f"{name}{suffix}": 1 for suffix in STATUSES}
    named = {run.info.run_name.removeprefix(name): run for run in runs}
    assert {suffix: run.info.status for suffix, run in named.items()} == STATUSES
    assert {point.step: point.value for point in metrics(client, named[""], "best_val_accuracy")} == {1: 0.1, 2: 0.2}
    for number in range(3):
        run = named[f"-{number}"]
        assert [(point.step, point.value) for point in metrics(client, run, "val_accuracy")] == [(1, 0.1), (2, 0.2)]
        assert run.data.tags["cifarray.checkpoint"] == f"/ck/{number}/2"
        assert run.data.tags["mlflow.parentRunId"] == named[""].info.run_id
        assert run.data.params["model.widen_factor"] == "2"
    assert named["-1"].data.tags["message"] == "the loss is not finite"


def metrics(client, run, name):
    return sorted(client.get_metric_history(run.info.run_id, name), key=lambda point: point.step)


WAYS = [(fault, killed) for fault in (LOST, FAILED) for killed in (False, True)]
"""What happens to an answer, and whether a new mirror goes on after it."""
FOURTHS = [pytest.param(*way, first, len(WAYS), id=f"{way}") for first, way in enumerate(WAYS)]
ALL = [pytest.param(*way, 0, 1, id=f"all {way}", marks=pytest.mark.nightly) for way in WAYS]


@pytest.mark.parametrize(("fault", "killed", "first", "step"), FOURTHS + ALL)
def test_each_answer_in_turn_is_lost(new_journal, uri, gateway, client, experiment, fault, killed, first, step):
    """Each in one of the ways; at night each in all of them."""
    for number in itertools.count(first, step):
        name = f"wrn{number}"
        journal = new_journal(name, name)
        write(journal)
        gateway.requests.clear()
        gateway.fault = lambda nth, path, number=number: fault if nth == number else None

        def new_mirror(journal=journal):
            return Mirror(journal.path, uri, experiment)

        mirrored(new_mirror(), new_mirror if killed else None)
        check(client, experiment, name)
        if len(gateway.requests) <= number:
            break
    assert number > 20


@pytest.mark.parametrize("fault", [LOST, FAILED])
def test_a_server_that_loses_two_answers_of_five(journal, uri, gateway, client, experiment, fault):
    write(journal)
    chance = random.Random(0)
    gateway.fault = lambda nth, path: fault if chance.random() < 0.4 else None
    mirrored(Mirror(journal.path, uri, experiment))
    check(client, experiment)


def test_the_first_answer_to_everything_is_lost(journal, uri, gateway, client, experiment):
    """Also that of the experiment's making."""
    write(journal)
    gateway.fault = lambda nth, path: LOST if path not in gateway.requests else None
    mirrored(Mirror(journal.path, uri, experiment))
    assert "experiments/create" in gateway.requests
    check(client, experiment)


@pytest.mark.parametrize("runs", [1, 2, 4])
def test_a_run_whose_making_takes_effect_only_after_it_was_made_again(journal, uri, gateway, client, experiment, runs):
    write(journal)
    late = []

    def first_ones_are_late(nth, path):
        if path == "runs/create" and len(late) < runs:
            late.append(nth)
            return LATE
        if path == "runs/log-batch" and len(late) == runs:
            gateway.take_effect()
        return None

    gateway.fault = first_ones_are_late
    mirrored(Mirror(journal.path, uri, experiment))
    assert len(late) == runs
    check(client, experiment, deleted=runs)


def test_what_takes_effect_after_the_end_is_mended_by_the_next_command(journal, uri, gateway, client, experiment):
    write(journal)
    gateway.fault = lambda nth, path: LATE if path == "runs/create" and path not in gateway.requests else None
    mirrored(Mirror(journal.path, uri, experiment))
    assert gateway.take_effect() == 1
    # It need not wait for the end of a long one.
    Mirror(journal.path, uri, experiment).update()
    check(client, experiment, deleted=1)


def test_a_status_that_arrives_after_a_later_one(journal, uri, gateway, client, experiment):
    journal.study(num_trials=1)
    journal.ended("interrupted")
    Mirror(journal.path, uri, experiment).update(driver_gone=True)
    journal.driver()
    following = Mirror(journal.path, uri, experiment)
    gateway.fault = lambda nth, path: LATE if path == "runs/update" else None
    with pytest.raises(MlflowException):
        following.update()
    gateway.fault = lambda nth, path: None
    journal.ended()
    following.update()
    assert gateway.take_effect() == 1
    parent = following.state.parent_run_id
    assert client.get_run(parent).info.status == "RUNNING", "the late one"
    following.update(driver_gone=True)
    assert client.get_run(parent).info.status == "FINISHED"


def test_a_run_that_was_made_twice_and_told_something_is_not_deleted(journal, uri, client, experiment):
    write(journal)
    mirrored(Mirror(journal.path, uri, experiment))
    experiment_id = client.get_experiment_by_name(experiment).experiment_id
    tags = {"cifarray.study": journal.id, "cifarray.trial": "0"}
    with_metrics = client.create_run(experiment_id, tags=tags).info.run_id
    client.log_metric(with_metrics, "mine", 1.0)
    following = Mirror(journal.path, uri, experiment)
    following.state.doubtful = True
    journal.driver()
    following.update()
    assert client.get_run(with_metrics).info.lifecycle_stage == "active"


def test_children_of_a_parent_that_was_deleted_get_the_new_one(journal, uri, client, experiment):
    write(journal)
    first = Mirror(journal.path, uri, experiment)
    mirrored(first)
    deleted = first.state.parent_run_id
    client.delete_run(deleted)
    journal.driver()
    journal.ended("interrupted")
    second = Mirror(journal.path, uri, experiment)
    mirrored(second)
    check(client, experiment, deleted=1)
    assert second.state.runs == first.state.runs, "the trials' runs are the ones that were there"
    assert second.state.remark == f"{uri} no longer has run {deleted}: the study was sent there anew"


def test_a_parent_that_is_deleted_while_the_driver_runs_is_made_anew(journal, uri, client, experiment):
    journal.study(num_trials=3)
    following = Mirror(journal.path, uri, experiment)
    following.update()
    client.delete_run(following.state.parent_run_id)
    journal.path.unlink()
    journal.now = 1_700_000_000.0
    write(journal)
    mirrored(following)
    check(client, experiment, deleted=1)

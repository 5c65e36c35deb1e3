"""What MLflow has after the mirror: a real SQLite database, read back through MLflow's own client."""

import json
import os
import resource
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from histories import OLDER, driver_ended, driver_started, epoch_ended, sampled
from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from cifarray.places import default_tracking_uri
from cifarray.study.events import EpochEnded, WorkersRestarted
from cifarray.study.trial_record import Outcome
from cifarray.tracking import checkpoint_of_run, mirror
from cifarray.tracking.mirror import Mirror
from cifarray.tracking.state import State
from cifarray.tracking.wording import color


@pytest.fixture
def client(tracking_uri: str) -> MlflowClient:
    return MlflowClient(tracking_uri)


@pytest.fixture
def new_mirror(tracking_uri: str, experiment: str, journal) -> Callable[[], Mirror]:
    return lambda: Mirror(journal.path, tracking_uri, experiment)


@pytest.fixture
def runs(client: MlflowClient, experiment: str) -> Callable[[], dict[str, Run]]:
    """All runs of the test's experiment by name; a name that is there twice fails the test."""

    def read() -> dict[str, Run]:
        found = client.search_runs([client.get_experiment_by_name(experiment).experiment_id])
        named = {run.info.run_name: run for run in found}
        assert len(named) == len(found), f"runs that are there twice: {[run.info.run_name for run in found]}"
        return named

    return read


def statuses(runs: dict[str, Run]) -> dict[str, str]:
    return {name: run.info.status for name, run in runs.items()}


def history(client: MlflowClient, run: Run, metric: str = "val_accuracy") -> list[tuple[int, float]]:
    return sorted((point.step, point.value) for point in client.get_metric_history(run.info.run_id, metric))


def test_study_is_a_parent_and_trials_are_its_children(journal, new_mirror, runs, client, tmp_path):
    leaderboard = journal.path.with_name("leaderboard.csv")
    leaderboard.write_text("trial,val_accuracy\n")
    journal.study(num_trials=1)
    journal.trial(0, {"model.widen_factor": 4, "optimizer.lr": 0.2})
    journal.epoch(0, 1, accuracy=0.5, checkpoint="/results/1", lr=0.2)
    journal.epoch(0, 2, accuracy=0.7, lr=0.0)
    journal.write(WorkersRestarted(trial=0, restarts=1, epoch=1))
    journal.outcome(0)
    journal.ended(artifacts=(str(leaderboard), str(tmp_path / "not-there.csv")))
    new_mirror().update()

    parent, child = runs()["wrn"], runs()["wrn-0"]
    assert child.data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert statuses(runs()) == {"wrn": "FINISHED", "wrn-0": "FINISHED"}
    expected = {"model.widen_factor": "4", "optimizer.lr": "0.2", "clip_norm": "none", "size.num_params": "691674"}
    assert expected.items() <= child.data.params.items()
    assert {
        "study.num_trials": "1",
        "study.workers": "2",
        "model.widen_factor": "1",
    }.items() <= parent.data.params.items()
    assert "Searches model.widen_factor" in parent.data.tags["mlflow.note.content"]
    tags = {
        "worker_group": "group-0",
        "restarts": "1",
        "outcome": "completed",
        "cifarray.checkpoint": "/results/1",
        "cifarray.params": "model.widen_factor=4, optimizer.lr=0.2",
        "mlflow.runColor": color(0),
    }
    assert tags.items() <= child.data.tags.items()
    assert history(client, child) == [(1, 0.5), (2, 0.7)]
    assert history(client, child, "train_loss") == [(1, 1.0), (2, 0.5)]
    assert "epoch" not in child.data.metrics
    assert [point.timestamp for point in client.get_metric_history(child.info.run_id, "val_accuracy")] == [
        round(event.time * 1000) for event in journal.events if isinstance(event, EpochEnded)
    ]
    assert parent.data.metrics["best_val_accuracy"] == 0.7
    assert [item.path for item in client.list_artifacts(parent.info.run_id)] == ["leaderboard.csv"]


def test_events_are_told_as_they_come(journal, new_mirror, runs, client):
    mirror = new_mirror()
    journal.study()
    journal.trial(0)
    mirror.update()
    assert statuses(runs()) == {"wrn": "RUNNING", "wrn-0": "RUNNING"}
    journal.epoch(0, 1, accuracy=0.4, checkpoint="/results/1")
    mirror.update()
    assert history(client, runs()["wrn-0"]) == [(1, 0.4)]
    journal.drop(0, 1, "/results/1")
    mirror.update()
    assert "cifarray.checkpoint" not in runs()["wrn-0"].data.tags


def test_line_without_its_end_is_not_there_yet(journal, new_mirror, runs):
    mirror = new_mirror()
    journal.study()
    whole = journal.path.read_bytes()
    journal.trial(0)
    both = journal.path.read_bytes()
    journal.path.write_bytes(both[: len(whole) + 20])
    mirror.update()
    assert set(runs()) == {"wrn"}
    journal.path.write_bytes(both)
    mirror.update()
    assert runs()["wrn-0"].data.params["model.widen_factor"] == "2"


def test_line_that_nobody_understands_is_left_out(journal, new_mirror, runs):
    journal.study()
    journal.write_line('{"kind": "epoch", "trial": 0}')
    journal.write_line('{"kind": "a kind of a later version"}')
    journal.trial(0)
    new_mirror().update()
    assert set(runs()) == {"wrn", "wrn-0"}


def test_a_journal_from_before_there_were_formats_is_mirrored(journal, new_mirror, runs, client):
    journal.path.write_text(OLDER)
    new_mirror().update()
    assert statuses(runs()) == {"wrn": "FINISHED", "wrn-0": "FINISHED", "wrn-1": "FINISHED"}
    assert history(client, runs()["wrn-0"]) == [(1, 0.5), (2, 0.6)]
    tags = {"outcome": "completed", "restarts": "1", "cifarray.checkpoint": "/storage/0/2", "test_openings": "1"}
    assert tags.items() <= runs()["wrn-0"].data.tags.items()
    assert runs()["wrn-1"].data.tags["outcome"] == "stopped"
    assert not {"decision", "precision"} & runs()["wrn-1"].data.tags.keys()


@pytest.mark.parametrize("ended", [True, False])
def test_no_run_stays_running_after_the_driver(journal, new_mirror, runs, ended):
    journal.study()
    journal.trial(0)
    if ended:
        journal.ended("interrupted")
    new_mirror().update(driver_gone=True)
    assert statuses(runs()) == {"wrn": "KILLED", "wrn-0": "KILLED"}


def test_a_paused_trial_is_scheduled_and_runs_when_it_goes_on(journal, new_mirror, runs):
    journal.study()
    for number in (0, 1):
        journal.trial(number)
    mirror = new_mirror()
    mirror.update()
    journal.write(epoch_ended(0, 1, decision="pause", val_accuracy=0.5))
    mirror.update()
    assert statuses(runs()) == {"wrn": "RUNNING", "wrn-0": "SCHEDULED", "wrn-1": "RUNNING"}
    journal.start(0, epoch=1)
    journal.write(epoch_ended(1, 1, decision="pause", val_accuracy=0.5))
    new_mirror().update()
    assert statuses(runs()) == {"wrn": "RUNNING", "wrn-0": "RUNNING", "wrn-1": "SCHEDULED"}
    new_mirror().update(driver_gone=True)
    assert statuses(runs()) == {"wrn": "KILLED", "wrn-0": "KILLED", "wrn-1": "SCHEDULED"}


def test_next_command_closes_what_a_killed_driver_and_mirror_left(journal, new_mirror, runs):
    journal.study()
    journal.trial(0)
    journal.trial(1)
    new_mirror().update()
    journal.driver()
    journal.start(1)
    new_mirror().update()
    assert statuses(runs()) == {"wrn": "RUNNING", "wrn-0": "KILLED", "wrn-1": "RUNNING"}


class Killed(BaseException):
    """Stands for kill -9: nothing that the mirror could catch."""


class MortalClient:
    """MLflow's client, until the process is killed just before or just after its nth request."""

    def __init__(self, client: MlflowClient, requests: int, after: bool) -> None:
        self._client, self._left, self._after = client, requests, after

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)

        def request(*args: Any, **kwargs: Any) -> Any:
            self._left -= 1
            if self._left < 0 and not self._after:
                raise Killed
            answer = method(*args, **kwargs)
            if self._left < 0:
                raise Killed
            return answer

        return request


@pytest.mark.parametrize("noted", [pytest.param(True, marks=pytest.mark.slow), False])
@pytest.mark.parametrize("after", [False, True])
def test_kill_at_any_request_leaves_each_trial_and_each_epoch_once(
    new_journal, tracking_uri, experiment, runs, client, monkeypatch, after, noted
):
    monkeypatch.setattr(mirror, "EVENTS_PER_BATCH", 2)
    for requests in range(1000):
        name = f"wrn{requests}"
        journal = new_journal(name, name)
        journal.whole_study(num_trials=1, epochs=2)
        with monkeypatch.context() as patch:
            patch.setattr(mirror, "MlflowClient", lambda uri, n=requests: MortalClient(MlflowClient(uri), n, after))
            try:
                Mirror(journal.path, tracking_uri, experiment).update(driver_gone=True)
                break
            except Killed:
                if not noted:
                    (journal.path.parent / "tracking.json").unlink(missing_ok=True)
        Mirror(journal.path, tracking_uri, experiment).update(driver_gone=True)
    assert requests > 10
    found = runs()
    assert len(found) == 2 * (requests + 1)
    assert set(statuses(found).values()) == {"FINISHED"}
    for number in range(requests):
        run = found[f"wrn{number}-0"]
        assert history(client, run) == [(1, 0.1), (2, 0.2)]
        assert run.data.tags["cifarray.checkpoint"] == "/ck/0/2"
        assert run.data.tags["mlflow.parentRunId"] == found[f"wrn{number}"].info.run_id


def test_mlflow_that_lost_the_study_gets_all_of_it_again(journal, new_mirror, runs, client):
    journal.whole_study()
    new_mirror().update()
    for run in runs().values():
        client.delete_run(run.info.run_id)
    journal.driver()
    journal.ended()
    new_mirror().update()
    assert set(runs()) == {"wrn", "wrn-0", "wrn-1"}


def test_another_mlflow_gets_the_study_from_its_beginning(journal, new_mirror, tracking_uri, experiment, client):
    journal.whole_study()
    new_mirror().update()
    other = f"{experiment}-other"
    Mirror(journal.path, tracking_uri, other).update()
    assert len(client.search_runs([client.get_experiment_by_name(other).experiment_id])) == 3


def test_run_that_somebody_deleted_does_not_hold_up_the_others(journal, new_mirror, runs, client):
    mirror = new_mirror()
    journal.study()
    journal.trial(0)
    journal.trial(1)
    mirror.update()
    client.delete_run(runs()["wrn-0"].info.run_id)
    journal.epoch(0, 1)
    journal.epoch(1, 1, accuracy=0.3)
    mirror.update()
    assert history(client, runs()["wrn-1"]) == [(1, 0.3)]


def test_params_that_cannot_change_do_not_hold_up_metrics(journal, new_mirror, runs, client):
    mirror = new_mirror()
    journal.study()
    journal.trial(0, {"model.widen_factor": 1})
    mirror.update()
    journal.trial(0, {"model.widen_factor": 4})
    journal.epoch(0, 1, accuracy=0.3)
    mirror.update()
    assert history(client, runs()["wrn-0"]) == [(1, 0.3)]


def test_mlflow_that_is_away_loses_nothing(journal, new_mirror, runs, client, monkeypatch):
    class Away(MortalClient):
        def __getattr__(self, name: str) -> Any:
            if name == "log_batch":
                raise MlflowException("no route to host")
            return getattr(self._client, name)

    journal.whole_study(num_trials=1)
    following = new_mirror()
    monkeypatch.setattr(mirror, "MlflowClient", lambda uri: Away(client, 0, False))
    for _ in range(3):
        with pytest.raises(MlflowException, match="no route"):
            following.update()
    assert following.state.waiting(journal.path) == len(journal.events)
    monkeypatch.undo()
    new_mirror().update()
    assert history(client, runs()["wrn-0"]) == [(1, 0.1), (2, 0.2)]
    assert new_mirror().state.waiting(journal.path) == 0


def test_many_params_and_epochs_fit_into_mlflows_limits(journal, new_mirror, runs, client):
    journal.study()
    options = {f"option_{number}": number for number in range(230)}
    journal.write(sampled(0, config={"model": options}))
    for epoch in range(1, 1201):
        journal.epoch(0, epoch)
    new_mirror().update()
    run = runs()["wrn-0"]
    assert sum(name.startswith("model.option_") for name in run.data.params) == 230
    assert len(client.get_metric_history(run.info.run_id, "val_accuracy")) == 1200


def test_checkpoint_of_run_is_its_address(journal, new_mirror, runs, tracking_uri, tmp_path):
    journal.study()
    journal.trial(0)
    journal.trial(1)
    journal.epoch(0, 1, checkpoint="s3://bucket/1")
    new_mirror().update()
    assert checkpoint_of_run(runs()["wrn-0"].info.run_id, tracking_uri) == "s3://bucket/1"
    with pytest.raises(ValueError, match=r"wrn-1 .* has no kept checkpoint"):
        checkpoint_of_run(runs()["wrn-1"].info.run_id, tracking_uri)
    with pytest.raises(ValueError, match="cannot be read"):
        checkpoint_of_run("0" * 32, tracking_uri)
    nowhere = tmp_path / "nowhere.db"
    with pytest.raises(ValueError, match="does not exist"):
        checkpoint_of_run("0" * 32, f"sqlite:///{nowhere}")
    assert not nowhere.exists()


def test_torn_state_file_is_no_state(journal, tracking_uri, experiment):
    state = State(tracking_uri, experiment, position=7)
    state.save(journal.path)
    assert State.load(journal.path, tracking_uri, experiment) == state
    path: Path = journal.path.parent / "tracking.json"
    path.write_text(json.dumps({"position": 7})[:-3])
    assert State.load(journal.path, tracking_uri, experiment) == State(tracking_uri, experiment)


def test_moved_study_goes_on(journal, new_mirror, runs, tracking_uri, experiment, tmp_path):
    journal.whole_study()
    new_mirror().update()
    moved = tmp_path / "moved"
    shutil.move(journal.path.parent, moved)
    Mirror(moved / "journal.jsonl", tracking_uri, experiment).update()
    assert set(runs()) == {"wrn", "wrn-0", "wrn-1"}


def test_moved_study_has_its_checkpoints_where_they_are_now(
    journal, new_mirror, runs, tracking_uri, experiment, tmp_path
):
    report = journal.path.with_name("leaderboard.csv")
    report.write_text("trial,val_accuracy\n")
    journal.study()
    journal.trial(0)
    journal.epoch(0, 1, checkpoint=f"{journal.path.parent}/trial-0000/epoch-0001.pt")
    new_mirror().update()
    moved = tmp_path / "moved"
    shutil.move(journal.path.parent, moved)
    journal.path = moved / "journal.jsonl"
    journal.ended(artifacts=(str(report),))
    Mirror(journal.path, tracking_uri, experiment).update()
    run = runs()["wrn-0"]
    assert run.data.tags["cifarray.checkpoint"] == f"{moved}/trial-0000/epoch-0001.pt"
    assert checkpoint_of_run(run.info.run_id, tracking_uri) == f"{moved}/trial-0000/epoch-0001.pt"
    client = MlflowClient(tracking_uri)
    assert [item.path for item in client.list_artifacts(runs()["wrn"].info.run_id)] == ["leaderboard.csv"]


def test_a_copied_study_has_runs_of_its_own(journal, new_mirror, runs, tracking_uri, experiment, client, tmp_path):
    """From its beginning, and the original's stay as they are."""
    journal.study(num_trials=3)
    journal.path.with_name("study.json").write_text(json.dumps({"id": journal.id}))
    journal.trial(0)
    journal.epoch(0, 1, accuracy=0.4, checkpoint=f"{journal.path.parent}/trial-0000/epoch-0001.pt")
    new_mirror().update()
    before = {name: run.to_dictionary() for name, run in runs().items()}
    copied = tmp_path / "copied"
    shutil.copytree(journal.path.parent, copied)
    original, journal.path = journal.path, copied / "journal.jsonl"
    journal.driver()
    journal.epoch(0, 2, accuracy=0.6, checkpoint=f"{copied}/trial-0000/epoch-0002.pt")
    Mirror(journal.path, tracking_uri, experiment).update()
    journal.trial(1)
    journal.outcome(1)
    Mirror(journal.path, tracking_uri, experiment).update()
    found = runs()
    assert set(found) == {"wrn", "wrn-0", "copied", "copied-0", "copied-1"}
    assert {name: found[name].to_dictionary() for name in before} == before
    for name in ("copied-0", "copied-1"):
        assert found[name].data.tags["mlflow.parentRunId"] == found["copied"].info.run_id
    assert history(client, found["copied-0"]) == [(1, 0.4), (2, 0.6)]
    assert checkpoint_of_run(found["copied-0"].info.run_id, tracking_uri) == f"{copied}/trial-0000/epoch-0002.pt"
    # The original goes on with its own, also where its file of them is lost.
    original.with_name("tracking.json").unlink()
    Mirror(original, tracking_uri, experiment).update(driver_gone=True)
    assert set(runs()) == set(found)
    assert statuses(runs())["wrn-0"] == "KILLED"


def test_finished_study_has_no_message_of_a_driver_that_failed(journal, new_mirror, runs):
    journal.study()
    journal.write(driver_ended("error", message="GroupStartError: no node has 8 GPUs"))
    new_mirror().update(driver_gone=True)
    assert runs()["wrn"].data.tags["message"] == "GroupStartError: no node has 8 GPUs"
    journal.driver()
    journal.ended()
    new_mirror().update(driver_gone=True)
    assert runs()["wrn"].info.status == "FINISHED"
    assert "message" not in runs()["wrn"].data.tags


def test_password_of_an_older_state_file_is_taken_out_and_mlflow_is_still_the_same(journal):
    path = journal.path.with_name("tracking.json")
    uri = "http://me:hunter22@mlflow:5000"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"tracking_uri": uri, "experiment": "cifarray", "position": 7, "parent_run_id": "f00d"}))
    state = State.load(journal.path, "http://me:new-password@mlflow:5000", "cifarray")
    assert (state.position, state.parent_run_id) == (7, "f00d")
    state.save(journal.path)
    assert "hunter22" not in path.read_text()
    assert State.load(journal.path, "http://me:hunter22@elsewhere:5000", "cifarray").position == 0


def test_a_full_disk_under_the_database_loses_and_doubles_nothing(new_journal, tmp_path, monkeypatch):
    """No file of this process may grow beyond what the database has now, as where no block is left."""
    uri = default_tracking_uri(str(tmp_path))
    first = new_journal("first", "first")
    first.whole_study(num_trials=1)
    Mirror(first.path, uri, "full").update(driver_gone=True)
    journal = new_journal("study", "wrn")
    journal.whole_study(num_trials=2, epochs=40)
    following = Mirror(journal.path, uri, "full")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (16_384, limits[1]))
    try:
        with pytest.raises(Exception, match="disk"):
            following.update(driver_gone=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    following.update(driver_gone=True)
    client = MlflowClient(uri)
    found = client.search_runs([client.get_experiment_by_name("full").experiment_id])
    assert sorted(run.info.run_name for run in found) == ["first", "first-0", "wrn", "wrn-0", "wrn-1"]
    assert {run.info.status for run in found} == {"FINISHED"}
    for run in found:
        if run.info.run_name.startswith("wrn-"):
            assert [step for step, _ in history(client, run)] == list(range(1, 41))


def test_what_comes_in_place_of_a_damaged_end_is_told_too(journal, new_mirror, runs):
    """A repaired journal may soon be as long again as what MLflow was told of it."""
    journal.study()
    begin = journal.path.stat().st_size
    journal.trial(0)
    journal.outcome(0, Outcome.FAILED, message="of the damaged end")
    new_mirror().update()
    told = journal.path.stat().st_size
    os.truncate(journal.path, begin)
    State.cut_back(journal.path)
    journal.trial(0)
    journal.outcome(0, Outcome.COMPLETED, message="")
    while journal.path.stat().st_size < told:
        journal.write(driver_started())
    new_mirror().update()
    assert runs()["wrn-0"].data.tags["outcome"] == "completed"
    assert runs()["wrn-0"].info.status == "FINISHED"

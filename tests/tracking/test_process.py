"""The child process: killed, left alone, without a database, in a dirty environment."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import pytest
from filelock import FileLock
from lossy_server import LOST
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from cifarray.places import default_tracking_uri
from cifarray.tracking import Tracking
from cifarray.tracking.__main__ import LOCK_NAME, Driver, follow
from cifarray.tracking.mirror import Mirror
from cifarray.tracking.state import State

CLOSED_PORT = "http://127.0.0.1:9"


@pytest.fixture
def runs(tracking_uri: str, experiment: str) -> Callable[[], dict[str, str]]:
    """Status by name of all runs of the test's experiment."""
    client = MlflowClient(tracking_uri)

    def read() -> dict[str, str]:
        found = client.search_runs([client.get_experiment_by_name(experiment).experiment_id])
        assert len({run.info.run_name for run in found}) == len(found)
        return {run.info.run_name: run.info.status for run in found}

    return read


@pytest.fixture
def pipe() -> Iterator[tuple[int, IO[bytes]]]:
    """A driver's pipe: the end that is read, and the file whose closing means that the driver is gone."""
    reader, writer = os.pipe()
    with os.fdopen(writer, "wb") as driver:
        yield reader, driver
    os.close(reader)


def test_importing_tracking_does_not_import_mlflow():
    code = "import sys, cifarray.tracking; sys.exit(bool({'mlflow', 'torch', 'ray'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_the_default_database_lies_beside_local_results(tmp_path, monkeypatch):
    monkeypatch.setenv("CIFARRAY_HOME", str(tmp_path / "home"))
    assert default_tracking_uri(str(tmp_path / "results")) == f"sqlite:///{tmp_path}/results/mlflow.db"
    assert default_tracking_uri("s3://bucket/results") == f"sqlite:///{tmp_path}/home/mlflow.db"


def test_events_arrive_while_the_driver_lives_and_all_are_there_when_it_ends(
    journal, tracking_uri, experiment, runs, monkeypatch, tmp_path
):
    # Somebody's leftovers must not matter: neither a run nor an experiment, nor the folder that the job started in.
    monkeypatch.setenv("MLFLOW_RUN_ID", "0" * 32)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", "12345")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "somebody")
    monkeypatch.chdir(tmp_path)
    journal.study()
    journal.trial(0)
    tracking = Tracking(Path("study/journal.jsonl"), tracking_uri, experiment)
    state = journal.path.parent / "tracking.json"
    wait_until(lambda: state.exists() and '"0"' in state.read_text())
    journal.epoch(0, 1)
    journal.outcome(0)
    journal.ended()
    # Ctrl-C in the driver's terminal, and what stops a job, reach the child's process too.
    os.kill(tracking._process.pid, signal.SIGINT)
    os.kill(tracking._process.pid, signal.SIGTERM)
    os.kill(tracking._process.pid, signal.SIGHUP)
    os.kill(tracking._process.pid, signal.SIGSTOP)
    for _ in range(100_000):  # more than a pipe holds
        tracking.wake()
    os.kill(tracking._process.pid, signal.SIGCONT)
    result = tracking.finish(timeout=240)
    assert (result.ok, result.waiting_events, result.message) == (True, 0, "")
    assert runs() == {"wrn": "FINISHED", "wrn-0": "FINISHED"}
    assert result.parent_run_id in state.read_text()


def test_driver_that_dies_leaves_no_running_run(journal, tracking_uri, experiment, runs):
    journal.study()
    journal.trial(0)
    code = (
        "import os, sys; from pathlib import Path; from cifarray.tracking import Tracking;"
        "tracking = Tracking(Path(sys.argv[1]), *sys.argv[2:]); print(tracking._process.pid); os.abort()"
    )
    command = [sys.executable, "-c", code, str(journal.path), tracking_uri, experiment]
    driver = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    assert driver.returncode == -signal.SIGABRT
    # The lock is the child's last word.
    wait_until(lambda: (journal.path.parent / "tracking.json").exists())
    with FileLock(journal.path.with_name(LOCK_NAME), timeout=60):
        assert runs() == {"wrn": "KILLED", "wrn-0": "KILLED"}


def test_dead_server_stops_nothing_and_loses_nothing(journal, tracking_uri, experiment, runs, pipe, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    journal.whole_study()
    reader, driver = pipe
    driver.close()
    started = time.monotonic()
    assert follow(Mirror(journal.path, CLOSED_PORT, experiment), Driver(reader), grace=0.5) == 3
    assert time.monotonic() - started < 10
    assert follow(Mirror(journal.path, tracking_uri, experiment), Driver(reader), grace=0.5) == 0
    assert runs() == {"wrn": "FINISHED", "wrn-0": "FINISHED", "wrn-1": "FINISHED"}


def test_server_that_comes_back_gets_everything(journal, tracking_uri, experiment, runs, pipe, monkeypatch):
    following = Mirror(journal.path, tracking_uri, experiment)
    update, tries = following.update, []

    def away_twice(driver_gone: bool = False) -> None:
        tries.append(driver_gone)
        if len(tries) <= 2:
            raise ConnectionError("no route to host")
        update(driver_gone)

    monkeypatch.setattr(following, "update", away_twice)
    journal.whole_study()
    reader, driver = pipe
    thread = threading.Thread(target=lambda: (wait_until(lambda: len(tries) == 3), driver.close()))
    thread.start()
    assert follow(following, Driver(reader), grace=0) == 0
    thread.join()
    assert tries == [False, False, False, True]
    assert set(runs()) == {"wrn", "wrn-0", "wrn-1"}


def test_a_server_that_loses_answers_after_the_driver_has_ended_is_not_given_up_while_it_gives_some(
    journal, gateway, server, tracking_uri, experiment, runs, pipe, monkeypatch
):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setattr("cifarray.tracking.__main__.LONGEST_LAST_PAUSE", 0.0)
    journal.whole_study(num_trials=4)
    reader, driver = pipe
    driver.close()
    gateway.fault = lambda nth, path: LOST if nth % 7 == 6 else None
    assert follow(Mirror(journal.path, f"http://{server[1]}", experiment), Driver(reader), grace=0.0) == 0
    assert len(gateway.requests) > 14
    assert runs() == {"wrn": "FINISHED", **{f"wrn-{number}": "FINISHED" for number in range(4)}}


def test_a_full_disk_under_the_study_does_not_end_the_mirror(
    journal, tracking_uri, experiment, runs, pipe, monkeypatch, tmp_path
):
    save, tries = State.save, []

    def full_twice(state: State, path: Path) -> None:
        tries.append(path)
        if len(tries) <= 2:
            raise OSError(28, "No space left on device")
        save(state, path)

    monkeypatch.setattr(State, "save", full_twice)
    monkeypatch.setattr("cifarray.tracking.__main__.LONGEST_LAST_PAUSE", 0.0)
    journal.whole_study()
    reader, driver = pipe
    driver.close()
    assert follow(Mirror(journal.path, tracking_uri, experiment), Driver(reader), grace=10.0) == 0
    assert runs() == {"wrn": "FINISHED", "wrn-0": "FINISHED", "wrn-1": "FINISHED"}


def test_a_server_that_answers_late_is_given_more_time(journal, tracking_uri, experiment, runs, pipe, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
    monkeypatch.setattr("cifarray.tracking.__main__.LONGEST_LAST_PAUSE", 0.0)
    following = Mirror(journal.path, tracking_uri, experiment)
    update, given = following.update, []

    def needs_two_minutes(driver_gone: bool = False) -> None:
        given.append(int(os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"]))
        if given[-1] < 120:
            raise MlflowException("API request to http://mlflow failed with timeout exception Read timed out.")
        update(driver_gone)

    monkeypatch.setattr(following, "update", needs_two_minutes)
    journal.whole_study()
    reader, driver = pipe
    driver.close()
    assert follow(following, Driver(reader), grace=10.0) == 0
    assert given == sorted(given)
    assert given[-1] == 120
    assert len(given) < 8
    assert set(runs()) == {"wrn", "wrn-0", "wrn-1"}


@pytest.mark.slow
def test_dead_server_is_reported_in_one_sentence(journal, tracking_uri, experiment, runs):
    journal.whole_study()
    tracking = Tracking(journal.path, CLOSED_PORT, experiment)
    result = tracking.finish(timeout=240)
    assert not result.ok
    assert result.waiting_events == len(journal.events)
    assert result.message.startswith(f"MLflow at {CLOSED_PORT} lacks {len(journal.events)} events (")
    assert result.message.endswith("they wait in the journal and the next command on this study sends them")
    assert Tracking(journal.path, tracking_uri, experiment).finish(timeout=240).ok
    assert set(runs()) == {"wrn", "wrn-0", "wrn-1"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("trials", "moments"), [(20, (1, 10)), pytest.param(60, (0, 1, 20, 40), marks=pytest.mark.nightly)]
)
def test_kill_9_of_the_child_at_several_moments(journal, tracking_uri, experiment, runs, trials, moments):
    journal.whole_study(num_trials=trials, epochs=2)
    for acknowledged in moments:
        tracking = Tracking(journal.path, tracking_uri, experiment)
        client = MlflowClient(tracking_uri)

        def sent(client: MlflowClient = client) -> int:
            found = client.get_experiment_by_name(experiment)
            return -1 if found is None else len(client.search_runs([found.experiment_id]))

        wait_until(lambda: sent() >= acknowledged)  # noqa: B023
        os.kill(tracking._process.pid, signal.SIGKILL)
        tracking._process.wait()
    assert tracking.finish(timeout=120).ok, "a child that died is started again to send the rest"
    found = runs()
    assert set(found) == {"wrn", *(f"wrn-{number}" for number in range(trials))}
    assert set(found.values()) == {"FINISHED"}
    for run in client.search_runs([client.get_experiment_by_name(experiment).experiment_id]):
        if run.info.run_name != "wrn":
            points = client.get_metric_history(run.info.run_id, "val_accuracy")
            assert sorted(point.step for point in points) == [1, 2]


@pytest.mark.slow
def test_mirror_of_a_killed_driver_ends_before_the_next_one_starts(journal, tracking_uri, experiment, runs):
    journal.whole_study()
    with FileLock(journal.path.with_name(LOCK_NAME)):
        tracking = Tracking(journal.path, tracking_uri, experiment)
        assert tracking.finish(timeout=0.1).waiting_events == len(journal.events)
    assert tracking._process.wait(timeout=60) == 0
    assert set(runs()) == {"wrn", "wrn-0", "wrn-1"}


def wait_until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    """For what another process does."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        threading.Event().wait(0.02)

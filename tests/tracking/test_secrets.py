"""The password of a tracking URI and MLflow's token reach the server, and nothing that others can read."""

import base64
import os
import stat

import pytest
from lossy_server import LOST
from mlflow.tracking import MlflowClient

from cifarray.tracking import Tracking, checkpoint_of_run

PASSWORD = "hunter22"


@pytest.fixture
def uri(server):
    return f"http://me:{PASSWORD}@{server[1]}"


def test_a_password_is_sent_to_the_server_and_is_in_no_file_and_no_argument(
    journal, uri, gateway, tracking_uri, experiment, monkeypatch
):
    # A user's own choice, which would make MLflow's client repeat by itself what was only not heard of.
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "5")
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "token-of-mine")
    log = journal.path.with_name("tracking.log")
    journal.whole_study()
    log.touch(0o644)
    gateway.fault = lambda nth, path: LOST if path not in gateway.requests else None
    tracking = Tracking(journal.path, uri, experiment)
    assert "cifarray.tracking" in tracking._process.args
    assert PASSWORD not in " ".join(tracking._process.args)
    result = tracking.finish(timeout=240)
    assert result.ok, result.message
    header = "Basic " + base64.b64encode(f"me:{PASSWORD}".encode()).decode()
    assert header in gateway.authorizations
    assert "504" in log.read_text()
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    for path in journal.path.parent.iterdir():
        for secret in (PASSWORD, "token-of-mine"):
            assert secret not in path.read_text(), path
    client = MlflowClient(tracking_uri)
    found = client.search_runs([client.get_experiment_by_name(experiment).experiment_id])
    assert sorted(run.info.run_name for run in found) == ["wrn", "wrn-0", "wrn-1"]
    assert PASSWORD not in "".join(str(run.to_dictionary()) for run in found)


def test_no_message_shows_a_password(journal, gateway, experiment):
    nobody = f"http://me:{PASSWORD}@127.0.0.1:9"
    journal.whole_study()
    tracking = Tracking(journal.path, nobody, experiment)
    running = tracking.finish(timeout=0)
    os.kill(tracking._process.pid, 9)
    tracking._process.wait()
    ended = tracking._result()
    for result in (running, ended):
        assert "http://me:***@127.0.0.1:9" in result.message
        assert PASSWORD not in result.message


def test_a_run_that_cannot_be_read_is_told_without_the_password(monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(ValueError, match="cannot be read from http://me:") as error:
        checkpoint_of_run("0" * 32, f"http://me:{PASSWORD}@127.0.0.1:9")
    assert PASSWORD not in str(error.value)

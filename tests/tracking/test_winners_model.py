"""The winner of a study in MLflow: its model, what it answers, and who is champion of the study's name."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import mlflow.pytorch
import pytest
import torch
from lossy_server import LOST
from mlflow.exceptions import MlflowException
from mlflow.models import Model
from mlflow.tracking import MlflowClient
from test_mirror import Killed, MortalClient
from test_process import CLOSED_PORT, wait_until
from tiny import CPU, tiny

import cifarray
from cifarray.data import open_store
from cifarray.study.events import WinnerNamed
from cifarray.tracking import Tracking
from cifarray.tracking.mirror import Mirror
from cifarray.training.checkpoint import save_checkpoint
from cifarray.training.loop import Training

CONFIG = tiny(precision="fp32")
SPLIT = "1000 of f00d"


@pytest.fixture(scope="session")
def checkpoint(cifarray_home: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Of a network that was trained for no step."""
    training = Training(CONFIG, CPU, 0, 1)
    address = tmp_path_factory.mktemp("checkpoint") / "epoch-0002.pt"
    save_checkpoint(str(address), training.state())
    training.close()
    return str(address)


@pytest.fixture
def images() -> torch.Tensor:
    return open_store(CONFIG.data.source, "test", 16).images[:5]


@pytest.fixture
def client(tracking_uri: str) -> MlflowClient:
    return MlflowClient(tracking_uri)


@pytest.fixture
def ended(new_journal, tracking_uri, experiment, checkpoint):
    """A function that lets a study of this name and accuracy end, and returns its mirror, which has yet to speak."""
    studies = iter(range(100))

    def ended(name: str, accuracy: float | None = 0.5, uri: str = tracking_uri, **winner: Any) -> Mirror:
        journal = new_journal(f"{name}-{next(studies)}", name)
        journal.id = journal.path.parent.name
        own = journal.path.parent / "trial-0000" / "epoch-0002.pt"
        own.parent.mkdir()
        shutil.copy(checkpoint, own)
        journal.study()
        journal.trial(0)
        journal.epoch(0, 2, accuracy=accuracy or 0.0, checkpoint=str(own))
        journal.outcome(0)
        fields = {"register": True, "images": 1000, "split": SPLIT, "checkpoint": str(own), **winner}
        journal.write(WinnerNamed(trial=0, epoch=2, accuracy=accuracy, **fields))
        journal.ended()
        return Mirror(journal.path, uri, experiment)

    return ended


@pytest.fixture
def finish(ended):
    """As `ended`, and tells MLflow; returns what the user is told, and the mirror."""

    def finish(name: str, accuracy: float | None = 0.5, **options: Any) -> tuple[str, Mirror]:
        mirror = ended(name, accuracy, **options)
        mirror.update(driver_gone=True)
        return mirror.state.model, mirror

    return finish


@pytest.fixture
def name(tmp_path: Path) -> str:
    """Of a study that no other test has: the registry is one for all experiments."""
    return f"wrn.{tmp_path.name}"


def champion(client: MlflowClient, name: str) -> Any:
    try:
        return client.get_model_version_by_alias(name, "champion")
    except MlflowException:
        return None


def models_of(client: MlflowClient, mirror: Mirror) -> list[Any]:
    return list(client.search_logged_models([mirror.state.experiment_id]))


def test_the_model_is_linked_from_both_runs_and_answers_as_the_checkpoint(finish, name, client, checkpoint, images):
    said, mirror = finish(name)
    (model,) = models_of(client, mirror)
    assert (model.status, model.source_run_id) == ("READY", mirror.state.runs["0"])
    assert f"models:/{model.model_id}" in said
    for run_id in (mirror.state.parent_run_id, mirror.state.runs["0"]):
        run = client.get_run(run_id)
        assert [output.model_id for output in run.outputs.model_outputs] == [model.model_id]
        assert run.data.tags["cifarray.model"] == f"models:/{model.model_id}"
        assert run.info.status == "FINISHED"
    assert {metric.key: metric.value for metric in model.metrics} == {"val_accuracy": 0.5, "train_loss": 0.5}
    loaded = mlflow.pytorch.load_model(model.artifact_location)
    network = cifarray.load(checkpoint)
    assert loaded.classes == network.classes
    assert loaded.config == network.config
    for answer, expected in zip(loaded(images), network.probabilities(images), strict=True):
        assert dict(zip(loaded.classes, answer.tolist(), strict=True)) == expected


def test_the_model_says_what_it_takes_and_gives(finish, name, client):
    _, mirror = finish(name)
    (model,) = models_of(client, mirror)
    folder = Path(model.artifact_location.removeprefix("file://"))
    info = Model.load(str(folder))
    (taken,), (given,) = info.signature.inputs.inputs, info.signature.outputs.inputs
    assert (taken.shape, taken.type.name) == ((-1, 16, 16, 3), "uint8")
    assert (given.shape, given.type.name) == ((-1, 10), "float32")
    assert info.metadata["classes"] == list(cifarray.load(model_checkpoint(mirror)).classes)
    assert json.loads((folder / "extra_files" / "config.json").read_text()) == json.loads(json.dumps(CONFIG.to_dict()))
    assert (folder / "input_example.json").exists()
    assert "cifarray" not in (folder / "requirements.txt").read_text(), "an index may have another of that name"


def model_checkpoint(mirror: Mirror) -> str:
    return str(MlflowClient(mirror.state.tracking_uri).get_run(mirror.state.runs["0"]).data.tags["cifarray.checkpoint"])


def test_the_first_one_is_champion_and_the_next_one_only_beyond_chance(finish, name, client):
    """0.5 and 0.54 of 1,000 images differ by 1.79 standard errors, 0.5 and 0.55 by 2.24."""
    said, first = finish(name, 0.5)
    assert "version 1" in said
    assert "is the first one" in said
    said, _ = finish(name, 0.54)
    assert f"version 1 of {name} stays the champion" in said
    assert "chance alone makes up to 4.38" in said
    assert (str(champion(client, name).version), champion(client, name).run_id) == ("1", first.state.runs["0"])
    assert len(client.search_model_versions(f"name = '{name}'")) == 1
    said, third = finish(name, 0.55)
    assert "version 2" in said
    version = champion(client, name)
    assert (str(version.version), version.run_id) == ("2", third.state.runs["0"])
    assert "5.00 points above version 1 (50.00 %), and chance alone makes up to 4.37" in version.description
    assert "more than 1.96 standard errors" in version.description
    said, _ = finish(name, 0.4)
    assert "15.00 points below" in said
    assert str(champion(client, name).version) == "2"


@pytest.mark.parametrize(
    ("winner", "why"),
    [
        ({"split": "1000 of cafe"}, "not judged on the same held-out images"),
        ({"split": "", "images": 0}, "not judged on the same held-out images"),
        ({"accuracy": None}, "has no validation accuracy"),
    ],
)
def test_what_cannot_be_compared_takes_no_champions_place(finish, name, client, winner, why):
    finish(name, 0.5)
    said, _ = finish(name, **{"accuracy": 0.9, **winner})
    assert why in said
    assert str(champion(client, name).version) == "1"


def test_without_registration_the_model_is_there_and_no_version(finish, name, client):
    said, mirror = finish(name, register=False)
    assert said.endswith("and not registered")
    assert len(models_of(client, mirror)) == 1
    assert champion(client, name) is None


def test_a_checkpoint_that_is_gone_is_told_and_holds_nothing_up(finish, name, client, tmp_path):
    said, mirror = finish(name, checkpoint="trial-0000/epoch-0009.pt")
    assert said.startswith("trial 0 is not in MLflow as a model (")
    assert "epoch-0009.pt" in said
    assert models_of(client, mirror) == []
    assert mirror.state.waiting(mirror.journal) == 0
    assert client.get_run(mirror.state.parent_run_id).info.status == "FINISHED"


def test_the_study_that_is_told_again_has_one_model_and_one_version(finish, name, client, tracking_uri, experiment):
    _, mirror = finish(name)
    mirror.journal.with_name("tracking.json").unlink()
    again = Mirror(mirror.journal, tracking_uri, experiment)
    again.update(driver_gone=True)
    assert len(models_of(client, mirror)) == 1
    assert len(client.search_model_versions(f"name = '{name}'")) == 1
    assert f"version 1 of {name} already" in again.state.model
    (run,) = [client.get_run(mirror.state.runs["0"])]
    assert len(run.outputs.model_outputs) == 1


@pytest.mark.slow
def test_a_server_that_loses_the_answer_to_each_kind_of_request_once_gets_one_model_and_one_champion(
    ended, name, client, server, gateway, monkeypatch
):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    lost = set()

    def lose_once(number: int, path: str) -> Any:
        if path in lost:
            return None
        lost.add(path)
        return LOST

    gateway.fault = lose_once
    mirror = ended(name, uri=f"http://{server[1]}")
    for _ in range(100):
        try:
            mirror.update(driver_gone=True)
            break
        except MlflowException:
            continue
    assert {"create", "alias"} <= {path.rpartition("/")[2] for path in lost}
    assert f"version 1 of {name}" in mirror.state.model
    (model,) = models_of(client, mirror)
    assert model.status == "READY"
    (version,) = client.search_model_versions(f"name = '{name}'")
    assert champion(client, name).version == version.version
    for run_id in (mirror.state.parent_run_id, mirror.state.runs["0"]):
        assert len(client.get_run(run_id).outputs.model_outputs) == 1


@pytest.mark.slow
@pytest.mark.parametrize("after", [pytest.param(False, marks=pytest.mark.nightly), True])
def test_kill_at_any_request_leaves_one_model_and_one_champion(
    ended, tmp_path, client, tracking_uri, experiment, monkeypatch, after
):
    for requests in range(200):
        name = f"killed.{tmp_path.name}-{requests}"
        mirror = ended(name)
        mortal = MortalClient(MlflowClient(tracking_uri), requests, after)
        monkeypatch.setattr("cifarray.tracking.mirror.MlflowClient", lambda uri, mortal=mortal: mortal)
        try:
            mirror.update(driver_gone=True)
            break
        except Killed:
            pass
        finally:
            monkeypatch.undo()
        again = Mirror(mirror.journal, tracking_uri, experiment)
        again.update(driver_gone=True)
        run_id = again.state.runs["0"]
        (model,) = [each for each in models_of(client, again) if each.source_run_id == run_id]
        assert model.status == "READY"
        (version,) = client.search_model_versions(f"name = '{name}'")
        assert champion(client, name).version == version.version
        assert version.run_id == run_id
    assert requests > 10


@pytest.mark.slow
def test_a_server_that_is_away_gets_the_model_when_it_is_back(ended, name, client, tracking_uri, experiment):
    """By the child process, as at a study's end."""
    journal = ended(name).journal
    away = Tracking(journal, CLOSED_PORT, experiment).finish(timeout=60)
    assert (away.ok, away.model) == (False, "")
    assert away.message.endswith("they wait in the journal and the next command on this study sends them")
    back = Tracking(journal, tracking_uri, experiment).finish(timeout=120)
    assert (back.ok, back.message) == (True, "")
    assert f"; version 1 of {name} and its champion: trial 0 (50.00 %) is the first one" in back.model
    assert champion(client, name) is not None


@pytest.fixture
def serve(tracking_uri, tmp_path):
    """A function that starts `mlflow models serve` for a model, waits until it answers, and returns its address."""
    with socket.socket() as chosen:
        chosen.bind(("127.0.0.1", 0))
        port = chosen.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    servers = []

    def answers() -> bool:
        assert servers[0].poll() is None, (tmp_path / "serve.log").read_text()
        try:
            return bool(urllib.request.urlopen(f"{address}/ping", timeout=5).status == 200)
        except OSError:
            return False

    def serve(model: str) -> str:
        words = ["models", "serve", "--model-uri", model, "--env-manager", "local", "--host", "127.0.0.1"]
        # Its own command is found beside this Python, as in an environment that is active.
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        environment = {**os.environ, "MLFLOW_TRACKING_URI": tracking_uri, "PATH": path}
        with open(tmp_path / "serve.log", "wb") as log:
            servers.append(
                subprocess.Popen(
                    [sys.executable, "-m", "mlflow", *words, "--port", str(port)],
                    env=environment,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            )
        wait_until(answers, seconds=120.0)
        return address

    yield serve
    for server in servers:
        if server.poll() is None:
            os.killpg(server.pid, signal.SIGTERM)
        server.wait(30)


@pytest.mark.slow
def test_mlflow_serves_the_champion_and_a_post_is_answered_with_the_checkpoints_probabilities(
    finish, name, checkpoint, images, serve
):
    finish(name)
    address = serve(f"models:/{name}@champion")
    body = json.dumps({"inputs": images.tolist()}).encode()
    request = urllib.request.Request(f"{address}/invocations", body, {"Content-Type": "application/json"})
    answer = json.loads(urllib.request.urlopen(request, timeout=60).read())["predictions"]
    network = cifarray.load(checkpoint)
    expected = network.probabilities(images)
    assert len(answer) == len(images) == 5
    for row, probabilities in zip(answer, expected, strict=True):
        assert dict(zip(network.classes, row, strict=True)) == pytest.approx(probabilities, abs=1e-6)
        assert sum(row) == pytest.approx(1.0, abs=1e-5)

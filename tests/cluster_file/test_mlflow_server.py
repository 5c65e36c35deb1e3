"""MLflow's server on the head: `make start-mlflow`, its death, `make stop-mlflow`, a new head."""

import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import time
import urllib.error
import urllib.request

import pytest

from tests.cluster_file.conftest import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture
def head(tmp_path):
    """A project folder and a home of its own, on a port that is free; whatever was started ends with the test."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    project = tmp_path / "cifarray"
    shutil.copytree(ROOT / "cifarray", project / "cifarray", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "Makefile", project)
    script = project / "cifarray/cluster_file/mlflow.sh"
    script.write_text(script.read_text().replace("--port 5000", f"--port {port}"))
    (project / ".venv").symlink_to(ROOT / ".venv")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    # A socket's path may have about 100 characters: pytest's folder is too deep for the home.
    home = tmp_path / "h"
    home.mkdir()
    head = Head(project, home, port, {**kept, "HOME": str(home), "CIFARRAY_STORAGE": str(tmp_path / "results")})
    yield head
    head.make("stop-mlflow")


class Head:
    def __init__(self, project, home, port, environment):
        self.project, self.home, self.port, self.environment = project, home, port, environment

    def make(self, target):
        subprocess.run(["make", target], cwd=self.project, env=self.environment, check=True, timeout=60)

    def answers(self):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=5) as answer:
                return answer.status == 200
        except (urllib.error.URLError, OSError):
            return False

    def wait_until(self, state, seconds=120):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if state():
                return
            time.sleep(0.2)
        pytest.fail((self.home / "mlflow.log").read_text())

    def server(self):
        return int((self.home / "mlflow.group").read_text())

    def group(self, number):
        listed = subprocess.run(["ps", "-eo", "pgid="], capture_output=True, text=True, check=True).stdout
        return [each for each in listed.split() if int(each) == number]


def test_a_server_that_is_killed_is_there_again_and_a_new_head_begins_with_its_database(head):
    head.make("start-mlflow")
    head.wait_until(head.answers)
    first = head.server()
    os.kill(first, signal.SIGKILL)
    head.wait_until(lambda: head.server() != first and not head.group(first))
    head.wait_until(head.answers)
    second = head.server()

    head.make("stop-mlflow")
    assert not head.answers()
    assert not head.group(second)
    assert not (head.home / "mlflow-supervisor.pid").exists()

    with sqlite3.connect(head.home / "mlflow.db") as lost:
        ((created,),) = lost.execute("SELECT creation_time FROM experiments")
    (head.home / "mlflow.db").unlink()
    head.make("start-mlflow")
    head.wait_until(head.answers)
    with sqlite3.connect(head.home / "mlflow.db") as found:
        assert found.execute("SELECT creation_time FROM experiments").fetchall() == [(created,)]


def test_a_storage_that_cannot_be_used_ends_the_start_and_leaves_nothing_that_tries_for_ever(head, s3_server):
    aws = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    head.environment |= aws | {"CIFARRAY_STORAGE": "s3://YOUR-BUCKET/results"}
    with pytest.raises(subprocess.CalledProcessError):
        head.make("start-mlflow")
    assert not (head.home / "mlflow-supervisor.pid").exists()


def test_the_server_listens_on_the_head_itself_only():
    script = (ROOT / "cifarray/cluster_file/mlflow.sh").read_text()
    assert re.findall(r"--host (\S+)", script) == ["127.0.0.1"]

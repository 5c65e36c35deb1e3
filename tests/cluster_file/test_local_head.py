"""`make cluster`: what it announces is where its own head answers, whoever else has the usual ports."""

import contextlib
import os
import re
import socket
import subprocess
import sys
import uuid
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from cifarray.cluster_file import local_head
from cifarray.cluster_file.checks import ClusterFileError

ROOT = Path(__file__).parents[2]
DASHBOARD_PORT, AGENT_PORT = 8265, 52365
"""Ray's defaults."""


def test_an_address_where_another_ray_answers_is_not_announced(monkeypatch):
    found = iter(["", "session_other", "session_mine"])
    monkeypatch.setattr(local_head, "session_at", lambda address: next(found))
    monkeypatch.setattr(local_head, "time", SimpleNamespace(monotonic=lambda: 0.0, sleep=lambda seconds: None))
    # The dashboard may take a moment to answer.
    local_head.refuse_another("http://127.0.0.1:8265", "session_mine", seconds=1.0)
    monkeypatch.setattr(local_head, "session_at", lambda address: "session_other")
    with pytest.raises(ClusterFileError, match=r"does not answer as the head .*\(session_mine\), but as session_other"):
        local_head.refuse_another("http://127.0.0.1:8265", "session_mine", seconds=-1.0)


def test_where_nobody_answers_there_is_no_session():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert local_head.session_at(f"http://127.0.0.1:{port}") == ""


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        (
            "ConnectionError: Ray is trying to start at 10.0.0.1:6379, but is already running at 10.0.0.1:6379. "
            "Please specify a different port\n",
            "^a Ray head runs already at 10.0.0.1:6379: use that one, or end it first$",
        ),
        ("OSError: no room\n", "^OSError: no room\n\nthe head did not start: see above, or .*head.log$"),
    ],
)
def test_a_head_that_did_not_start_is_told_and_not_announced(tmp_path, monkeypatch, said, sentence):
    def run(command, stdout, **options):
        stdout.write(said)
        return SimpleNamespace(returncode=1)

    monkeypatch.setattr(local_head.subprocess, "run", run)
    with pytest.raises(ClusterFileError, match=sentence):
        local_head.start(tmp_path / "head.log")


@pytest.fixture
def environment():
    """Of a user with a token of his own; all that knows the token ends with the test."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    bin_ = Path(sys.executable).parent
    token = uuid.uuid4().hex
    path = f"{bin_}{os.pathsep}{os.environ['PATH']}"
    yield {**kept, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token, "PATH": path}
    processes = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get("RAY_AUTH_TOKEN") == token:
                processes.append(process)
    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(processes, timeout=10)


@pytest.mark.ray
@pytest.mark.slow
def test_a_head_beside_another_ray_takes_jobs_where_it_says(tmp_path, environment):
    with contextlib.ExitStack() as stack:
        for port in (DASHBOARD_PORT, AGENT_PORT):
            with contextlib.suppress(OSError):  # Somebody has it, as the test wants.
                stack.enter_context(socket.create_server(("127.0.0.1", port)))
        started = subprocess.run(
            [sys.executable, "-m", "cifarray.cluster_file", "head", str(tmp_path / "head.log")],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert started.returncode == 0, started.stdout + started.stderr
        (export,) = re.findall(r"export (.*)", started.stdout)
        variables = dict(each.split("=") for each in export.split())
        assert variables["RAY_API_SERVER_ADDRESS"] in started.stdout.splitlines()[0]
        assert not variables["RAY_API_SERVER_ADDRESS"].endswith(f":{DASHBOARD_PORT}")
        job = subprocess.run(
            ["ray", "job", "submit", "--", "echo", "it", "runs"],
            cwd=tmp_path,
            env={**environment, **variables},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
    assert job.returncode == 0, job.stdout + job.stderr
    assert "it runs" in job.stdout

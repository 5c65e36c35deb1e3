"""`ray job submit` with the real command line, on a local head with token authentication as `make cluster` has it."""

import os
import re
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(900)]

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
TOKEN = uuid.uuid4().hex


def environment(**more):
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "MLFLOW_"))}
    return {
        **kept,
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": TOKEN,
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        **more,
    }


@pytest.fixture(scope="module")
def head(tmp_path_factory):
    """A head that was started in the project's root; ends with the tests."""
    storage = tmp_path_factory.mktemp("results")
    log = tmp_path_factory.mktemp("log") / "head.log"
    with open(log, "w") as file:
        process = subprocess.Popen(
            ["ray", "start", "--head", "--block", "--num-cpus", "2", "--disable-usage-stats"],
            cwd=ROOT,
            env=environment(CIFARRAY_STORAGE=str(storage)),
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    for _ in range(30):
        status = subprocess.run(["ray", "status"], env=environment(), capture_output=True, check=False, timeout=60)
        if status.returncode == 0:
            break
        assert process.poll() is None, log.read_text()
    yield storage
    process.terminate()
    process.wait(timeout=60)


@pytest.mark.parametrize(
    "options",
    [
        pytest.param([], id="verbatim"),
        pytest.param(["--working-dir", str(ROOT)], id="working-dir", marks=pytest.mark.nightly),
    ],
)
def test_a_submitted_search_runs_from_any_folder(head, tmp_path, options):
    submitted = subprocess.run(
        ["ray", "job", "submit", *options, "--", "python", "jobs/tune_wrn.py", "--smoke", "--trials", "2", "--fresh"],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    text = submitted.stdout
    assert submitted.returncode == 0, text + submitted.stderr
    assert "data: synthetic:2000, generated images" in text
    assert re.search(r"^\[\d+:\d\d\] trial 0 epoch 1/2: .*val accuracy", text, re.MULTILINE)
    assert re.search(r"^ +1 +\d +completed +2 +\d+\.\d\d %", text, re.MULTILINE)
    assert f"results: {head}/wrn-smoke" in text
    assert "(raylet)" not in text

"""`ray job submit` with the real command line, on a local head with token authentication as `make cluster` has it.

Searches that are submitted there, stopped there (`ray job stop`), and are there beside each other.
"""

import json
import re
import subprocess
import time
from pathlib import Path

import pytest
from running_head import without_ray

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(900)]

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    "options",
    [
        pytest.param([], id="verbatim"),
        pytest.param(["--working-dir", str(ROOT)], id="working-dir", marks=pytest.mark.nightly),
    ],
)
def test_a_submitted_search_runs_from_any_folder(head, tmp_path, options):
    search = ("python", "jobs/tune_wrn.py", "--smoke", "--trials", "2", "--concurrent", "1", "--fresh")
    submitted = subprocess.run(
        ["ray", "job", "submit", *options, "--", *search],
        cwd=tmp_path,
        env=without_ray(**head.variables),
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    text = submitted.stdout
    assert submitted.returncode == 0, text + submitted.stderr
    assert "data: synthetic:2000, generated images" in text
    assert re.search(r"^\[\d+:\d\d\] trial 0 epoch 1/2: .*val accuracy", text, re.MULTILINE)
    assert re.search(r"^ *1 +\d +completed +2 +\d+\.\d\d %", text, re.MULTILINE)
    assert f"results: {head.results}/wrn-smoke" in text
    assert "(raylet)" not in text


EPOCHS, TRIALS = 4, 2
SEARCH = (
    *("python", "jobs/tune_wrn.py", "--data", "synthetic:2000", "--trials", str(TRIALS), "--epochs", str(EPOCHS)),
    *("--scheduler", "none", "--concurrent", "1", "--cpus-per-worker", "1"),
    *("--set", "model.depth=10", "model.widen_factor=1", "batch_size=64"),
)


def ray_job(head, *arguments):
    """The exit code and what was printed."""
    done = subprocess.run(
        ["ray", "job", *arguments],
        cwd=ROOT,
        env=without_ray(**head.variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=300,
    )
    return done.returncode, done.stdout


def submit(head, name, *options, search=()):
    return ray_job(head, "submit", *options, "--", *SEARCH, "--name", name, *search)


def journal_of(head, name):
    """Its whole lines so far; none before it begins."""
    path = head.results / name / "journal.jsonl"
    return [json.loads(line) for line in path.read_text().split("\n")[:-1]] if path.exists() else []


def val_losses(head, name):
    """By trial and epoch, in the journal's order."""
    events = journal_of(head, name)
    return [
        (event["trial"], event["epoch"], event["metrics"]["val_loss"]) for event in events if event["kind"] == "epoch"
    ]


def until(condition, what):
    """Looks until a condition holds; fails with what was looked for."""
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


def wait_for_an_epoch(head, name):
    until(lambda: val_losses(head, name), f"an epoch of {name}")


def runs_of(head, name):
    """The trials' runs in MLflow: status, and the epochs of which it has metrics."""
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{head.results}/mlflow.db")
    known = json.loads((head.results / name / "tracking.json").read_text())["runs"]
    return {
        int(trial): (
            client.get_run(run_id).info.status,
            sorted(metric.step for metric in client.get_metric_history(run_id, "val_loss")),
        )
        for trial, run_id in known.items()
    }


FINISHED = {trial: ("FINISHED", list(range(1, EPOCHS + 1))) for trial in range(TRIALS)}


@pytest.fixture(scope="module")
def alone(head):
    """What the search finds when nobody disturbs it."""
    code, text = submit(head, "alone")
    assert code == 0, text
    return val_losses(head, "alone")


@pytest.mark.faults
@pytest.mark.nightly
def test_a_search_that_ray_job_stop_ends_goes_on_with_the_same_command(head, alone):
    code, text = submit(head, "stopped", "--no-wait", "--submission-id", "stopped")
    assert code == 0, text
    wait_for_an_epoch(head, "stopped")
    began = time.monotonic()
    code, text = ray_job(head, "stop", "stopped")
    assert code == 0, text
    print(f"stopped after {time.monotonic() - began:.1f} s; told: {ray_job('logs', 'stopped')[1].splitlines()[-3:]}")
    assert journal_of(head, "stopped")[-1]["reason"] == "interrupted"
    assert "the same command again goes on with them" in ray_job(head, "logs", "stopped")[1]
    # What tells MLflow outlives the driver for as long as it needs.
    until(lambda: runs_of(head, "stopped")[0][0] != "RUNNING", "a run that is not RUNNING")
    assert runs_of(head, "stopped")[0][0] == "KILLED"
    code, text = submit(head, "stopped")
    assert code == 0, text
    assert val_losses(head, "stopped") == alone
    assert runs_of(head, "stopped") == FINISHED


@pytest.mark.faults
@pytest.mark.nightly
def test_two_studies_at_once_do_not_meet_and_one_of_them_twice_is_refused(head, alone, tmp_path):
    code, text = submit(head, "long", "--no-wait", "--submission-id", "long", search=("--epochs", "1000"))
    assert code == 0, text
    wait_for_an_epoch(head, "long")
    code, text = submit(head, "beside")
    assert code == 0, text
    assert val_losses(head, "beside") == alone
    assert runs_of(head, "beside") == FINISHED
    # On this disk, and on another one.
    for storage, sentence in {
        head.results: "error: study 'long' has a driver that lives: wait for it, stop it, or choose another --name",
        tmp_path: "error: study 'long' has a driver that lives on this cluster: wait for it, stop it, or choose",
    }.items():
        code, text = submit(head, "long", search=("--epochs", "1000", "--storage", str(storage)))
        assert code != 0
        assert sentence in text
        assert "Traceback" not in text
    assert ray_job(head, "stop", "long")[0] == 0
    epochs = [epoch for _, epoch, _ in val_losses(head, "long")]
    assert epochs == list(range(1, len(epochs) + 1))
    assert [event["reason"] for event in journal_of(head, "long") if event["kind"] == "ended"] == ["interrupted"]

"""The jobs as a user runs them: real processes, real workers, Ctrl-C, kill -9.

A job that is given `head` joins the Ray that runs there; each other one starts a Ray of its own and ends it.
`ray job submit`: `tests/engine/test_cluster.py`.
"""

import contextlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from running_head import without_ray

import cifarray

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(900)]

ROOT = Path(__file__).parents[1]
NOISE = re.compile(r"\(raylet\)|\(pid=|\(Trial|WARNING|INFO |FutureWarning|DeprecationWarning")
TINY = ("--set", "model.depth=10", "data.validation=200", "batch_size=64", "--space", "model.widen_factor=1,2")


def command(job, *arguments):
    return [sys.executable, str(ROOT / "jobs" / f"{job}.py"), *arguments]


def start(tmp_path, job, *arguments, head=None, own_group=False):
    return subprocess.Popen(
        command(job, *arguments),
        cwd=tmp_path,
        env=without_ray(CIFARRAY_STORAGE=str(tmp_path / "results"), **(head.variables if head else {})),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # As from a terminal: whoever runs the tests in the background has made them deaf to Ctrl-C and hang-ups.
        preexec_fn=lambda: [signal.signal(number, signal.SIG_DFL) for number in (signal.SIGINT, signal.SIGHUP)],
        start_new_session=own_group,
    )


def run(tmp_path, job, *arguments, head=None):
    process = start(tmp_path, job, *arguments, head=head)
    text, _ = process.communicate(timeout=600)
    return process.returncode, text


def wait_for_line(process, pattern):
    """Everything said up to the first line that matches."""
    said = []
    for line in process.stdout:
        said.append(line)
        if re.search(pattern, line):
            return "".join(said)
    pytest.fail(f"no line matched {pattern!r} in:\n{''.join(said)}")


def events(tmp_path, study):
    path = tmp_path / "results" / study / "journal.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def decisions(tmp_path, study):
    """What a study decided, without times and speeds."""
    found = []
    for event in events(tmp_path, study):
        if event["kind"] == "trial":
            found.append(("trial", event["trial"], event["params"]))
        elif event["kind"] == "epoch":
            metrics = event["metrics"]
            found.append(("epoch", event["trial"], event["epoch"], metrics["val_accuracy"], event["decision"]))
        elif event["kind"] == "outcome":
            found.append(("outcome", event["trial"], event["outcome"]))
    return found


def mlflow_runs(tmp_path):
    """Child runs: name → (status, epochs that val_accuracy has)."""
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{tmp_path}/results/mlflow.db")
    experiment = client.get_experiment_by_name("cifarray")
    found = []
    for run_ in client.search_runs([experiment.experiment_id]):
        if "mlflow.parentRunId" in run_.data.tags:
            history = client.get_metric_history(run_.info.run_id, "val_accuracy")
            found.append((run_.info.run_name, run_.info.status, [metric.step for metric in history]))
    return sorted(found)


def processes_of(tmp_path):
    """All that a driver with results there has started: Ray's, workers, what tells MLflow; after 30 s, if any is left.

    Their environment tells, as they are in sessions of their own.
    """

    def alive(process):
        with contextlib.suppress(psutil.Error):
            mine = process.environ().get("CIFARRAY_STORAGE") == str(tmp_path / "results")
            return mine and process.status() != psutil.STATUS_ZOMBIE
        return False

    _, left = psutil.wait_procs(filter(alive, psutil.process_iter()), timeout=30)
    return [" ".join(process.cmdline()) for process in left if alive(process)]


def test_smoke_ends_with_a_leaderboard_and_the_way_to_mlflow(tmp_path):
    code, text = run(tmp_path, "tune_wrn", "--smoke", "--workers", "2")
    assert code == 0, text
    assert text.startswith("data: synthetic:2000, generated images")
    assert re.search(r"^ *1 +\d +completed +2 +\d+\.\d\d %", text, re.MULTILINE)
    assert f"results: {tmp_path}/results/wrn-smoke" in text
    assert re.search(r"^test it: python \S*jobs/final_test\.py wrn-smoke$", text, re.MULTILINE)
    checkpoint = re.search(r'^load it: network = cifarray\.load\("(.*)"\)$', text, re.MULTILINE).group(1)
    assert cifarray.load(checkpoint).config.model.name == "wide_resnet"
    assert all(any(folder.iterdir()) for folder in (tmp_path / "results" / "wrn-smoke").glob("trial-*"))
    assert f"mlflow ui --host 127.0.0.1 --backend-store-uri sqlite:///{tmp_path}/results/mlflow.db" in text
    assert not NOISE.search(text), text
    assert all(status == "FINISHED" for _, status, _ in mlflow_runs(tmp_path))
    assert not processes_of(tmp_path)


SMALL = ("--data", "synthetic:1000", "--epochs", "1", "--concurrent", "1", "--set", "batch_size=64")


@pytest.fixture(scope="module")
def trained(head, tmp_path_factory):
    """Where a job was run that trained the network `one`."""
    folder = tmp_path_factory.mktemp("trained")
    code, text = run(folder, "train", "preact_resnet_fast", *SMALL, "--name", "one", head=head)
    assert code == 0, text
    return folder


def test_a_trained_network_is_tested_loaded_and_lesioned(trained):
    for arguments, end in (
        ((), "the test split was opened 1 time for this trial"),
        ((), "known since the test split was opened, 1 time so far: --again opens it once more"),
        (("--again",), "the test split was opened 2 times for this trial"),
    ):
        code, text = run(trained, "final_test", "one", *arguments)
        assert code == 0, text
        assert re.search(rf"trial one-0: test accuracy \d+\.\d\d %.*; {end}$", text, re.MULTILINE), text
    runs = json.loads((trained / "results" / "one" / "tracking.json").read_text())["runs"]
    # As seen from another storage, so that MLflow is asked.
    network = cifarray.load(f"runs:/{runs['0']}", f"sqlite:///{trained}/results/mlflow.db", storage=str(trained))
    assert network.config.model.name == "preact_resnet"
    assert len(network.classes) == 10
    code, text = run(trained, "lesion", "one-0")
    assert code == 0, text
    assert "median rise over 2 downsampling blocks" in text
    assert "median rise over 4 other blocks" in text
    table = (trained / "results" / "one" / "lesion-one-0.csv").read_text().splitlines()
    assert len(table) == 1 + 6
    assert {"lesion-one-0.png", "lesion-one-0.csv"} <= artifacts(trained, "one", 0)


def test_ctrl_c_in_mid_epoch_ends_soon_and_says_how_to_go_on(tmp_path):
    arguments = ("--data", "synthetic:6000", "--trials", "2", "--epochs", "3", "--workers", "2", *TINY)
    process = start(tmp_path, "tune_wrn", *arguments)
    wait_for_line(process, r"trial 0 starts")
    wait_for_line(process, r"trial 0 epoch 1/3")
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    text, _ = process.communicate(timeout=60)
    assert time.monotonic() - began < 15
    assert process.returncode == 130
    assert "stopping, in 10 s at most" in text
    assert "trials remain; the same command again goes on with them" in text
    assert "Traceback" not in text
    assert not [run_ for run_ in mlflow_runs(tmp_path) if run_[1] == "RUNNING"]
    assert not processes_of(tmp_path)


@pytest.mark.parametrize(
    "number",
    [
        pytest.param(signal.SIGTERM, id="timeout"),
        pytest.param(signal.SIGHUP, id="closed terminal", marks=pytest.mark.nightly),
    ],
)
def test_a_signal_to_the_whole_process_group_ends_a_search_in_order(tmp_path, number):
    """`timeout`, Slurm and a terminal that is closed reach the driver and all that is in its group."""
    arguments = ("--data", "synthetic:4000", "--trials", "2", "--epochs", "100", *TINY)
    process = start(tmp_path, "tune_wrn", *arguments, own_group=True)
    wait_for_line(process, r"trial \d epoch 1/100")
    began = time.monotonic()
    os.killpg(process.pid, number)
    text, _ = process.communicate(timeout=60)
    assert time.monotonic() - began < 10
    assert process.returncode == 130
    assert "trials remain; the same command again goes on with them" in text
    assert "Traceback" not in text
    assert "SIGTERM" not in text
    assert events(tmp_path, "wrn")[-1]["reason"] == "interrupted"
    assert not processes_of(tmp_path)


def artifacts(tmp_path, study, trial=None):
    """Names of the artifacts of a trial's MLflow run, or of the study's."""
    from mlflow import MlflowClient

    known = json.loads((tmp_path / "results" / study / "tracking.json").read_text())
    client = MlflowClient(f"sqlite:///{tmp_path}/results/mlflow.db")
    run_id = known["parent_run_id"] if trial is None else known["runs"][str(trial)]
    return {file.path for file in client.list_artifacts(run_id)}


def test_recipes_are_compared_and_tested(head, tmp_path):
    arguments = ("resnet_fast", "--seeds", "2", *SMALL, "--final")
    code, text = run(tmp_path, "compare", *arguments, head=head)
    assert code == 0, text
    for name in ("resnet_fast", "linear"):
        assert re.search(rf"^ *{name} +\d+\.\d\d ± \d+\.\d\d % +2 ", text, re.MULTILINE), text
    assert len(re.findall(r"the test split was opened 1 time for this trial", text)) == 4
    code, text = run(tmp_path, "compare", *arguments, head=head)
    assert code == 0, text
    assert "was opened" not in text


def test_tricks_are_ablated_with_a_teacher_and_the_parent_run_has_the_picture(head, trained):
    arguments = ("imagenet_resnet_fast", *SMALL, "--seeds", "2", "--teacher", "one")
    arguments += ("--only", "distillation")
    code, text = run(trained, "ablate_tricks", *arguments, head=head)
    assert code == 0, text
    rows = re.findall(r"^ *[a-zA-Z -]+? +\d+\.\d\d ± \d+\.\d\d % 2 ", text, re.MULTILINE)
    assert len(rows) == 2, text
    assert re.search(r"differences? can be told from zero", text), text
    study = "ablate-imagenet-resnet-fast-distillation"
    epochs = [event for event in events(trained, study) if event["kind"] == "epoch"]
    assert len(epochs) == 2 * 2
    assert {"ablation.png", "ablation.csv", "ablation.md"} <= artifacts(trained, study)


@pytest.mark.parametrize(
    ("concurrent", "kills"), [(1, 1), *(pytest.param(count, 5, marks=pytest.mark.nightly) for count in (1, 2))]
)
def test_a_driver_killed_again_and_again_decides_as_if_undisturbed(head, tmp_path, concurrent, kills):
    """The Ray of its own goes with each driver that is killed; the last one joins a Ray that runs, and so does the
    undisturbed one."""
    epochs, trials = (3, 5) if kills > 1 else (2, 2)
    arguments = ("--data", "synthetic:2000", "--trials", str(trials), "--epochs", str(epochs), "--searcher", "random")
    arguments += ("--concurrent", str(concurrent), "--cpus-per-worker", "1", *TINY)
    moments = random.Random(concurrent)
    for _ in range(kills):
        process = start(tmp_path, "tune_wrn", "--name", "killed", *arguments)
        # After some epochs, and then somewhere within the next: a single one must be in the middle of a trial.
        for _ in range(moments.randrange(1, 3) if kills > 1 else 1):
            wait_for_line(process, r"epoch \d/|^results")
        time.sleep(moments.random() if kills > 1 else 0.0)
        process.kill()
        process.wait()
    code, text = run(tmp_path, "tune_wrn", "--name", "killed", *arguments, head=head)
    assert code == 0, text
    killed = decisions(tmp_path, "killed")
    ran = [(kind, trial, epoch) for kind, trial, epoch, *_ in killed if kind == "epoch"]
    assert len(ran) == len(set(ran))
    assert sorted(trial for kind, trial, *_ in killed if kind == "outcome") == list(range(trials))
    done = {trial: [epoch for _, number, epoch in ran if number == trial] for trial in range(trials)}
    expected = [(f"killed-{trial}", "FINISHED", epochs_) for trial, epochs_ in sorted(done.items())]
    assert mlflow_runs(tmp_path) == expected
    if concurrent == 1:
        code, text = run(tmp_path, "tune_wrn", "--name", "undisturbed", *arguments, head=head)
        assert code == 0, text
        assert killed == decisions(tmp_path, "undisturbed")

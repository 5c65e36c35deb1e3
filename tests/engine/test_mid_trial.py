"""Faults in mid-trial, of everything that takes part: no trial ends, no epoch counts twice, no bit is another one.

Each is done to a running trial of two workers, and compared with the same trial undisturbed. Short forms run with the
slow tests, all of them with `make test-faults`. Not here: hosts and networks (`tests/cluster`), the policy
(`tests/study/test_faults.py`), orders of messages (`test_protocol`).
"""

import contextlib
import os
import signal
import subprocess
import threading
import time
from pathlib import Path

import psutil
import pytest
import torch

from cifarray.engine.run import run_study
from cifarray.space.domains import choice
from cifarray.study.events import CheckpointLost, EpochEnded, TrialEnded, WorkersRestarted
from cifarray.study.faults import Fault
from cifarray.study.trial_record import Outcome
from cifarray.training.checkpoint import load_checkpoint, save_checkpoint

pytestmark = [pytest.mark.faults, pytest.mark.slow, pytest.mark.timeout(300)]
EPOCHS = 4
PATIENCE = 4.0
"""Seconds without progress; the steps here take some milliseconds."""


@pytest.fixture
def make_one(make_study):
    """A study of one trial with two workers and dropout."""

    def make(name, **options):
        fields = {"model.dropout": 0.3, "data.source": "synthetic:2000", "epochs": EPOCHS}
        return make_study(
            name, 1, {"optimizer.lr": choice(0.1)}, fields, workers=2, cpus_per_worker=1.0, patience=PATIENCE, **options
        )

    return make


def weights(state):
    return load_checkpoint(state.trials[0].checkpoint[1])["model"]


@pytest.fixture(scope="session")
def undisturbed(ray_session, tmp_path_factory, tracking_uri):
    """The weights of the trial as they are without a fault; made once."""
    from tests.engine.conftest import Recorder, make_study

    study = make_one.__wrapped__(make_study.__wrapped__(tmp_path_factory.mktemp("undisturbed"), tracking_uri))("calm")
    return weights(run_study(study, Recorder()).state)


def assert_as_if_nothing_had_been(result, view, undisturbed):
    trial = result.state.trials[0]
    assert result.reason == "finished"
    assert trial.outcome is Outcome.COMPLETED, trial.message
    assert [event.epoch for event in view.of(EpochEnded)] == list(range(1, EPOCHS + 1))
    found = weights(result.state)
    assert not [name for name in undisturbed if not torch.equal(undisturbed[name], found[name])]


def host_of(ray, study):
    """The actor of the study's first group."""
    return ray.get_actor(f"{study}/group-0", namespace="cifarray")


def pids_of(ray, study, who):
    """Process ids of who is meant."""
    host = host_of(ray, study)
    if who == "workers":
        return list(ray.get(host.worker_pids.remote()).values())
    if who == "worker":
        return [ray.get(host.worker_pids.remote())[1]]
    if who == "host":
        return [ray.get(host.pid.remote())]
    from ray.util.state import list_actors

    name = {"trial actor": "Trial", "Train's controller": "TrainController"}[who]
    filters = [("class_name", "=", name), ("state", "=", "ALIVE")]
    return [actor.pid for actor in list_actors(address=ray.get_runtime_context().gcs_address, filters=filters)]


def after_epoch(number, act):
    """A view's on_event that does something once, somewhere within the epoch after `number`."""
    done = []

    def on_event(event):
        if isinstance(event, EpochEnded) and event.epoch == number and not done:
            done.append(time.monotonic())
            threading.Timer(0.2, act).start()

    return on_event


LOST = {
    "worker": {Fault.WORKERS_DIED},
    "workers": {Fault.WORKERS_DIED},
    "host": {Fault.GROUP_DIED},
    "Train's controller": {Fault.GROUP_DIED, Fault.WORKERS_DIED},
    "trial actor": {Fault.ACTOR_DIED},
}
SHORT = [("worker", signal.SIGSTOP), ("host", signal.SIGKILL)]
FAULTS = [(who, signal.SIGKILL) for who in LOST] + [("worker", signal.SIGSTOP), ("host", signal.SIGSTOP)]


@pytest.mark.parametrize(
    ("who", "number"),
    [
        pytest.param(*fault, id=f"{fault[1].name} {fault[0]}", marks=[] if fault in SHORT else [pytest.mark.nightly])
        for fault in FAULTS
    ],
)
def test_a_process_that_is_killed_or_stopped(ray_session, make_one, make_recorder, undisturbed, who, number):
    hit, struck = [], []

    def strike():
        struck.append(time.time())
        hit.extend(pids_of(ray_session, "struck", who))
        for pid in hit:
            os.kill(pid, number)

    view = make_recorder(after_epoch(2, strike))
    result = run_study(make_one("struck"), view)
    assert hit
    assert_as_if_nothing_had_been(result, view, undisturbed)
    lost = {event.fault for event in view.of(WorkersRestarted)}
    expected = LOST[who] if number == signal.SIGKILL else {Fault.HUNG if who == "worker" else Fault.GROUP_DIED}
    assert lost
    assert lost <= expected
    seconds = view.of(EpochEnded, epoch=3)[0].time - struck[0]
    print(f"next epoch {seconds:.1f} s after {number.name} of the {who}; told: {view.of(WorkersRestarted)[0].reason}")
    _, alive = psutil.wait_procs([psutil.Process(pid) for pid in hit if psutil.pid_exists(pid)], timeout=30)
    assert not alive, "whoever was stopped is not left behind"


def interrupted_after(epoch):
    def on_event(event):
        if isinstance(event, EpochEnded) and event.epoch == epoch:
            raise KeyboardInterrupt

    return on_event


def of_another_trial(path):
    state = load_checkpoint(str(path))
    state["config"]["optimizer"]["lr"] = 0.2
    save_checkpoint(str(path), state)


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(path.read_bytes()[:-1000]),
        pytest.param(lambda path: path.write_bytes(b""), marks=pytest.mark.nightly),
        pytest.param(lambda path: path.unlink(), marks=pytest.mark.nightly),
        pytest.param(of_another_trial, marks=pytest.mark.nightly),
    ],
    ids=["truncated", "empty", "deleted", "another trial's"],
)
def test_a_checkpoint_that_is_lost(ray_session, make_one, make_recorder, undisturbed, damage):
    """The one before it is gone on from, and epoch 3 is done again; it keeps its metrics and is told once."""
    first = make_recorder(interrupted_after(3))
    run_study(make_one("torn"), first)
    damage(Path(make_one("torn").address) / "trial-0000" / "epoch-0003.pt")
    view = make_recorder()
    result = run_study(make_one("torn"), view)
    assert [event.epoch for event in view.of(CheckpointLost)] == [3]
    assert [event.epoch for event in view.of(EpochEnded)] == [4]
    view.events[:0] = first.events
    assert_as_if_nothing_had_been(result, view, undisturbed)
    assert result.state.trials[0].restarts == 0


@pytest.fixture
def small_disk(tmp_path):
    """A folder that holds 40 MB, and a function that fills it up; needs root."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", str(folder)], check=False)
    if mounted.returncode:
        pytest.skip("a small disk can only be made by root")

    def fill():
        with contextlib.suppress(OSError), open(folder / "filler", "wb", buffering=0) as file:
            while file.write(b"x" * 2**16):
                pass

    yield folder, fill
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_disk_that_is_full(ray_session, make_one, make_recorder, undisturbed, small_disk):
    """The study pauses and says so; when there is room again it goes on, and no trial has ended for it."""
    folder, fill = small_disk
    study = make_one("full")
    object.__setattr__(study, "storage", str(folder))
    first = make_recorder(after_epoch(2, fill))
    paused = run_study(study, first)
    assert paused.reason == "paused"
    assert "No space left on device" in paused.message
    assert not first.of(TrialEnded)
    (folder / "filler").unlink()
    view = make_recorder()
    result = run_study(study, view)
    told = {event.epoch: event for event in [*first.of(EpochEnded), *view.of(EpochEnded)]}
    view.events = list(told.values())
    assert_as_if_nothing_had_been(result, view, undisturbed)

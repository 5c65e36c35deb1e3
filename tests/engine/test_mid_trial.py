"""Faults in mid-trial, of everything that takes part: no trial ends, no epoch counts twice, no bit is another one.

Each is done to a running trial of two workers, and compared with the same trial undisturbed. One of each kind runs with
the slow tests (`make test-faults`), the rest at night. Not here: disks and buckets (`test_lost_storage`),
other studies and `ray job stop` (`test_cluster`), hosts and networks (`tests/cluster`), the policy
(`tests/study/test_faults.py`), orders of messages (`test_protocol`).
"""

import os
import signal
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from diverging import DIVERGES_IN, DivergingGroup
from living import living_actors
from mid_trial import (
    Strikes,
    assert_as_if_nothing_had_been,
    epochs_in,
    events_of,
    restarts_of,
    trial_folder,
)

from cifarray.engine.run import run_study
from cifarray.space.domains import choice
from cifarray.study.events import CheckpointLost, EpochEnded, TrialEnded
from cifarray.study.faults import Fault
from cifarray.study.trial_record import Outcome
from cifarray.training.checkpoint import load_checkpoint, save_checkpoint

pytestmark = [pytest.mark.faults, pytest.mark.slow, pytest.mark.timeout(600)]
MEMORY = Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"), Path("/sys/fs/cgroup/cgroup.controllers")
"""What there is of control groups, version 1 and 2."""


@dataclass(frozen=True)
class Hit:
    """Processes that something is done to.

    who: of the trial's. how: called with the id of each. lost: what the trial may count as lost for it.
    """

    name: str
    who: str
    how: Callable[[int], object]
    lost: set[Fault]


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def stop(pid: int) -> None:
    os.kill(pid, signal.SIGSTOP)


def starve(pid: int) -> None:
    """The kernel ends a process that takes more memory than its group may; from now on that is nothing."""
    if MEMORY[0].exists():
        group, limit = MEMORY[0].parent / f"cifarray-{uuid.uuid4().hex}", "memory.limit_in_bytes"
    else:
        group, limit = MEMORY[1].parent / f"cifarray-{uuid.uuid4().hex}", "memory.max"
    group.mkdir()
    (group / limit).write_text("0")
    (group / "cgroup.procs").write_text(str(pid))
    _, alive = psutil.wait_procs([psutil.Process(pid)], timeout=20)
    assert not alive
    group.rmdir()


def can_starve() -> bool:
    try:
        group = MEMORY[0].parent if MEMORY[0].exists() else MEMORY[1].parent
        (group / "cifarray-may-we").mkdir()
        (group / "cifarray-may-we").rmdir()
    except OSError:
        return False
    return MEMORY[0].exists() or "memory" in MEMORY[1].read_text()


KILLED = Hit("kill -9 of a worker", "worker", kill, {Fault.WORKERS_DIED})
STOPPED = Hit("SIGSTOP of a worker", "worker", stop, {Fault.HUNG})
HOST = Hit("kill -9 of the host", "host", kill, {Fault.GROUP_DIED})
SHORT = [KILLED, STOPPED, HOST]
ALL = [
    KILLED,
    Hit("kill -9 of all workers", "workers", kill, {Fault.WORKERS_DIED}),
    Hit("a worker out of memory", "worker", starve, {Fault.WORKERS_DIED}),
    STOPPED,
    HOST,
    Hit("SIGSTOP of the host", "host", stop, {Fault.GROUP_DIED}),
    Hit("kill -9 of the trial's actor", "Trial", kill, {Fault.ACTOR_DIED}),
]


def pids_of(ray: Any, group: str, who: str) -> list[int]:
    """Process ids of who is meant."""
    if who == "Trial":
        return list(living_actors(who).values())
    host = ray.get_actor(group, namespace="cifarray")
    if who == "host":
        return [ray.get(host.pid.remote())]
    workers = ray.get(host.worker_pids.remote())
    return list(workers.values()) if who == "workers" else [workers[1]]


@pytest.mark.parametrize("hits", [SHORT, pytest.param(ALL, marks=pytest.mark.nightly)], ids=["short", "all"])
def test_processes_that_are_killed_stopped_or_starved(ray_session, make_equal, make_recorder, undisturbed, hits):
    """One after the other, each in a trial of its own, in one study."""
    hits = [hit for hit in hits if hit.how is not starve or can_starve()]
    struck: list[int] = []

    def act(hit: Hit) -> Callable[[str], None]:
        def strike(group: str) -> None:
            pids = pids_of(ray_session, group, hit.who)
            assert pids
            struck.extend(pids)
            for pid in pids:
                hit.how(pid)

        return strike

    study = make_equal("struck", len(hits))
    strikes = Strikes({number: act(hit) for number, hit in enumerate(hits)})
    result = run_study(study, make_recorder(strikes))
    assert result.reason == "finished", result.message
    assert not strikes.errors
    for number, hit in enumerate(hits):
        told = restarts_of(study, number)
        print(f"{hit.name}: next epoch after {strikes.seconds[number]:.1f} s; told {[event.reason for event in told]}")
        assert told, hit.name
        assert {event.fault for event in told} <= hit.lost, hit.name
        if hit.lost == {Fault.WORKERS_DIED}:
            assert len(told) == 1, hit.name
    assert_as_if_nothing_had_been(ray_session, study, result, undisturbed)
    _, alive = psutil.wait_procs([psutil.Process(pid) for pid in struck if psutil.pid_exists(pid)], timeout=30)
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


@pytest.mark.nightly
@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(path.read_bytes()[:-1000]),
        lambda path: path.write_bytes(b""),
        lambda path: path.unlink(),
        of_another_trial,
    ],
    ids=["truncated", "empty", "deleted", "another trial's"],
)
def test_a_checkpoint_that_is_lost(ray_session, make_equal, make_recorder, undisturbed, damage):
    """The one before it is gone on from, and epoch 3 is done again; it keeps its metrics and is told once."""
    study = make_equal("torn")
    run_study(study, make_recorder(interrupted_after(3)))
    damage(trial_folder(study) / "epoch-0003.pt")
    view = make_recorder()
    result = run_study(study, view)
    assert [event.epoch for event in view.of(CheckpointLost)] == [3]
    assert [event.epoch for event in view.of(EpochEnded)] == [4]
    assert result.state.trials[0].restarts == 0
    assert_as_if_nothing_had_been(ray_session, study, result, undisturbed)


@pytest.mark.nightly
def test_a_clock_that_jumps(ray_session, make_equal, make_recorder, undisturbed, monkeypatch):
    """An hour ahead in the first trial and back in the second one: nobody waits for it and nothing is lost."""
    clock = time.time

    def jump(seconds: float) -> Callable[[str], None]:
        return lambda group: monkeypatch.setattr(time, "time", lambda: clock() + seconds)

    study = make_equal("jumped", 2, patience=60.0)
    strikes = Strikes({0: jump(3600.0), 1: jump(-3600.0)})
    began = time.monotonic()
    result = run_study(study, make_recorder(strikes))
    assert time.monotonic() - began < 400, "nobody waited for the clock"
    monkeypatch.undo()
    stamps = [event.time for event in events_of(study)]
    assert max(stamps) - min(stamps) > 7000, "the clock did jump"
    assert not restarts_of(study, 0) + restarts_of(study, 1)
    for name, number in (("an hour ahead", 0), ("two hours back", 1)):
        print(f"clock {name}: next epoch after {strikes.seconds[number]:.1f} s")
    assert_as_if_nothing_had_been(ray_session, study, result, undisturbed)


@pytest.mark.nightly
def test_a_trial_that_diverges(ray_session, make_equal, make_recorder, undisturbed):
    """It ends for this reason of its own, and the group that it was in trains the next one to the same bit."""
    study = make_equal("diverging", 2)
    space = replace(study.space, domains={"seed": choice(13, study.space.base.seed)})
    study = replace(study, space=space, searcher="grid")
    result = run_study(study, make_recorder(), host=DivergingGroup)
    first = result.state.trials[0]
    assert first.outcome is Outcome.DIVERGED
    print(f"NaN in epoch {DIVERGES_IN}: told {first.message}")
    assert f"in epoch {DIVERGES_IN}" in first.message
    assert epochs_in(study)[0] == list(range(1, DIVERGES_IN))
    assert [event.trial for event in events_of(study) if isinstance(event, TrialEnded)] == [0, 1]
    assert len({event.group for event in events_of(study) if event.kind == "start"}) == 1
    assert_as_if_nothing_had_been(ray_session, study, result, undisturbed, others=[0])

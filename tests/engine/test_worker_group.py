"""Real DDP workers: failures, isolation from trial to trial, memory. Not here: kill -9 (`test_mid_trial`)."""

import os

import pytest
import torch
from short_of_memory import ShortOfMemoryGroup

from cifarray.engine.run import run_study
from cifarray.space.domains import choice
from cifarray.study.events import EpochEnded, GroupChanged, MicroBatchHalved, TrialEnded, WorkersRestarted
from cifarray.study.trial_record import Outcome
from cifarray.training.checkpoint import load_checkpoint

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900), pytest.mark.usefixtures("untracked")]


def weights(result, number=0):
    """The final weights of a trial, by name."""
    return load_checkpoint(result.state.trials[number].checkpoint[1])["model"]


def assert_same_weights(one, other):
    assert one.keys() == other.keys()
    different = [name for name in one if not torch.equal(one[name], other[name])]
    assert not different


@pytest.fixture
def make_one(make_study):
    """A study of one trial with two workers and dropout."""

    def make(name, **options):
        fields = {"model.dropout": 0.3, "data.source": "synthetic:2000", "epochs": 4, **options.pop("fixed", {})}
        return make_study(name, 1, {"optimizer.lr": choice(0.1)}, fields, workers=2, cpus_per_worker=1.0, **options)

    return make


@pytest.mark.nightly
def test_workers_without_memory_go_on_with_smaller_micro_batches(ray_session, make_one, make_recorder):
    """32 images of each worker, then 16: the group that broke in its backward pass is replaced, the epoch is redone."""
    view = make_recorder()
    study = make_one("halved", fixed={"batch_size": 64, "auto_micro_batch": True, "checkpoint_every": 3})
    result = run_study(study, view, host=ShortOfMemoryGroup)
    trial = result.state.trials[0]
    assert trial.outcome is Outcome.COMPLETED, trial.message
    assert [(event.accumulate, event.epoch) for event in view.of(MicroBatchHalved)] == [(2, 1)]
    assert [event.epoch for event in view.of(EpochEnded)] == [1, 2, 3, 4]
    assert view.count(WorkersRestarted) == 0
    assert load_checkpoint(trial.checkpoint[1])["config"]["accumulate"] == 2


@pytest.mark.nightly
def test_a_worker_without_memory_keeps_its_group(ray_session, make_study, make_recorder):
    fields = {"data.source": "synthetic:2000", "batch_size": 32, "auto_micro_batch": True}
    view = make_recorder()
    result = run_study(make_study("alone_halved", 1, {"optimizer.lr": choice(0.1)}, fields), view, ShortOfMemoryGroup)
    assert result.state.trials[0].outcome is Outcome.COMPLETED
    assert result.state.trials[0].config["accumulate"] == 2
    assert view.count(GroupChanged, event="started") == 1


@pytest.mark.nightly
def test_a_trial_in_a_warm_group_equals_the_trial_alone(ray_session, make_study, make_recorder):
    """The tenth trial of a group ends with the weights that it has alone in a fresh group, bit for bit."""
    rates = [0.01 * (n + 1) for n in range(10)]
    fixed = {"model.dropout": 0.3, "epochs": 2, "data.source": "synthetic:1000"}
    options = {"fixed": fixed, "searcher": "grid", "workers": 2, "cpus_per_worker": 1.0, "keep_checkpoints": 20}
    many = run_study(make_study("many", 10, {"optimizer.lr": choice(*rates)}, **options), make_recorder())
    alone = run_study(make_study("alone", 1, {"optimizer.lr": choice(rates[-1])}, **options), make_recorder())
    assert_same_weights(weights(many, 9), weights(alone, 0))


def test_failing_and_diverging_trials_keep_their_group(ray_session, make_study, make_recorder, tmp_path):
    """Every third trial fails, of data that is too little for its batches; some learning rates diverge."""
    study = make_study(
        "failing",
        6,
        {"optimizer.lr": choice(0.1, 1e20), "data.source": choice("synthetic:500", "synthetic:400", "synthetic:50")},
        {"epochs": 1, "optimizer.momentum": 0.0, "optimizer.nesterov": False},
        searcher="grid",
        workers=2,
        cpus_per_worker=1.0,
    )
    view = make_recorder()
    result = run_study(study, view)
    ended = [result.state.trials[number].outcome for number in range(6)]
    assert ended.count(Outcome.COMPLETED) >= 2
    assert ended[2] is ended[5] is Outcome.FAILED
    assert "batch_size 64 is more than the 45 training images" in result.state.trials[2].message
    assert view.count(GroupChanged, event="started") == 1
    assert view.count(WorkersRestarted) == 0


def resident_bytes(pid):
    with open(f"/proc/{pid}/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmRSS"))


def test_memory_is_flat_over_a_hundred_short_trials(ray_session, make_study, make_recorder):
    readings = []

    def read_memory(event):
        if isinstance(event, TrialEnded):
            host = ray_session.get_actor("short/group-0", namespace="cifarray")
            pids = ray_session.get(host.worker_pids.remote())
            host_pid = ray_session.get(host.pid.remote())
            readings.append([resident_bytes(pid) for pid in (pids[0], pids[1], host_pid, os.getpid())])

    study = make_study(
        "short",
        100,
        {"seed": choice(*range(100))},
        {"epochs": 1, "data.limit": 128},
        searcher="grid",
        workers=2,
        cpus_per_worker=1.0,
    )
    result = run_study(study, make_recorder(read_memory))
    assert sum(t.outcome is Outcome.COMPLETED for t in result.state.trials.values()) == 100
    # The allocator settles in the first trials; after them a leak of a tiny network a trial would be 0.3 MB each.
    for early, late in zip(readings[29], readings[99], strict=True):
        assert late - early < 12 * 2**20

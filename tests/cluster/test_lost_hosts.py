"""A host whose raylet is killed, and one that cannot be reached for a while: the search goes on, and no bit changes.

Each happens to a trial of two workers on two hosts, and all is compared with the same search undisturbed. Not here: a
host that is deleted (`test_search`), processes of one host (`tests/engine/test_mid_trial.py`).
"""

import json
import os
import re
import signal
import threading
import time
from itertools import pairwise

import pytest
import torch
from laptop import HEAD, answers, living_nodes, metrics_in_mlflow, trains, until, watch

pytestmark = [pytest.mark.cluster, pytest.mark.faults, pytest.mark.nightly, pytest.mark.timeout(1200)]

EPOCHS, TRIALS = 4, 3
FIVE_SECONDS, RAYLET, A_MINUTE = range(TRIALS)
"""What happens to which trial, in its second epoch. The minute comes last: a search that goes on elsewhere has more
trials behind it, on a fast machine, before a minute is over."""
SEARCH = (
    f"ray job submit -- python jobs/tune_wrn.py --trials {TRIALS} --epochs {EPOCHS} --scheduler none --workers 2 "
    "--cpus-per-worker 2 --limit 600 --set model.depth=10 model.widen_factor=1 batch_size=64 --name {name}"
)


@pytest.fixture(scope="module")
def nodes(hosts, cluster):
    """The hosts, when all of them are there and the laptop reaches the head."""
    until(lambda: living_nodes(hosts["head"]) == 3, "a head and two workers")
    for port in (8265, 5000):
        until(lambda port=port: answers(hosts["laptop"], f"127.0.0.1:{port}") in ("200", "401"), f"port {port}")
    return hosts


def journal_of(shared, name):
    """Its whole lines so far; none before it begins."""
    path = shared / "results" / name / "journal.jsonl"
    return [json.loads(line) for line in path.read_text().split("\n")[:-1]] if path.exists() else []


def epochs_of(journal, trial):
    return [event for event in journal if event["kind"] == "epoch" and event["trial"] == trial]


@pytest.fixture(scope="module")
def calm(nodes, shared):
    """The journal of the search as it is without a fault."""
    text, code = watch(nodes["laptop"], SEARCH.format(name="calm"), lambda line: None)
    assert code == 0, text
    return journal_of(shared, "calm")


@pytest.fixture(scope="module")
def disturbed(nodes, shared, calm):
    """What was printed, the exit code, the journal, and which host of each trial was struck, and when."""
    struck = {}

    def strike(trial):
        host = next(host for name, host in nodes.items() if name.startswith("worker") and trains(host))
        struck[trial] = host.address, time.time()
        if trial == RAYLET:
            for pid, line in host.processes().items():
                if "/raylet/raylet " in line:
                    os.kill(pid, signal.SIGKILL)
            return
        host.unplug()
        time.sleep({FIVE_SECONDS: 5, A_MINUTE: 60}[trial])
        host.plug_in()

    def look_on():
        for trial in range(TRIALS):
            until(lambda trial=trial: epochs_of(journal_of(shared, "disturbed"), trial), f"trial {trial}", 300)
            strike(trial)

    onlooker = threading.Thread(target=look_on, daemon=True)
    onlooker.start()
    text, code = watch(nodes["laptop"], SEARCH.format(name="disturbed"), lambda line: None)
    onlooker.join(timeout=60)
    return text, code, journal_of(shared, "disturbed"), struck


def restarts_of(journal, trial):
    return [event for event in journal if event["kind"] == "restart" and event["trial"] == trial]


def test_the_search_ends_and_every_trial_is_completed(disturbed):
    text, code, journal, struck = disturbed
    assert code == 0, text
    assert sorted(struck) == list(range(TRIALS))
    assert [event["outcome"] for event in journal if event["kind"] == "outcome"] == ["completed"] * TRIALS
    for trial, (address, began) in struck.items():
        after = [event for event in epochs_of(journal, trial) if event["time"] > began]
        assert after, f"trial {trial} was over when {address} was struck"
        told = [f"{event['fault']}: {event['reason']}" for event in restarts_of(journal, trial)]
        seconds = after[0]["time"] - began
        print(f"trial {trial}: {address} struck in epoch {after[0]['epoch']}, which ends {seconds:.1f} s later; {told}")


def test_five_seconds_without_a_network_cost_nothing_else(disturbed):
    assert not restarts_of(disturbed[2], FIVE_SECONDS)


@pytest.mark.parametrize("trial", [RAYLET, A_MINUTE])
def test_a_host_that_is_lost_costs_one_restart_and_is_named_as_such(disturbed, trial):
    text, _, journal, struck = disturbed
    (restart,) = restarts_of(journal, trial)
    assert restart["fault"] == "node_died"
    who = rf"worker \d \(process \d+ on {re.escape(struck[trial][0])}\)"
    assert re.search(rf"trial {trial} lost its node \(1; {who} .*: goes on from its checkpoint", text)


def test_no_epoch_counts_twice(disturbed):
    _, _, journal, _ = disturbed
    epochs = [(event["trial"], event["epoch"]) for event in journal if event["kind"] == "epoch"]
    assert sorted(epochs) == [(trial, epoch) for trial in range(TRIALS) for epoch in range(1, EPOCHS + 1)]


def test_no_bit_is_another_one(shared, calm, disturbed):
    for trial in range(TRIALS):
        metrics, undisturbed = (
            [event["metrics"]["val_loss"] for event in epochs_of(journal, trial)] for journal in (disturbed[2], calm)
        )
        assert metrics == undisturbed
        file = f"trial-{trial:04d}/epoch-{EPOCHS:04d}.pt"
        found, expected = (torch.load(shared / "results" / name / file)["model"] for name in ("disturbed", "calm"))
        assert not [name for name in expected if not torch.equal(expected[name], found[name])]


def test_the_leaderboard_is_that_of_the_undisturbed_search(disturbed, calm):
    final = {trial: epochs_of(calm, trial)[-1]["metrics"]["val_accuracy"] for trial in range(TRIALS)}
    rows = re.findall(r"^ *\d +(\d) +completed", disturbed[0], re.MULTILINE)
    accuracies = [final[int(trial)] for trial in rows]
    assert len(rows) == TRIALS
    assert all(better >= worse for better, worse in pairwise(accuracies))


def test_mlflow_has_every_epoch_once(nodes, disturbed):
    histories = metrics_in_mlflow(nodes["head"])
    for trial in range(TRIALS):
        steps = sorted(step for step, _ in histories[f"disturbed-{trial}"])
        assert steps == list(range(1, EPOCHS + 1))


def test_nothing_of_the_search_is_left(nodes, disturbed):
    until(lambda: not any(trains(host) for host in nodes.values()), "hosts without workers", 30)
    listed = nodes["head"].run("ray list placement-groups --filter state!=REMOVED", check=False, **HEAD)
    assert "Total: 0" in listed or "No resource in the cluster" in listed, listed

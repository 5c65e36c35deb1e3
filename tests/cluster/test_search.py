"""From nothing to a search over hosts, one of which dies: typed on a laptop, in the order of docs/clusters.md."""

import json
import re

import pytest
from hosts import NETWORK
from laptop import LAPTOP, answers, living_nodes, metrics_in_mlflow, trains, until, watch

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(720)]

EPOCHS, TRIALS = 4, 3
SEARCH = (
    f"ray job submit -- python jobs/tune_wrn.py --trials {TRIALS} --epochs {EPOCHS} --scheduler none --workers 2 "
    "--cpus-per-worker 2 --set model.depth=10 model.widen_factor=1 batch_size=64 --name over-hosts"
)


def test_ray_up_brings_all_hosts_together(hosts, cluster):
    until(lambda: living_nodes(hosts["head"]) == 3, "a head and two workers")


def test_dashboard_and_mlflow_are_reached_by_tunnel_alone(hosts, cluster):
    for port in (8265, 5000):
        until(lambda port=port: answers(hosts["laptop"], f"127.0.0.1:{port}") in ("200", "401"), f"port {port}")
        assert answers(hosts["laptop"], f"head:{port}") == "000"


def listening(host, port):
    """Ids of the processes that listen on a port of a host."""
    return set(re.findall(r"pid=(\d+)", host.run(f"ss --no-header --listening --tcp --processes 'sport = :{port}'")))


def test_mlflow_is_started_again_when_it_is_killed(hosts, cluster):
    head = hosts["head"]
    until(lambda: answers(head, "127.0.0.1:5000/health") == "200", "MLflow")
    killed = listening(head, 5000)
    head.run(f"kill -KILL {' '.join(killed)}")
    until(lambda: listening(head, 5000) - killed and answers(head, "127.0.0.1:5000/health") == "200", "another MLflow")


def test_a_wrong_token_is_refused_in_a_sentence(hosts, cluster):
    until(lambda: answers(hosts["laptop"], "127.0.0.1:8265") == "200", "the dashboard")
    wrong = {**LAPTOP, "RAY_AUTH_TOKEN": "0" * 64}
    *_, last, code = hosts["laptop"].run(f"{SEARCH}; echo exit code $?", **wrong).strip().splitlines()
    assert "authentication token is invalid or incorrect" in last
    assert code == "exit code 1"
    script = "python jobs/tune_wrn.py --smoke 2>&1 | grep -v gcs_client; echo exit code ${PIPESTATUS[0]}"
    *_, sentence, code = hosts["head"].run(script, **wrong).strip().splitlines()
    assert sentence.startswith("error: Ray does not let this driver in (InvalidAuthToken: ")
    assert "the token must be the cluster's own, in ~/.ray/auth_token, or where RAY_AUTH_TOKEN_PATH says" in sentence
    assert code == "exit code 2"


@pytest.fixture(scope="module")
def searched(hosts, cluster):
    """The search, and one of its hosts deleted in an epoch: what was printed, the exit code, what was seen then."""
    until(lambda: living_nodes(hosts["head"]) == 3, "a head and two workers")
    seen = {}

    def look(line):
        if "trial 1 epoch 1/" in line:
            seen["hosts"] = [name for name, host in hosts.items() if trains(host)]
            seen["peers"] = [
                peer for host in hosts.values() for peer in re.findall(r"\S+:\d+ +(\S+):\d+", host.run("ss -Htn"))
            ]
            hosts[next(name for name in seen["hosts"] if name.startswith("worker"))].delete()

    return *watch(hosts["laptop"], SEARCH, look), seen


@pytest.fixture(scope="module")
def journal(shared, searched):
    return [json.loads(line) for line in (shared / "results/over-hosts/journal.jsonl").read_text().splitlines()]


def test_the_search_ends_though_a_host_died_in_the_middle(searched):
    text, code, seen = searched
    assert code == 0, text
    assert len(seen["hosts"]) == 2
    assert len(re.findall(r"^ *\d +\d +completed", text, re.MULTILINE)) == TRIALS


def test_all_traffic_stays_among_the_hosts(searched):
    _, _, seen = searched
    assert len(seen["peers"]) > 10
    assert {peer.removeprefix("[::ffff:").rstrip("]").rpartition(".")[0] for peer in seen["peers"]} <= {
        NETWORK,
        "127.0.0",
    }


def test_the_trial_went_on_from_its_checkpoint_and_no_epoch_counts_twice(journal):
    epochs = [(event["trial"], event["epoch"]) for event in journal if event["kind"] == "epoch"]
    assert epochs == [(trial, epoch) for trial in range(TRIALS) for epoch in range(1, EPOCHS + 1)]
    assert [(event["trial"], event["restarts"]) for event in journal if event["kind"] == "restart"] == [(1, 1)]


def test_the_leaderboard_ranks_what_the_journal_says(searched, journal):
    accuracy = {
        event["trial"]: event["metrics"]["val_accuracy"]
        for event in journal
        if event["kind"] == "epoch" and event["epoch"] == EPOCHS
    }
    rows = re.findall(r"^ *\d +(\d) +completed +\d+ +(\d+\.\d\d) %", searched[0], re.MULTILINE)
    assert {int(trial): float(percent) for trial, percent in rows} == {
        trial: pytest.approx(100 * value, abs=0.005) for trial, value in accuracy.items()
    }
    percents = [float(percent) for _, percent in rows]
    assert percents == sorted(percents, reverse=True)


def test_mlflow_has_every_epoch_once(hosts, journal):
    histories = metrics_in_mlflow(hosts["head"])
    for trial in range(TRIALS):
        told = [
            [event["epoch"], pytest.approx(event["metrics"]["val_accuracy"])]
            for event in journal
            if event["kind"] == "epoch" and event["trial"] == trial
        ]
        assert sorted(histories[f"over-hosts-{trial}"]) == told


def test_ray_down_leaves_no_process(hosts, cluster_file, searched):
    stopped = f"ray exec {cluster_file} 'cd ~/cifarray && make stop-machines'"
    text = hosts["laptop"].run(stopped, timeout=120, check=False, **LAPTOP)
    unreached = [host.address for host in hosts.values() if host.process.poll() is not None]
    assert re.findall(r"Ray may still run on (\S+)", text) == unreached
    hosts["laptop"].run(f"ray down --yes {cluster_file}", timeout=120, **LAPTOP)

    def left():
        living = [host for host in hosts.values() if host.name != "laptop" and host.process.poll() is None]
        return [line for host in living for line in host.processes().values() if "ray" in line or "mlflow" in line]

    until(lambda: not left(), "hosts without Ray and MLflow")

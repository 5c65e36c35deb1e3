"""Several Ray nodes on this machine: an autoscaler's clusters, where actors live, nodes and drivers that die."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from living import nodes_of_actors
from many_nodes import Asking, growing_head, wait_until
from running_head import free_port

from cifarray.engine import cluster
from cifarray.engine.capacity import Node
from cifarray.engine.connection import connected
from cifarray.engine.run import run_study
from cifarray.space.domains import choice
from cifarray.study.events import EpochEnded, GroupChanged, TrialStarted
from cifarray.study.trial_record import Outcome

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(600)]

HERE = Path(__file__).parent


@pytest.fixture
def joined(monkeypatch):
    """A function that joins a cluster as a driver does; left at the end."""
    import ray

    monkeypatch.setenv("PYTHONPATH", str(HERE), prepend=os.pathsep)
    with pytest.MonkeyPatch.context() as patch:
        exits = []

        def join(address):
            patch.setenv("RAY_ADDRESS", address)
            joining = connected()
            exits.append(joining)
            return joining.__enter__()

        yield join
        for connection in exits:
            connection.__exit__(None, None, None)
    assert not ray.is_initialized()


@pytest.mark.parametrize(
    "v2",
    # Version 1 is what cluster.yaml takes.
    [pytest.param(False, id="v1"), pytest.param(True, id="v2", marks=pytest.mark.nightly)],
)
def test_both_autoscalers_are_understood(joined, v2):
    """A head without CPUs, and at most two workers of two; then what an actor asked for that died is taken back."""
    from ray.util.placement_group import placement_group

    types = {"small": {"resources": {"CPU": 1}, "max_workers": 1}, "large": {"resources": {"CPU": 2}, "max_workers": 5}}
    with growing_head(types, max_workers=2, v2=v2) as address:
        ray = joined(address)
        start = cluster.look()
        assert start.can_grow
        assert start.nodes == start.fixed == (Node(0),)
        assert sorted(node.cpus for node in start.addable) == [1, 2, 2]
        assert start.max_workers == 2

        asking = ray.remote(num_cpus=0)(Asking).remote()
        ray.get(asking.ask.remote(3 * [{"CPU": 2}]))
        assert placement_group([{"CPU": 2}] * 2).wait(60)
        assert cluster._names_node_types(), "the status alone tells, where the head is another machine"
        wait_until(lambda: len(cluster.look().nodes) == 3, 60)
        assert not cluster.look().can_grow, "all are there"
        ray.kill(asking)

        def taken_back():
            cluster.remove_orphaned_placement_groups()
            return sum(group["state"] == "PENDING" for group in ray.util.placement_group_table().values()) == 0

        wait_until(taken_back, 30)
        assert sum(group["state"] == "CREATED" for group in ray.util.placement_group_table().values()) == 1
        ray.shutdown()


@pytest.mark.nightly
def test_a_study_makes_its_cluster_grow_and_lets_it_shrink(joined, make_study, make_recorder):
    """From a head alone to the two workers that the cluster file allows, and back to the head."""
    types = {"worker": {"resources": {"CPU": 1}, "max_workers": 2}}
    with growing_head(types, max_workers=2, v2=False) as address, tempfile.TemporaryDirectory(dir="/dev/shm") as mount:
        ray = joined(address)
        fixed = {"epochs": 3, "data.source": "synthetic:2000"}
        study = make_study("grows", 4, fixed=fixed, workers=1, cpus_per_worker=1.0, gpus_per_worker=0.0)
        view = make_recorder()
        result = run_study(replace(study, storage=mount), view)
        assert {trial.outcome for trial in result.state.trials.values()} == {Outcome.COMPLETED}
        assert view.count(GroupChanged, event="ready") == 2
        assert len({event.group for event in view.of(TrialStarted)}) == 2
        wait_until(lambda: len(cluster.look().nodes) == 1, 120)
        ray.shutdown()


def test_a_head_without_an_autoscaler_cannot_grow(joined):
    with growing_head({}, max_workers=0, v2=False) as address:
        ray = joined(address)
        assert not cluster.look().can_grow
        assert not cluster._names_node_types()
        ray.shutdown()


@pytest.fixture
def nodes(joined, cifarray_home):
    """A cluster with a head without CPUs, to which nodes can be added and from which they vanish."""
    from ray.cluster_utils import Cluster

    made = Cluster(shutdown_at_exit=False)
    made.add_node(num_cpus=0, include_dashboard=False, gcs_server_port=free_port())
    yield made
    import ray

    ray.shutdown()
    made.shutdown()


@pytest.mark.nightly
def test_a_trial_outlives_its_nodes(nodes, joined, make_study, make_recorder):
    """Its two workers share the one node that holds both; that dies and they go on on two; one of these dies, and they
    wait until another comes. Everything else lives on the driver's node."""
    first = nodes.add_node(num_cpus=2)
    left, right = nodes.add_node(num_cpus=1), nodes.add_node(num_cpus=1)
    joined(nodes.address)
    seen = []

    def lose(node):
        seen.append(nodes_of_actors())
        nodes.remove_node(node, allow_graceful=False)

    def replace(node):
        lose(node)
        wait_until(lambda: node.node_id not in cluster.living_nodes(), 120)
        nodes.add_node(num_cpus=1)

    acts = {1: (lose, first), 3: (replace, right)}

    def on_event(event):
        if isinstance(event, EpochEnded) and event.epoch in acts:
            act, node = acts.pop(event.epoch)
            threading.Thread(target=act, args=(node,)).start()

    fields = {"epochs": 5, "data.source": "synthetic:2000"}
    study = make_study("nodes", 1, {"optimizer.lr": choice(0.1)}, fields, workers=2, cpus_per_worker=1.0)
    view = make_recorder(on_event)
    result = run_study(study, view)
    trial = result.state.trials[0]
    assert trial.outcome is Outcome.COMPLETED, trial.message
    assert trial.restarts == 2
    lines = [json.loads(line) for line in (study.folder / "journal.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines if line["kind"] == "epoch"] == [1, 2, 3, 4, 5]
    together, apart = (place.pop("RayTrainWorker") for place in seen)
    assert together == [first.node_id] * 2
    assert sorted(apart) == sorted([left.node_id, right.node_id])
    driver = {nodes.head_node.node_id}
    for place in seen:
        assert {"Trial", "WorkerGroup"} <= place.keys()
        assert {node for found in place.values() for node in found} == driver, place


DRIVER = """
import sys
from pathlib import Path
from conftest import Recorder
from cifarray.config import TrainConfig, override
from cifarray.engine.connection import connected
from cifarray.space.domains import choice
from cifarray.space.space import SearchSpace
from cifarray.engine.run import run_study
from cifarray.study.events import EpochEnded
from cifarray.study.study import Study

def tell(event):
    if isinstance(event, EpochEnded):
        print("epoch", flush=True)

folder, epochs = sys.argv[1], int(sys.argv[2])
fields = {"data.source": "synthetic:500", "model.depth": 10, "epochs": epochs, "batch_size": 64}
space = SearchSpace("released", override(TrainConfig(), fields), {"optimizer.lr": choice(0.1)})
with connected():
    run_study(Study("released", space, 1, folder, f"sqlite:///{folder}/mlflow.db", workers=2), Recorder(tell))
print("done", flush=True)
"""


@pytest.mark.parametrize(
    ("epochs", "seconds"),
    [pytest.param(1, 60, id="clean end", marks=pytest.mark.nightly), pytest.param(1000, 300, id="kill -9")],
)
def test_what_a_study_held_is_free_again(nodes, joined, tmp_path, epochs, seconds):
    nodes.add_node(num_cpus=2)
    ray = joined(nodes.address)
    process = subprocess.Popen(
        [sys.executable, "-c", DRIVER, str(tmp_path), str(epochs)], stdout=subprocess.PIPE, text=True, cwd=HERE
    )
    try:
        lines = iter(process.stdout.readline, "")
        assert next(lines) == "epoch\n"
        if epochs == 1:
            assert next(lines) == "done\n"
            assert process.wait(60) == 0
        else:
            assert ray.available_resources().get("CPU", 0) == 0
            os.kill(process.pid, signal.SIGKILL)

        def free():
            held = [g for g in ray.util.placement_group_table().values() if g["state"] != "REMOVED"]
            names = [name for name in ray.util.list_named_actors() if name.startswith("released/")]
            return ray.available_resources().get("CPU", 0) == 2 and not held and not names

        wait_until(free, seconds)
    finally:
        process.kill()
        process.wait()

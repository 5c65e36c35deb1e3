"""What the cluster file on the head says of the nodes that may come."""

from types import SimpleNamespace

import pytest
import ray
import yaml

from cifarray.engine import cluster, connection
from cifarray.engine.capacity import Node
from cifarray.engine.cluster import _read_cluster_file


def write(path, **fields):
    path.write_text(yaml.safe_dump({"cluster_name": "c", "auth": {"ssh_user": "me"}, "max_workers": 3, **fields}))
    return str(path)


def test_every_type_up_to_its_own_maximum(tmp_path):
    types = {
        "head": {"resources": {"CPU": 0}, "node_config": {}, "max_workers": 0},
        "gpu": {"resources": {"CPU": 8, "GPU": 1}, "node_config": {}, "max_workers": 2},
        "many": {"resources": {"CPU": 4}, "node_config": {}, "max_workers": 9},
    }
    file = write(
        tmp_path / "c.yaml",
        provider={"type": "aws", "region": "us-west-2"},
        head_node_type="head",
        available_node_types=types,
    )
    most, addable = _read_cluster_file(file)
    assert most == 3
    assert sorted(addable, key=str) == sorted([Node(8, 1)] * 2 + [Node(4)] * 3, key=str)


def test_of_own_machines_the_resources_are_not_known(tmp_path):
    """As `ray up` brings it to the head: one type for all of them, the head's too."""
    types = {"local.cluster.node": {"resources": {}, "node_config": {}, "min_workers": 2, "max_workers": 2}}
    file = write(
        tmp_path / "c.yaml",
        provider={"type": "local", "head_ip": "192.0.2.10", "worker_ips": ["192.0.2.11", "192.0.2.12"]},
        head_node_type="local.cluster.node",
        available_node_types=types,
        cluster_synced_files=[],
    )
    assert _read_cluster_file(file) == (3, None)


@pytest.mark.parametrize(
    ("monitor", "expected"),
    [(["monitor.py"], False), (["monitor.py", "--autoscaling-config=/root/c.yaml"], True), (None, True)],
    ids=["no-cluster-file", "cluster-file", "no-monitor-here"],
)
def test_an_autoscaler_is_asked_unless_there_can_be_none(monkeypatch, monitor, expected):
    def find(gcs_address):
        if monitor is None:
            raise LookupError
        return monitor

    monkeypatch.setattr(ray, "get_runtime_context", lambda: SimpleNamespace(gcs_address="198.51.100.1:6379"))
    monkeypatch.setattr(cluster, "_monitor", find)
    monkeypatch.setattr(connection, "_started_here", False)
    assert cluster.may_be_autoscaled() is expected
    monkeypatch.setattr(connection, "_started_here", True)
    assert cluster.may_be_autoscaled() is False

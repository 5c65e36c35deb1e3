"""What workers find in their environment when they join their process group."""

import os

import pytest
from ray.train.torch import config as train_config

from cifarray.engine import cluster, process_group, run
from cifarray.engine.capacity import Cluster, Node
from cifarray.engine.orders import NodeRequirements
from cifarray.engine.process_group import ProcessGroupBackend, ProcessGroupConfig

RING = {"NCCL_ALGO": "Ring", "NCCL_PROTO": "Simple"}


class HereAndNow:
    """A worker group of two whose workers are this process."""

    def __len__(self):
        return 2

    def get_resources_per_worker(self):
        return {"GPU": 1}

    def execute_single(self, rank, function, *args):
        return function(*args)

    execute_single_async = execute_single


@pytest.fixture
def joined(monkeypatch):
    """What was set when each worker joined."""
    for name in RING:
        monkeypatch.delenv(name, raising=False)
    for name in ("MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.setenv(name, "")
    found = []
    monkeypatch.setattr(train_config, "_set_torch_distributed_env_vars", lambda: None)
    monkeypatch.setattr(
        train_config,
        "_setup_torch_process_group",
        lambda *arguments: found.append({name: os.environ.get(name) for name in RING}),
    )
    monkeypatch.setattr(process_group.ray_internals, "address_and_free_port", lambda: ("127.0.0.1", 1))
    monkeypatch.setattr(process_group.ray, "get", lambda refs: refs)
    yield found
    for name in RING:
        os.environ.pop(name, None)


def settings_of(make_study, monkeypatch, **fields):
    """Of the groups of a study."""
    study = make_study(workers=4, fixed=fields, cpus_per_worker=1.0, gpus_per_worker=0.0)
    monkeypatch.setattr(cluster, "look", lambda: Cluster((Node(8),)))
    monkeypatch.setattr(cluster, "may_be_autoscaled", lambda: False)
    monkeypatch.setattr(run, "node_requirements", lambda study: NodeRequirements({}, study.marker))
    return run.group_settings(study, study.new_state(), "id")


@pytest.mark.parametrize(
    ("deterministic", "driver", "expected"),
    [
        (True, {}, RING),
        (True, {"NCCL_ALGO": "Tree"}, {"NCCL_ALGO": "Tree", "NCCL_PROTO": "Simple"}),
        (False, {}, {}),
        (False, {"NCCL_PROTO": "LL"}, {"NCCL_PROTO": "LL"}),
    ],
)
def test_sums_are_pinned_where_training_is_deterministic_unless_the_driver_says_otherwise(
    joined, make_study, monkeypatch, deterministic, driver, expected
):
    for name, value in driver.items():
        monkeypatch.setenv(name, value)
    assert settings_of(make_study, monkeypatch, deterministic=deterministic).collectives == expected


def test_workers_have_it_before_they_join_unless_their_node_says_otherwise(joined, monkeypatch):
    monkeypatch.setenv("NCCL_PROTO", "LL128")
    ProcessGroupBackend().on_start(HereAndNow(), ProcessGroupConfig(600, RING))
    assert joined == [{"NCCL_ALGO": "Ring", "NCCL_PROTO": "LL128"}] * 2

"""Spot nodes come first, and on-demand ones where AWS refuses spot: Ray's own scheduler and launcher, an AWS that
refuses."""

import re
import time

import pytest
from botocore.exceptions import ClientError
from ray.autoscaler import tags
from ray.autoscaler._private.aws.node_provider import AWSNodeProvider
from ray.autoscaler._private.event_summarizer import EventSummarizer
from ray.autoscaler._private.node_launcher import BaseNodeLauncher
from ray.autoscaler._private.node_provider_availability_tracker import NodeProviderAvailabilityTracker
from ray.autoscaler._private.resource_demand_scheduler import ResourceDemandScheduler
from ray.autoscaler._private.util import ConcurrentCounter

from cifarray.cluster_file import checks
from tests.cluster_file.conftest import ROOT

GROUP = {"CPU": 8.0, "GPU": 1.0}


class Aws:
    """What asks EC2 for instances, and is refused."""

    def __init__(self):
        self.asked = 0

    def create_instances(self, **_):
        self.asked += 1
        raise ClientError({"Error": {"Code": "InsufficientInstanceCapacity", "Message": "none"}}, "RunInstances")


class Provider:
    """No worker runs."""

    def node_tags(self, node):
        return {tags.TAG_RAY_NODE_KIND: tags.NODE_KIND_HEAD, tags.TAG_RAY_USER_NODE_TYPE: "head"}

    def internal_ip(self, node):
        return "192.0.2.10"


class Autoscaler:
    """Version 1's parts as its monitor puts them together, with the variables that the head's start has."""

    def __init__(self, config):
        self.config = config
        self.later = 0.0
        self.tracker = NodeProviderAvailabilityTracker(timer=lambda: time.time() + self.later)
        self.scheduler = ResourceDemandScheduler(
            Provider(), config["available_node_types"], config["max_workers"], config["head_node_type"], 1.0
        )

    def wants(self, groups):
        head = {"CPU": 0.0, "node:192.0.2.10": 1.0}
        launch, _ = self.scheduler.get_nodes_to_launch(
            ["i-head"], {}, [GROUP] * groups, {"192.0.2.10": head}, [], {"192.0.2.10": head}, [], self.tracker.summary()
        )
        return dict(launch)

    def is_refused(self, node_type, monkeypatch):
        provider = object.__new__(AWSNodeProvider)
        provider.cluster_name, provider.provider_config = "cifarray", {}
        provider.cache_stopped_nodes, provider.ec2_fail_fast = False, Aws()
        monkeypatch.setitem(
            self.config["available_node_types"][node_type]["node_config"], "SubnetIds", ["subnet-a", "subnet-b"]
        )
        pending = ConcurrentCounter()
        pending.inc(node_type, 1)
        launcher = BaseNodeLauncher(provider, pending, EventSummarizer(), self.tracker, node_types=self.config)
        launcher.launch_node(self.config, 1, node_type)
        assert provider.ec2_fail_fast.asked >= 2  # each zone


@pytest.fixture
def autoscaler(home, monkeypatch):
    config = checks.check(checks.read(ROOT / "cluster.yaml"), "cluster.yaml")
    variables = dict(re.findall(r"export (RAY_\w+)=(\S+)", config["setup_commands"][0]))
    assert variables["RAY_enable_autoscaler_v2"] == "0"
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return Autoscaler(config)


def test_spot_nodes_come_first(autoscaler):
    assert autoscaler.wants(3) == {"gpu_spot": 3}


def test_where_spot_is_refused_on_demand_nodes_come_as_far_as_they_may(autoscaler, monkeypatch):
    autoscaler.is_refused("gpu_spot", monkeypatch)
    assert autoscaler.wants(1) == {"gpu_on_demand": 1}
    assert autoscaler.wants(3) == {"gpu_on_demand": 2, "gpu_spot": 1}


def test_where_both_are_refused_spot_is_asked_again(autoscaler, monkeypatch):
    autoscaler.is_refused("gpu_spot", monkeypatch)
    autoscaler.is_refused("gpu_on_demand", monkeypatch)
    assert autoscaler.wants(1) == {"gpu_spot": 1}


def test_half_an_hour_after_a_refusal_spot_is_asked_again(autoscaler, monkeypatch):
    autoscaler.is_refused("gpu_spot", monkeypatch)
    autoscaler.later = 30 * 60 + 1
    assert autoscaler.wants(1) == {"gpu_spot": 1}


def test_what_fits_on_no_node_is_not_asked_for(autoscaler):
    autoscaler.scheduler.node_types["gpu_spot"]["resources"] = {"CPU": 4, "GPU": 1}
    assert autoscaler.wants(1) == {"gpu_on_demand": 1}

"""What a user who waits is told of nodes that the cloud refuses: Ray's own report of it, as its monitor leaves it."""

import json
import time
from dataclasses import asdict

from ray.autoscaler._private.node_provider_availability_tracker import NodeProviderAvailabilityTracker
from ray.autoscaler.node_launch_exception import NodeLaunchException

from cifarray.engine import cluster


def test_a_refused_type_is_told_with_the_clouds_words_and_one_that_came_is_not():
    tracker = NodeProviderAvailabilityTracker()
    refusal = NodeLaunchException("InsufficientInstanceCapacity", "no g6.2xlarge in us-west-2a", None)
    tracker.update_node_availability("gpu_spot", int(time.time()), refusal)
    tracker.update_node_availability("gpu_on_demand", int(time.time()), None)
    report = json.loads(json.dumps({"node_availability_summary": asdict(tracker.summary())}))
    assert cluster._refusals(report) == ["gpu_spot: InsufficientInstanceCapacity, no g6.2xlarge in us-west-2a"]


def test_where_no_autoscaler_reports_nothing_is_told():
    assert cluster._refusals({}) == []

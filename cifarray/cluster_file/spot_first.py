"""Which node type Ray's autoscaler asks the cloud for: the one that it asks for by itself, unless that was refused.

Here: a scorer for its version 1, which `cluster.yaml` names by RAY_AUTOSCALER_UTILIZATION_SCORER. Ray keeps a refusal
(no capacity, no quota) for half an hour, and its own scorer does not look at it; version 2 keeps none at all (seen on
Ray 2.60), so that spot nodes would be asked for for ever. Of two types that are alike Ray takes the one whose name
comes last in the alphabet: `gpu_spot` before `gpu_on_demand`.
"""

from typing import Any


def score(
    resources: dict[str, float], demands: list[dict[str, float]], node_type: str, *, node_availability_summary: Any
) -> tuple[Any, ...] | None:
    """Ray's own score, and last in it whether the type could be had of late; None if no demand fits on a node of it.

    resources: of one node. demands: what is wanted, each to be on one node.
    node_availability_summary: Ray's `NodeAvailabilitySummary`; a type of which it knows nothing could be had.
    """
    from ray.autoscaler._private.resource_demand_scheduler import _resource_based_utilization_scorer

    fit = _resource_based_utilization_scorer(resources, demands, node_availability_summary=node_availability_summary)
    if fit is None:
        return None
    record = node_availability_summary.node_availabilities.get(node_type)
    return (*fit, record is None or record.is_available)

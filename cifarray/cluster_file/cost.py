"""What a cluster costs per hour: types and counts from the file, prices from whoever asks, since they change weekly.

Not here: volumes, traffic and storage, which cost little beside the nodes.
"""

import math
from dataclasses import dataclass
from typing import Any

from cifarray.cluster_file.checks import ClusterFileError


@dataclass(frozen=True)
class Hourly:
    """Prices of the whole cluster per hour, in the currency of the prices given."""

    head: float
    least: float
    """With each type's min_workers."""
    most: float
    """With max_workers nodes, the dearest that the types' own max_workers allow."""


def parse_prices(assignments: list[str]) -> dict[str, float]:
    """`NAME=PRICE` words. Raises ClusterFileError for anything else."""
    prices = {}
    for assignment in assignments:
        name, _, price = assignment.partition("=")
        try:
            prices[name] = float(price)
        except ValueError:
            prices[name] = -1.0
        if not name or not 0 <= prices[name] < math.inf:
            raise ClusterFileError(f"price {assignment!r} is not NAME=NUMBER: give it as in m7i.xlarge=0.20, per hour")
    return prices


def hourly(config: dict[str, Any], prices: dict[str, float]) -> Hourly:
    """config: with Ray's defaults (`checks.check`). prices: per hour and node, by node type (`gpu_spot`) or, where that
    has none, by instance type (`g6.2xlarge`).

    Raises ClusterFileError for a node type without a price, or a price of nothing in the file.
    """
    types = config["available_node_types"]
    if config["provider"]["type"] == "local":
        raise ClusterFileError(
            "the file has no node types: only what is rented by the hour has a price; leave PRICES out"
        )
    instances = {name: _instance_type(node_type) for name, node_type in types.items()}
    for name in prices:
        if name not in types and name not in instances.values():
            names = ", ".join([*types, *sorted(set(instances.values()))])
            raise ClusterFileError(f"price {name!r} is of nothing in the file: give one of {names}")
    for name, instance in instances.items():
        if name not in prices and instance not in prices:
            raise ClusterFileError(
                f"node type {name} ({instance}) has no price: every type needs one; "
                f"add {name}=… or {instance}=… to PRICES"
            )
    price = {name: prices.get(name, prices.get(instance, 0.0)) for name, instance in instances.items()}
    head = price[config["head_node_type"]]
    least = sum(price[name] * node_type["min_workers"] for name, node_type in types.items())
    workers = [price[name] for name, node_type in types.items() for _ in range(node_type["max_workers"])]
    return Hourly(head, head + least, head + sum(sorted(workers, reverse=True)[: config["max_workers"]]))


def _instance_type(node_type: dict[str, Any]) -> str:
    node = node_type["node_config"]
    return str(node.get("InstanceType") or node.get("machineType"))

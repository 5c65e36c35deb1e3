"""What is asked of Ray once it is reached: nodes, autoscaler, actors; and tidying up there.

Not here: reaching it (`connection`), how much of it a study uses (`capacity`).
"""

import contextlib
import logging
import time
from collections.abc import Iterable
from functools import cache
from typing import Any

from cifarray.engine import ray_internals
from cifarray.engine.capacity import Cluster, Node
from cifarray.engine.connection import started_here
from cifarray.engine.waiting import HowFar

log = logging.getLogger(__name__)

HEAD_RESOURCE = "node:__internal_head__"
CLUSTER_FILE = "--autoscaling-config="


def may_be_autoscaled() -> bool:
    """Whether an autoscaler could add nodes, as far as can be told from here: not to a Ray that was started here, nor
    by a head on this machine that has no cluster file."""
    import ray

    if started_here():
        return False
    try:
        return _file_of(_monitor(ray.get_runtime_context().gcs_address)) is not None
    except LookupError:
        return True


def look() -> Cluster:
    """The living nodes, and what an autoscaler may make of them."""
    import ray

    living = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    heads = [resources for resources in living if HEAD_RESOURCE in resources]
    nodes, fixed = tuple(map(_node, living)), tuple(map(_node, heads))
    if started_here():
        return Cluster(nodes)
    try:
        monitor = _monitor(ray.get_runtime_context().gcs_address)
    except LookupError:
        return Cluster(nodes, _names_node_types(), fixed)
    file = _file_of(monitor)
    if file is None:
        return Cluster(nodes)
    max_workers, addable = _read_cluster_file(file)
    return Cluster(nodes, len(living) - len(heads) < max_workers, fixed, addable, max_workers)


def starts() -> HowFar:
    """How far Ray is with this driver's worker groups."""
    import ray

    return HowFar(*ray_internals.train_starts(ray.get_runtime_context().get_job_id()))


def living_nodes() -> frozenset[str]:
    """Ids of the nodes that live, as far as Ray knows."""
    import ray

    return frozenset(node["NodeID"] for node in ray.nodes() if node["Alive"])


def any_node_gone(nodes: Iterable[str]) -> bool:
    """Whether one of the nodes with these ids lives no more; False too if Ray cannot tell."""
    import ray

    try:
        return not living_nodes() >= set(nodes)
    except ray.exceptions.RayError as error:
        log.warning("Ray does not tell which nodes live: %s", error)
        return False


def names(nodes: Iterable[str]) -> tuple[str, ...]:
    """Of the machines whose nodes have these ids, as they call themselves."""
    import ray

    return tuple(sorted({node["NodeManagerHostname"] for node in ray.nodes() if node["NodeID"] in set(nodes)}))


def addresses(nodes: Iterable[str]) -> list[str]:
    """Where the nodes with these ids are, or were."""
    import ray

    return sorted(node["NodeManagerAddress"] for node in ray.nodes() if node["NodeID"] in set(nodes))


def remove_orphaned_placement_groups() -> None:
    """Take back what dead actors of this driver had asked for: the autoscaler would add nodes for nobody."""
    import ray
    from ray.util.placement_group import remove_placement_group

    for orphan in ray_internals.orphaned_placement_groups(ray.get_runtime_context().get_job_id()):
        remove_placement_group(orphan)


def free_places(seconds: float) -> None:
    """The same when all actors of this driver that had any were killed: as they die, for so long at most."""
    import ray

    deadline = time.monotonic() + seconds
    # A Ray that is about to go, and answers no more, takes all of it along.
    with contextlib.suppress(Exception):
        job_id = ray.get_runtime_context().get_job_id()
        while any(ray_internals.placement_groups_of_actors(job_id)) and time.monotonic() < deadline:
            remove_orphaned_placement_groups()
            time.sleep(0.1)


def cancel_request(requester_id: str) -> None:
    """Of a Train run that was killed: the autoscaler would keep nodes for it, or add some, for three minutes more."""
    import ray

    with contextlib.suppress(ValueError, ray.exceptions.RayError):
        ray_internals.cancel_request(requester_id)


def failed_launches() -> str:
    """Why nodes could not be started of late, in the cloud's words; empty if none failed or nobody tells."""
    import ray

    try:
        status = ray_internals.autoscaler_status(ray.get_runtime_context().gcs_address)
        refusals = _refusals(ray_internals.report_of_autoscaler_1())
    except Exception as error:  # What they raise is not documented, and nothing depends on the answer.
        log.debug("no cluster status: %s", error)
        return ""
    launches = [f"{launch.ray_node_type_name}: {launch.details}" for launch in status.failed_launches]
    return "; ".join(dict.fromkeys((*launches, *refusals)))


def _refusals(report: dict[str, Any]) -> list[str]:
    """The node types that version 1 could not launch in the last half hour, and why."""
    records = (report.get("node_availability_summary") or {}).get("node_availabilities") or {}
    reasons = {name: record["unavailable_node_information"] for name, record in records.items()}
    return [f"{name}: {why['category']}, {why['description']}" for name, why in reasons.items() if why]


def _node(resources: dict[str, float]) -> Node:
    return Node(resources.get("CPU", 0.0), resources.get("GPU", 0.0))


@cache
def _monitor(gcs_address: str) -> list[str]:
    """The command line of this cluster's monitor process, which every head has.

    Raises LookupError if it is not on this machine, or not yet.

    It alone names the cluster file: what autoscalers report to Ray does not tell the maximum (seen on Ray 2.60).
    """
    import psutil  # type: ignore[import-untyped]

    for process in psutil.process_iter(["cmdline"]):
        parts: list[str] = process.info["cmdline"] or []
        if f"--gcs-address={gcs_address}" in parts and any(part.endswith("/monitor.py") for part in parts):
            return parts
    raise LookupError(f"no monitor of {gcs_address} runs here")


def _file_of(monitor: list[str]) -> str | None:
    """The cluster file that a monitor was started with."""
    return next((part.removeprefix(CLUSTER_FILE) for part in monitor if part.startswith(CLUSTER_FILE)), None)


def _read_cluster_file(file: str) -> tuple[int, tuple[Node, ...] | None]:
    """The maximum of workers, and all that may be added; None if a type's resources are only known when it runs.

    On own machines that is so: one type for all of them, the head's too, without resources.
    """
    max_workers, types = ray_internals.read_cluster_file(file)
    if not types or not all(resources for _, resources in types):
        return max_workers, None
    return max_workers, tuple(_node(resources) for most, resources in types for _ in range(min(most, max_workers)))


def _names_node_types() -> bool:
    """Whether an autoscaler can add nodes, as far as its status tells.

    Without one, Ray names each node's type after the node's id.
    """
    import ray

    report = ray_internals.report_of_autoscaler_1()
    types = {*(report.get("active_nodes") or {}), *(report.get("idle_nodes") or {})}
    status = ray_internals.autoscaler_status(ray.get_runtime_context().gcs_address)
    types.update(node.ray_node_type_name for node in (*status.active_nodes, *status.idle_nodes))
    ids = {node["NodeID"] for node in ray.nodes()}
    return any(name.removeprefix("node_") not in ids for name in types)


def any_dead(actors: list[str]) -> bool:
    """Whether one of the Ray actors with these ids is known to be dead; False too if Ray cannot tell."""
    import ray

    try:
        return any(ray_internals.is_dead(actor) for actor in actors)
    except ray.exceptions.RayError as error:
        log.warning("Ray does not tell which workers live: %s", error)
        return False

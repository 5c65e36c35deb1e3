"""Reaching Ray: joining the cluster or starting one on this machine, quietly; asking what it knows; tidying up there.

Not here: how much of it a study uses (`capacity`).
"""

import contextlib
import logging
import os
import socket
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

from cifarray.engine import ray_internals
from cifarray.engine.capacity import Cluster, Node
from cifarray.engine.signals import handlers_kept
from cifarray.engine.waiting import Starts
from cifarray.errors import StudyError
from cifarray.redaction import redact

log = logging.getLogger(__name__)

HEAD_RESOURCE = "node:__internal_head__"
CLUSTER_FILE = "--autoscaling-config="
NAMESPACE = "cifarray"
SHORT_FOLDERS = ("/tmp", "/var/tmp")
LONGEST_FOLDER = 107 - len("/session_2026-01-01_00-00-00_000000_4194304/sockets/dash_SomeLongModuleHead")
"""Bytes: what the path of a socket may have (Linux), without what Ray and its dashboard put behind the folder."""


_started_here = False
"""Whether this process has started the Ray that it uses."""


@contextlib.contextmanager
def connected(num_cpus: int | None = None) -> Iterator[Any]:
    """Ray, joined where RAY_ADDRESS says or a cluster runs on this machine, else started here; shut down after.

    num_cpus: start one here in any case, with so many. Raises ConnectionError if RAY_ADDRESS leads nowhere, StudyError
    if the cluster runs another Ray or Python or does not take the token.
    """
    import ray

    global _started_here
    owned = not ray.is_initialized()
    if owned:
        options: dict[str, Any] = {
            "namespace": NAMESPACE,
            "log_to_driver": False,
            "logging_level": logging.ERROR,
        }
        address = _head() if num_cpus is None else "local"
        _started_here = address == "local"
        temporary = _temporary_folder() if address == "local" else None
        if temporary:
            options |= {"num_cpus": num_cpus, "_temp_dir": temporary}
        try:
            starting = ray_internals.starting_for_one_driver(temporary) if _started_here else contextlib.nullcontext()
            with handlers_kept(), starting:
                ray.init(address=address, **options)
        except ray.exceptions.AuthenticationError as error:
            raise StudyError(_refusal(error)) from None
        except RuntimeError as error:
            if "Version mismatch" not in str(error):
                raise
            raise StudyError(
                f"{' '.join(str(error).split())}: run the job with the cluster's Python and Ray, or bring the "
                "cluster up to date (ray up again)"
            ) from None
    _quiet()
    try:
        yield ray
    finally:
        if owned:
            ray.shutdown()


def _head() -> str:
    """Address of the head of the cluster to join; `local` for none.

    A head that was killed leaves its address behind, and Ray looks for it for minutes; to one that does not take the
    token it goes on trying too, and then does not say why. Raises ConnectionError if there is none where RAY_ADDRESS
    says, StudyError if it does not take the token.
    """
    import ray

    named = os.environ.get("RAY_ADDRESS", "")
    if named == "local":
        return named
    named = "" if named == "auto" else named
    address = named or ray_internals.head_address()
    if not address:
        return "local"
    host, _, port = address.rpartition(":")
    if "/" in host or not port.isdigit():
        remedy = "submit it with ray job submit" if host.startswith("http") else "name that, usually HOST:6379"
        raise ConnectionError(
            f"RAY_ADDRESS is {redact(address)}, and a search joins a cluster at its head, HOST:PORT: {remedy}, or "
            "unset RAY_ADDRESS"
        )
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=10.0 if named else 2.0):
            pass
    except (OSError, OverflowError) as error:
        if named:
            raise ConnectionError(
                f"RAY_ADDRESS is {named} and no head of Ray answers there ({error}): start it, open its port, or unset "
                "RAY_ADDRESS"
            ) from None
        return "local"
    try:
        ray_internals.check_token(address)
    except ray.exceptions.AuthenticationError as error:
        raise StudyError(_refusal(error)) from None
    return address


def _refusal(error: Exception) -> str:
    reason = str(error).partition(". ")[0].removeprefix("RPC error: ")
    return (
        f"Ray does not let this driver in ({reason}): the token must be the cluster's own, in ~/.ray/auth_token, or "
        "where RAY_AUTH_TOKEN_PATH says, or in RAY_AUTH_TOKEN"
    )


def _temporary_folder() -> str:
    """Where a Ray that is started here has its sockets. Raises StudyError if no folder's path is short enough."""
    usual = ray_internals.temporary_folder()
    if len(os.fsencode(usual)) <= LONGEST_FOLDER:
        return usual
    for folder in SHORT_FOLDERS:
        if os.access(folder, os.W_OK | os.X_OK):
            return os.path.join(folder, "ray")
    raise StudyError(
        f"TMPDIR {os.path.dirname(usual)} is too long, as the paths of Ray's sockets have at most 107 bytes, and "
        f"{' and '.join(SHORT_FOLDERS)} cannot be written: set RAY_TMPDIR to a folder with a short path"
    )


def _quiet() -> None:
    """Ray's own lines do not reach the user."""
    ray_internals.silence_raylet_lines()
    for name in ("ray", "ray.tune", "ray.train", "ray.data"):
        logging.getLogger(name).setLevel(logging.ERROR)


def may_be_autoscaled() -> bool:
    """Whether an autoscaler could add nodes, as far as can be told from here: not to a Ray that was started here, nor
    by a head on this machine that has no cluster file."""
    import ray

    if _started_here:
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
    if _started_here:
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


def starts() -> Starts:
    """How far Ray is with this driver's worker groups."""
    import ray

    return Starts(*ray_internals.train_starts(ray.get_runtime_context().get_job_id()))


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

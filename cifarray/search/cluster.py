"""Reaching Ray: joining the cluster or starting one on this machine, quietly, and asking what it knows.

Not here: how much of it a study uses (`plan`).
"""

import contextlib
import json
import logging
import os
import socket
from collections.abc import Iterator
from typing import Any

log = logging.getLogger(__name__)

NAMESPACE = "cifarray"
FORWARDED = ("CIFARRAY_HOME",)
"""Environment variables of the driver that workers on other nodes must have too."""


@contextlib.contextmanager
def connected(num_cpus: int | None = None) -> Iterator[Any]:
    """Ray, joined where RAY_ADDRESS says or a cluster runs on this machine, else started here; shut down after.

    num_cpus: start one here in any case, with so many. Raises ConnectionError from Ray if RAY_ADDRESS leads nowhere.
    """
    import ray

    owned = not ray.is_initialized()
    if owned:
        variables = {name: os.environ[name] for name in FORWARDED if name in os.environ}
        options: dict[str, Any] = {
            "namespace": NAMESPACE,
            # With the dashboard off, Ray holds on to the placement groups of dead actors for long.
            "include_dashboard": True,
            "log_to_driver": False,
            "logging_level": logging.ERROR,
            "runtime_env": {"env_vars": variables} if variables else None,
        }
        if num_cpus is not None:
            ray.init(address="local", num_cpus=num_cpus, **options)
        else:
            ray.init(address=None if _head_answers() else "local", **options)
    _quiet()
    try:
        yield ray
    finally:
        if owned:
            ray.shutdown()


def _head_answers() -> bool:
    """Whether the cluster that Ray would join is there.

    A head that was killed leaves its address behind, and Ray looks for it for minutes.
    """
    from ray._private.utils import read_ray_address

    address = None if "RAY_ADDRESS" in os.environ else read_ray_address()
    if not address:
        return True
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=2.0):
            return True
    except OSError:
        return False


def _quiet() -> None:
    """Ray's own lines do not reach the user; `log_to_driver=False` still lets those of the raylet through."""
    from ray._private import worker

    worker._worker_logs_enabled = False
    for name in ("ray", "ray.tune", "ray.train", "ray.data"):
        logging.getLogger(name).setLevel(logging.ERROR)


def can_grow() -> bool:
    """Whether an autoscaler can add nodes.

    Every Ray head writes an autoscaler's status; one that only watches names each node's type after the node's id.
    """
    import ray
    from ray._private.ray_constants import DEBUG_AUTOSCALING_STATUS

    status = json.loads(ray.experimental.internal_kv._internal_kv_get(DEBUG_AUTOSCALING_STATUS) or b"{}")
    report = status.get("autoscaler_report") or {}
    ids = {node["NodeID"] for node in ray.nodes()}
    types = {*(report.get("active_nodes") or {}), *(report.get("idle_nodes") or {})}
    return any(name.removeprefix("node_") not in ids for name in types)


def any_dead(actors: list[str]) -> bool:
    """Whether one of the Ray actors with these ids is known to be dead; False too if Ray cannot tell."""
    import ray
    from ray.util.state import get_actor
    from ray.util.state.exception import RayStateApiException

    # Without the address, Ray takes the first head that this process has ever found on the machine.
    address = ray.get_runtime_context().gcs_address
    try:
        states = [get_actor(actor, address=address) for actor in actors]
    except (ray.exceptions.RayError, RayStateApiException, ConnectionError) as error:
        log.warning("Ray does not tell which workers live: %s", error)
        return False
    return any(state is None or state.state == "DEAD" for state in states)

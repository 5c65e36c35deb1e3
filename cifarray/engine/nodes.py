"""Whether every node has what a study needs of it, found out before anything is written: one tiny task on each.

Looked for are the driver's versions, the storage (the same path on another machine's own disk is another), local data
and teachers. Nodes that join later are looked at by their workers when those begin (`worker`), with the same words. Not
here: how much fits on the nodes (`capacity`).
"""

import contextlib
import os
import time
import uuid
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cifarray
from cifarray import storage
from cifarray.engine import cluster
from cifarray.engine.capacity import Cluster
from cifarray.engine.orders import NodeRequirements
from cifarray.engine.versions import difference, versions
from cifarray.errors import StudyError
from cifarray.space.space import RECIPE

if TYPE_CHECKING:
    from cifarray.study.study import Study

FORWARDED = ("CIFARRAY_HOME", "CIFARRAY_MAX_PIXELS")
"""Environment variables of the driver that workers must have too, beside those of the storage."""
PINNED = {"NCCL_ALGO": "Ring", "NCCL_PROTO": "Simple"}
"""How the gradients of a deterministic training are added up between GPUs, where nobody says otherwise. By itself NCCL
chooses what is fastest where its ranks are, and of three ranks or more the order of the sum decides on its last bit
(NVIDIA's NCCL user guide, environment variables)."""
ANSWER_SECONDS = 120.0
"""For a node's first worker process; a busy one takes half a minute."""


def node_requirements(study: "Study") -> NodeRequirements:
    """What workers look for, wherever they begin while the study runs."""
    forwarded = {name: os.environ[name] for name in FORWARDED if name in os.environ}
    environment = {**forwarded, **storage.environment()}
    return NodeRequirements(versions(), study.marker, _local_paths(study), _code(), environment)


def collectives(deterministic: bool) -> dict[str, str]:
    """Variables that workers have before they meet, unless their node has its own: the driver's, else `PINNED` where
    training is deterministic."""
    chosen = {name: os.environ[name] for name in PINNED if name in os.environ}
    return {**PINNED, **chosen} if deterministic else chosen


def missing(requirements: NodeRequirements, patience: float = 0.0) -> str | None:
    """What follows "node X …" where this node lacks something; None if it has it all.

    The environment must have the variables of `requirements` already. patience: seconds that the storage may be away.
    """
    # Who runs from the driver's own folder runs its code, though somebody may have edited a file since it began.
    code = {"cifarray": requirements.versions["cifarray"]} if _code() == requirements.code else {}
    other_versions = difference(requirements.versions, {**versions(), **code})
    if other_versions is not None:
        return other_versions
    try:
        seen = storage.patiently(requirements.marker, lambda: storage.exists(requirements.marker), patience)
    except storage.StorageError as error:
        return f"cannot use the storage: {error}"
    folder = requirements.marker.rpartition("/")[0]
    if not seen and storage.is_remote(folder):
        return (
            f"does not find the driver's files in {folder}: it reaches another storage of that name; "
            "give all nodes the same AWS_ENDPOINT_URL and account"
        )
    if not seen:
        return (
            f"does not see the driver's files in {folder}: give a --storage that all nodes share "
            "(a network folder mounted on each, or an s3:// or gs:// address)"
        )
    for path in requirements.paths:
        if not Path(path).exists():
            return f"does not have {path}: copy it there, or give a place that all nodes share"
    return None


def refuse_what_new_nodes_lack(study: "Study", now: Cluster) -> None:
    """Raises StudyError if a cloud will add nodes and results would be on the driver's own disk, which those never see.

    A folder on another file system than the machine's own may be one that all nodes mount.
    """
    if study.is_remote or not now.can_grow or now.addable is None:
        return
    if study.folder.stat().st_dev == Path("/").stat().st_dev:
        raise StudyError(
            f"--storage {study.storage} is on this machine's own disk, and nodes that the cluster adds do not see it: "
            "give a --storage that all nodes share (an s3:// or gs:// address, or a network folder mounted on each)"
        )


def refuse_what_nodes_lack(study: "Study") -> None:
    """Raises StudyError for the first node of a cluster of several that lacks something; nothing is left in storage."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    refuse_what_new_nodes_lack(study, cluster.look())
    nodes = {node["NodeID"]: node["NodeManagerAddress"] for node in ray.nodes() if node["Alive"]}
    if len(nodes) < 2:
        return
    # Another study of this name may lie at the same path of another node's own disk.
    probe = storage.join(study.address, f"probe-{uuid.uuid4().hex}")
    requirements = replace(node_requirements(study), marker=probe)
    storage.write_bytes(probe, b"cifarray looks whether all nodes see this file\n")
    try:
        task = ray.remote(num_cpus=0, max_retries=0)(_look)
        asked = {
            task.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False)).remote(
                requirements
            ): node
            for node in nodes
        }
        deadline = time.monotonic() + ANSWER_SECONDS
        while asked:
            done, _ = ray.wait(list(asked), timeout=max(0.0, deadline - time.monotonic()))
            if not done:
                waiting = ", ".join(nodes[node] for node in asked.values())
                raise StudyError(
                    f"node {waiting} did not answer within {ANSWER_SECONDS:g} s: "
                    "look at it with `ray status`, or take it out of the cluster"
                )
            node = asked.pop(done[0])
            lack = _answer(done[0])
            if lack is not None and any(each["NodeID"] == node and each["Alive"] for each in ray.nodes()):
                raise StudyError(f"node {nodes[node]} {lack}")
    finally:
        with contextlib.suppress(storage.StorageError):
            storage.delete(probe)


def _look(requirements: NodeRequirements) -> str | None:
    """On a node: what it lacks. Its storage must be one that can be written to from there, too."""
    os.environ.update(requirements.environment)
    lack = missing(requirements)
    if lack is not None:
        return lack
    mine = f"{requirements.marker}-{uuid.uuid4().hex}"
    try:
        storage.write_bytes(mine, b"")
        storage.delete(mine)
    except storage.StorageError as error:
        return f"cannot write to the storage: {error}"
    return None


def _code() -> tuple[str, str]:
    import ray

    return ray.get_runtime_context().get_node_id(), str(Path(cifarray.__file__).parent)


def _answer(ref: Any) -> str | None:
    import ray

    try:
        lack: str | None = ray.get(ref)
    except ray.exceptions.RayError as error:
        # Its cifarray has no such module, or is not there at all.
        lines = [line for line in str(error).splitlines() if "Error: " in line] or str(error).splitlines()
        return (
            f"cannot run this cifarray ({lines[-1].strip()}): bring it up to date (ray up again), "
            "or submit the job with --working-dir, so that every node runs that code"
        )
    return lack


def _local_paths(study: "Study") -> tuple[str, ...]:
    """Data and teachers that are files of a node and no addresses."""
    # Hosts and nodes that are looked at read this module too, and need nothing of what reads images.
    from cifarray.data.names import local_folder

    space = study.space
    paths = set()
    for corner in space.corners([RECIPE, "data.source", "distillation.teacher"]):
        config = space.config(corner)
        teacher = config.distillation.teacher
        if teacher is not None and not storage.is_remote(teacher):
            paths.add(teacher)
        folder = local_folder(config.data.source)
        if folder is not None:
            paths.add(folder)
    return tuple(sorted(paths))

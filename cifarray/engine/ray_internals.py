"""All that the engine takes of Ray beside its public interface, each with the reason; seen on Ray 2.60.

A new Ray may change any of it without notice: `tests/engine/test_ray_internals.py` says at once what it broke. Imports
are late, as Ray reads the environment when it is imported. Not here: what is made of it (`cluster`, `worker_group`);
the launcher's internals, which `cifarray.cluster_file` looks into.
"""

import asyncio
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

TRAIN_WORKER = "RayTrainWorker"
"""Class of the actors that are Train's workers."""
RECONNECT, RECONNECT_SECONDS = "RAY_gcs_rpc_server_reconnect_timeout_s", "10"


def head_address() -> str:
    """Where the head is that Ray would join on this machine: what the last one left there; empty if none did."""
    from ray._private.utils import read_ray_address

    return read_ray_address() or ""


def temporary_folder() -> str:
    """Where Ray has its sessions unless it is told otherwise."""
    from ray._common.utils import get_default_ray_temp_dir

    return str(get_default_ray_temp_dir())


def check_token(address: str) -> None:
    """Raises AuthenticationError if the head at `address` does not take this process's token.

    `ray.init` goes on trying, and then does not say why.
    """
    import ray
    from ray._private.authentication.authentication_token_setup import ensure_token_if_auth_enabled

    ensure_token_if_auth_enabled(None, create_token_if_missing=False)
    ray._raylet.GcsClient(address=address)


@contextmanager
def starting_for_one_driver(temporary: str | None = None) -> Iterator[None]:
    """In the block, `ray.init` starts only what one driver needs, out of reach of the signals that the driver is sent.

    `timeout`, a terminal and others signal the whole process group: Ray's processes, which are in it, would die before
    the driver could end in order. They get sessions of their own, and still end with the driver, by the kernel; where
    that is not to be had (macOS), Ray ends them by their group, and all stays as it is. Two of Ray's agents, which look
    after the raylet themselves, would then ask for the head that is gone for a minute; so they ask for less.
    `ray.init` would also handle SIGTERM itself, and its agent would take the port that a cluster head's agent needs to
    take jobs; neither happens here.

    Not started are the dashboard, whose processes take seconds (and port 8265, where somebody may expect a cluster's),
    the monitor of an autoscaler that there is not, and the forwarding of logs that nobody is shown.

    temporary: where Ray has its sockets; TMPDIR's path may be too long for them. For the raylet, whose workers have it
    from there, TMPDIR stays what it is.
    """
    from ray._private import parameter, services, utils
    from ray._private.node import Node

    popen = services.ConsolePopen

    def start(command: Any, *, env: dict[str, str], **options: Any) -> Any:
        env = {RECONNECT: RECONNECT_SECONDS, **env}
        if temporary and os.path.basename(command[0]) != "raylet":
            env["TMPDIR"] = temporary
        return popen(command, env=env, start_new_session=True, **options)

    replaced: list[tuple[Any, str, Any]] = [
        (utils, "set_sigterm_handler", lambda handler: None),
        (parameter, "RayParams", partial(parameter.RayParams, dashboard_agent_listen_port=0)),
        (Node, "start_api_server", lambda node, **options: None),
        (Node, "start_monitor", lambda node: None),
        (Node, "start_log_monitor", lambda node: None),
    ]
    if utils.detect_fate_sharing_support() and sys.platform == "linux":
        replaced.append((services, "ConsolePopen", start))
    originals = [(owner, name, getattr(owner, name)) for owner, name, _ in replaced]
    for owner, name, value in replaced:
        setattr(owner, name, value)
    try:
        yield
    finally:
        for owner, name, value in originals:
            setattr(owner, name, value)


def silence_raylet_lines() -> None:
    """`log_to_driver=False` still lets the raylet's lines through to the terminal."""
    from ray._private import worker

    worker._worker_logs_enabled = False


def keep_keys_from_tune() -> None:
    """Tune puts the driver's AWS keys into its actors' runtime environment, which Ray's agents log on every node.

    Our trials' actors reach no storage; workers get the keys in another way (`NodeRequirements.environment`).
    """
    from ray.tune.execution import class_cache

    for name in [name for name in class_cache.ENV_VARS_TO_PROPAGATE if name.startswith("AWS_")]:
        class_cache.ENV_VARS_TO_PROPAGATE.discard(name)


def orphaned_placement_groups(job_id: str) -> Iterator[Any]:
    """Placement groups of a job whose actor is dead.

    Ray keeps them until the whole job ends.
    """
    import ray
    from ray.util.placement_group import PlacementGroup

    for record in placement_groups_of_actors(job_id):
        if _is_orphan(record):
            yield PlacementGroup(ray.PlacementGroupID(record.placement_group_id))


def train_starts(job_id: str) -> tuple[int, int, int]:
    """Of a job's Train runs: how many places they asked for, how many they have, and how many worker processes run."""
    import ray
    from ray._private.state import actors
    from ray.core.generated.gcs_pb2 import PlacementGroupTableData

    records = [record for record in placement_groups_of_actors(job_id) if not _is_orphan(record)]
    placed = sum(record.state == PlacementGroupTableData.CREATED for record in records)
    alive = actors(job_id=ray.JobID(bytes.fromhex(job_id)), actor_state_name="ALIVE").values()
    return len(records), placed, sum(actor["ActorClassName"] == TRAIN_WORKER for actor in alive)


def placement_groups_of_actors(job_id: str) -> Iterator[Any]:
    """Records of the job's placement groups, without those that the driver made itself, as Tune does for trials: of
    these, Ray says too that their actor is dead."""
    from ray._private.state import state
    from ray.core.generated.gcs_pb2 import PlacementGroupTableData

    for serialized in state._connect_and_get_accessor().get_placement_group_table():
        record = PlacementGroupTableData.FromString(serialized)
        by_actor = bool(record.creator_actor_id.strip(b"\xff"))
        if record.state != PlacementGroupTableData.REMOVED and by_actor and record.creator_job_id.hex() == job_id:
            yield record


def _is_orphan(record: Any) -> bool:
    """One that was made while its actor was killed is not marked; both die a moment after each other."""
    return record.creator_actor_dead or is_dead(record.creator_actor_id.hex())


def is_dead(actor_id: str) -> bool:
    """Whether the actor with this id is known to be dead. Cheaper than `ray.util.state`, which asks the dashboard."""
    from ray._private.state import actors

    return bool(actors(actor_id).get("State") == "DEAD")


def trainer_in_this_process(autoscaled: bool) -> type[Any]:
    """A Train trainer whose controller runs in the thread that calls `fit`, which has to be an actor's.

    As an actor of its own the controller would be one more process that starts before any worker is asked for. Left out
    are processes that serve what is not used here, or is done elsewhere: Ray Data, `report` and collectives of Train's
    own; and the cleaner (`cluster.remove_orphaned_placement_groups` does its work for hosts too). Workers are given no
    environment of their own, so that a process that idles can become one.

    autoscaled: whether there may be an autoscaler, to be asked for nodes. To ask it takes an actor.
    """
    from ray.train.v2._internal import constants
    from ray.train.v2._internal.callbacks.datasets import DatasetsCallback
    from ray.train.v2._internal.callbacks.placement_group_callback import PlacementGroupCleanerCallback
    from ray.train.v2._internal.execution.controller import TrainController
    from ray.train.v2._internal.execution.scaling_policy import FixedScalingPolicy
    from ray.train.v2._internal.execution.worker_group import state, worker_group
    from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer

    worker_group.SynchronizationActor = _NoActor
    state._shutdown_sync_actor = lambda sync_actor: None
    constants.ENV_VARS_TO_PROPAGATE.clear()

    class AsItIs(FixedScalingPolicy):
        """Takes the nodes that there are."""

        def after_controller_start(self, train_run_context: Any) -> None: ...
        def _maybe_send_resource_request(self) -> None: ...

    class InThisProcess(DataParallelTrainer):
        def _create_default_callbacks(self) -> list[Any]:
            superfluous = (DatasetsCallback, PlacementGroupCleanerCallback)
            callbacks = super()._create_default_callbacks()
            return [callback for callback in callbacks if not isinstance(callback, superfluous)]

        def _initialize_and_run_controller(self, **options: Any) -> Any:
            if not autoscaled:
                options["scaling_policy"] = AsItIs(self.scaling_config)
            controller = TrainController(**options)
            asyncio.run(controller.run())
            return controller.get_result()

    return InThisProcess


class _NoActor:
    """In place of an actor's class and of its handle."""

    @classmethod
    def options(cls, **options: Any) -> type["_NoActor"]:
        return cls

    @classmethod
    def remote(cls, **arguments: Any) -> "_NoActor":
        return cls()


def address_and_free_port() -> tuple[str, int]:
    """Of the worker where it is called."""
    from ray.train._internal.utils import get_address_and_port

    address, port = get_address_and_port()
    return address, port


def join_process_group(
    rank: int, address: str, port: int, backend: str, size: int, timeout: int, environment: Mapping[str, str]
) -> None:
    """In a worker, as Train's TorchConfig has it done. Imports torch."""
    from ray.train.torch import config

    for name, value in environment.items():
        os.environ.setdefault(name, value)
    os.environ["MASTER_ADDR"], os.environ["MASTER_PORT"] = address, str(port)
    config._set_torch_distributed_env_vars()
    config._setup_torch_process_group(backend, rank, size, "env://", timeout)


def leave_process_group(destroy: bool) -> None:
    """In a worker, as Train's TorchConfig has it done."""
    from ray.train.torch import config

    config._shutdown_torch(destroy_process_group=destroy)


@contextmanager
def on_own_device() -> Iterator[None]:
    """In a worker, around all that it does: its GPU, if it has one, is torch's current one."""
    from ray.train.torch.config import TorchConfigContextManager

    with TorchConfigContextManager():
        yield


def requester_of(trainer: Any) -> str:
    """The name under which Train's controller asks the autoscaler for the nodes of a run."""
    return f"train-{trainer.train_run_context.run_id}"


def cancel_request(requester_id: str) -> None:
    """What a Train run asked the autoscaler for is taken back; else it holds for three minutes after a run was killed.

    Raises ValueError where Train has asked for nothing yet, RayError where the coordinator does not answer.
    """
    import ray

    coordinator = ray.get_actor("AutoscalingCoordinator", namespace="AutoscalingCoordinator")
    ray.get(coordinator.cancel_request.remote(requester_id=requester_id), timeout=5)


def autoscaler_status(gcs_address: str) -> Any:
    """`active_nodes`, `idle_nodes` and `failed_launches`, as version 2 of the autoscaler tells them."""
    from ray.autoscaler.v2.sdk import get_cluster_status

    return get_cluster_status(gcs_address)


def report_of_autoscaler_1() -> dict[str, Any]:
    """What version 1 of the autoscaler leaves with Ray's controller; version 2 and none leave little or nothing."""
    import ray
    from ray._private.ray_constants import DEBUG_AUTOSCALING_STATUS

    status = json.loads(ray.experimental.internal_kv._internal_kv_get(DEBUG_AUTOSCALING_STATUS) or b"{}")
    return status.get("autoscaler_report") or {}


def read_cluster_file(file: str) -> tuple[int, list[tuple[int, dict[str, float]]]]:
    """The most workers at once, and of each type of worker how many there may be and what one has.

    What autoscalers report to Ray does not tell the maximum.
    """
    from ray.autoscaler.v2.instance_manager.config import FileConfigReader

    config = FileConfigReader(os.path.expanduser(file)).get_cached_autoscaling_config()
    head = config.get_head_node_type()
    types = [
        (kind.max_worker_nodes, kind.resources)
        for name, kind in config.get_node_type_configs().items()
        if name != head and kind.max_worker_nodes > 0
    ]
    return config.get_max_num_worker_nodes() or 0, types


def asha_bracket(grace: int, epochs: int, reduction_factor: int) -> Callable[[int, int, float], bool]:
    """Ray Tune's rungs and cut-offs: from a trial's number, its epoch and its score to whether it goes on.

    To be compared with in simulations, where there is no Ray; as a scheduler of Ray's it could not be asked.
    """
    from types import SimpleNamespace

    from ray.tune.schedulers.async_hyperband import _Bracket

    bracket = _Bracket(grace, epochs, reduction_factor, 0)

    def goes_on(trial: int, epoch: int, score: float) -> bool:
        return bool(bracket.on_result(SimpleNamespace(trial_id=str(trial)), epoch, score) != "STOP")

    return goes_on

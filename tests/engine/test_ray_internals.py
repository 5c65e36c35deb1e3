"""What the engine takes of Ray beside its public interface is there and is as it was; a new Ray fails here first."""

import contextlib
import importlib
import inspect
import re
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import ray

from cifarray.engine import quiet, ray_internals

PRIVATE = re.compile(
    r"ray\.(_private|_common|_raylet|core|experimental|autoscaler|train\.(_internal|v2|torch\.config))"
    r"|_internal_kv|train_run_context|Coordinator\b"
)
CONTRACT = [
    ("ray._private.utils", "read_ray_address", ()),
    (
        "ray._private.authentication.authentication_token_setup",
        "ensure_token_if_auth_enabled",
        ("system_config", "create_token_if_missing"),
    ),
    ("ray._raylet", "GcsClient", None),
    ("ray._common.utils", "get_default_ray_temp_dir", ()),
    ("ray._private.services", "ConsolePopen", None),
    ("ray._private.services", "start_ray_process", ("command", "process_type", "fate_share")),
    ("ray._private.node", "Node.start_api_server", ("include_dashboard", "raise_on_failure")),
    ("ray._private.node", "Node.start_monitor", ()),
    ("ray._private.node", "Node.start_log_monitor", ()),
    ("ray._private.utils", "set_sigterm_handler", ("sigterm_handler",)),
    ("ray._private.utils", "detect_fate_sharing_support", ()),
    ("ray._private.worker", "_worker_logs_enabled", None),
    ("ray._private.state", "state._connect_and_get_accessor", ()),
    ("ray._private.state", "actors", ("job_id", "actor_state_name")),
    (
        "ray.train.v2._internal.execution.worker_group.worker",
        ray_internals.TRAIN_WORKER,
        None,
    ),
    ("ray._private.ray_constants", "DEBUG_AUTOSCALING_STATUS", None),
    ("ray.experimental.internal_kv", "_internal_kv_get", ("key",)),
    ("ray.autoscaler.v2.sdk", "get_cluster_status", ("gcs_address",)),
    ("ray.autoscaler.v2.instance_manager.config", "FileConfigReader", ("config_file",)),
    ("ray.util.placement_group", "PlacementGroup", ("id",)),
    *((name, "logger.error", None) for name in (*quiet.TUNE, quiet.TUNES_CONTROLLER)),
    ("ray.tune.execution.class_cache", "ENV_VARS_TO_PROPAGATE.discard", None),
    (
        "ray.train.v2._internal.execution.context",
        "TrainRunContext.__dataclass_fields__",
        None,
    ),
    ("ray.train.v2.api.data_parallel_trainer", "DataParallelTrainer._create_default_callbacks", ()),
    (
        "ray.train.v2.api.data_parallel_trainer",
        "DataParallelTrainer._initialize_and_run_controller",
        ("controller_init_kwargs",),
    ),
    (
        "ray.train.v2._internal.execution.controller",
        "TrainController",
        ("train_fn_ref", "train_run_context", "scaling_policy", "failure_policy", "callbacks"),
    ),
    ("ray.train.v2._internal.execution.controller", "TrainController.run", ()),
    ("ray.train.v2._internal.execution.controller", "TrainController.get_result", ()),
    (
        "ray.train.v2._internal.execution.scaling_policy",
        "FixedScalingPolicy.after_controller_start",
        ("train_run_context",),
    ),
    ("ray.train.v2._internal.execution.scaling_policy", "FixedScalingPolicy._maybe_send_resource_request", ()),
    ("ray.train.v2._internal.constants", "ENV_VARS_TO_PROPAGATE.clear", None),
    ("ray.train.v2._internal.callbacks.datasets", "DatasetsCallback", None),
    ("ray.train.v2._internal.callbacks.placement_group_callback", "PlacementGroupCleanerCallback", None),
    ("ray.train.v2._internal.execution.worker_group.worker_group", "SynchronizationActor.options", None),
    ("ray.train.v2._internal.execution.worker_group.state", "_shutdown_sync_actor", ("sync_actor",)),
    ("ray.train._internal.utils", "get_address_and_port", ()),
    ("ray.train.torch.config", "TorchConfigContextManager", None),
    ("ray.train.torch.config", "_set_torch_distributed_env_vars", ()),
    (
        "ray.train.torch.config",
        "_setup_torch_process_group",
        ("backend", "world_rank", "world_size", "init_method", "timeout_s"),
    ),
    ("ray.train.torch.config", "_shutdown_torch", ("destroy_process_group",)),
    ("ray.tune.schedulers.async_hyperband", "_Bracket", ("min_t", "max_t", "reduction_factor", "s")),
    ("ray.tune.schedulers.async_hyperband", "_Bracket.on_result", ("trial", "cur_iter", "cur_rew")),
]
"""Module, name in it, and the parameters that are given by place or name; None where it is no function."""


@pytest.mark.parametrize(("module", "name", "parameters"), CONTRACT, ids=lambda value: str(value))
def test_what_is_used_is_there(module, name, parameters):
    broken = f"Ray {ray.__version__} changed {module}.{name}: see what cifarray/engine/ray_internals.py takes of it"
    try:
        used = importlib.import_module(module)
        for part in name.split("."):
            used = getattr(used, part)
    except (ImportError, AttributeError) as error:
        pytest.fail(f"{broken} ({error})")
    if parameters is not None:
        known = list(inspect.signature(used).parameters)
        assert set(parameters) <= set(known), f"{broken} ({known})"


def test_the_fields_of_a_placement_group_are_as_they_were():
    from ray.core.generated.gcs_pb2 import PlacementGroupTableData

    fields = set(PlacementGroupTableData.DESCRIPTOR.fields_by_name)
    used = {"creator_actor_id", "creator_actor_dead", "creator_job_id", "placement_group_id", "state"}
    assert used <= fields, f"Ray {ray.__version__} changed PlacementGroupTableData: {used - fields} are gone"
    assert PlacementGroupTableData.REMOVED is not None


def test_train_asks_the_autoscaler_by_the_name_of_its_run():
    from ray.train.v2._internal.execution.context import TrainRunContext

    assert "run_id" in TrainRunContext.__dataclass_fields__
    sources = "".join(path.read_text() for path in (Path(ray.__file__).parent / "train" / "v2").rglob("*.py"))
    assert re.search(r"""f["']train-\{.*run_id\}""", sources), (
        f"Ray {ray.__version__} names what Train asks for otherwise: see ray_internals.requester_of"
    )


def test_nothing_else_of_the_engine_looks_into_ray():
    here = Path(ray_internals.__file__)
    found = [
        f"{path.name}: {line.strip()}"
        for path in here.parent.glob("*.py")
        if path != here
        for line in path.read_text().splitlines()
        if PRIVATE.search(line.partition("#")[0])
    ]
    assert not found


def test_what_ray_tells_of_a_real_cluster_is_understood(ray_session):
    address = ray_session.get_runtime_context().gcs_address
    status = ray_internals.autoscaler_status(address)
    assert status.failed_launches == []
    assert len([*status.active_nodes, *status.idle_nodes]) == 1
    assert isinstance(ray_internals.report_of_autoscaler_1(), dict)
    assert list(ray_internals.orphaned_placement_groups(ray_session.get_runtime_context().get_job_id())) == []
    idler = ray_session.remote(num_cpus=0)(type("Idler", (), {"idle": lambda self: None})).remote()
    ray_session.get(idler.idle.remote())
    assert not ray_internals.is_dead(idler._actor_id.hex())
    ray_session.kill(idler)
    with contextlib.suppress(ray_session.exceptions.RayActorError):
        ray_session.get(idler.idle.remote())
    assert ray_internals.is_dead(idler._actor_id.hex())
    ray_internals.check_token(address)


def test_aws_keys_are_no_part_of_the_runtime_environment_of_tunes_actors(monkeypatch):
    """Ray's agents log it."""
    from ray.tune.execution import class_cache

    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush")
    monkeypatch.setenv("RAY_CHDIR_TO_TRIAL_DIR", "0")
    monkeypatch.setattr(class_cache, "ENV_VARS_TO_PROPAGATE", set(class_cache.ENV_VARS_TO_PROPAGATE))

    def environment():
        # A class of its own each time: they are kept.
        actor = class_cache._ActorClassCache().get(type("Trial", (), {}))
        return actor._default_options["runtime_env"]["env_vars"]

    if "AWS_SECRET_ACCESS_KEY" in class_cache.ENV_VARS_TO_PROPAGATE:
        assert environment()["AWS_SECRET_ACCESS_KEY"] == "hush"
    ray_internals.keep_keys_from_tune()
    assert environment()["RAY_CHDIR_TO_TRIAL_DIR"] == "0"
    assert "hush" not in environment().values()


def test_rays_processes_are_not_in_the_drivers_group_and_end_with_it():
    """Even with one that is killed."""
    code = """if True:
        import os, time
        from ray._private import services
        from cifarray.engine import quiet, ray_internals
        with ray_internals.starting_for_one_driver("/short"):
            command = ["sleep", "60"]
            process = services.start_ray_process(command, "monitor", fate_share=True).process
        print(process.pid, os.getpgid(process.pid) != os.getpgid(0), os.getsid(process.pid) != os.getsid(0), flush=True)
        time.sleep(60)
    """
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as driver:
        pid, own_group, own_session = driver.stdout.readline().split()
        process = psutil.Process(int(pid))
        environment = process.environ()
        driver.kill()
    process.wait(timeout=20)
    assert own_group == own_session == "True"
    assert environment["TMPDIR"] == "/short"
    assert environment[ray_internals.RECONNECT] == ray_internals.RECONNECT_SECONDS


def test_ray_leaves_sigterm_to_the_driver_and_is_afterwards_as_it_was():
    from ray._private import services, utils
    from ray._private.node import Node

    def now():
        started = Node.start_api_server, Node.start_monitor, Node.start_log_monitor
        return services.ConsolePopen, utils.set_sigterm_handler, signal.getsignal(signal.SIGTERM), started

    before = now()
    with ray_internals.starting_for_one_driver():
        utils.set_sigterm_handler(lambda number, frame: None)
    assert now() == before

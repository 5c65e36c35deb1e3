"""Clusters of several Ray nodes on one machine, some with an autoscaler, for tests and by hand.

Nothing here touches another Ray on the machine: each has its own folder and ports, and ends by its processes' ids.
"""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
from ray.util import get_node_ip_address
from ray.util.placement_group import placement_group

HEAD = 51 * "f" + "00000"
"""Id of the head in Ray's provider of fake nodes."""


class Asking:
    """An actor that asks for room."""

    def ask(self, bundles: list[dict[str, float]]) -> None:
        self.group = placement_group(bundles)


@contextlib.contextmanager
def growing_head(types: dict[str, Any], max_workers: int, v2: bool, idle_minutes: float = 0.1) -> Iterator[str]:
    """The address of a head without CPUs, as the cluster file has it, whose autoscaler starts fake nodes.

    types: `available_node_types` of the workers; without any, a head as `ray start --head` makes it, but for the
    dashboard.
    """
    # Late: workers, where `Asking` lives, know the modules of this folder alone.
    from running_head import free_port

    folder = Path(tempfile.mkdtemp(prefix="ray", dir="/tmp"))  # Ray's socket paths must stay short
    port = free_port()
    address = f"{get_node_ip_address()}:{port}"
    no_commands = {
        f"{kind}_commands": []
        for kind in ("initialization", "setup", "head_setup", "worker_setup", "head_start_ray", "worker_start_ray")
    }
    config = {
        "cluster_name": "fake",
        "max_workers": max_workers,
        "idle_timeout_minutes": idle_minutes,
        "provider": {
            # Under its own name Ray looks for an example file that its wheel does not have.
            "type": "external",
            "module": "ray.autoscaler._private.fake_multi_node.node_provider.FakeMultiNodeProvider",
            "gcs_address": address,
            "head_node_id": HEAD,
            "launch_multiple": True,
            "use_node_id_as_ip": True,
            "disable_node_updaters": True,
            "disable_launch_config_check": True,
        },
        "available_node_types": {
            "ray.head.default": {"resources": {"CPU": 0}, "node_config": {}, "max_workers": 0},
            **{name: {"node_config": {}, "min_workers": 0, **kind} for name, kind in types.items()},
        },
        "head_node_type": "ray.head.default",
        "auth": {},
        "file_mounts": {},
        "cluster_synced_files": [],
        "file_mounts_sync_continuously": False,
        "rsync_exclude": [],
        "rsync_filter": [],
        "upscaling_speed": 1.0,
        **no_commands,
    }
    (folder / "cluster.json").write_text(json.dumps(config))
    command = ["start", "--head", "--block", f"--port={port}", "--num-cpus=0", f"--temp-dir={folder}"]
    command += ["--include-dashboard=false", f"--ray-client-server-port={free_port()}", "--disable-usage-stats"]
    environment = {
        **os.environ,
        "RAY_AUTH_MODE": "disabled",
        "AUTOSCALER_UPDATE_INTERVAL_S": "1",
        "RAY_FAKE_CLUSTER": "1",
    }
    if types:
        command.append(f"--autoscaling-config={folder / 'cluster.json'}")
    if v2:
        environment |= {"RAY_enable_autoscaler_v2": "1", "RAY_CLOUD_INSTANCE_ID": HEAD}
        environment |= {"RAY_OVERRIDE_NODE_ID_FOR_TESTING": HEAD}
    with open(folder / "head.log", "w") as log:
        head = subprocess.Popen(
            [Path(sys.executable).parent / "ray", *command], env=environment, stdout=log, stderr=subprocess.STDOUT
        )
    try:
        wait_until(lambda: answers(address) or head.poll() is not None, 60)
        assert head.poll() is None, (folder / "head.log").read_text()
        wait_until(lambda: any(is_monitor(child) for child in psutil.Process(head.pid).children(recursive=True)), 60)
        yield address
    finally:
        for process in [*psutil.Process(head.pid).children(recursive=True), head]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        head.wait()
        shutil.rmtree(folder, ignore_errors=True)


def is_monitor(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):
        return any(part.endswith("/monitor.py") for part in process.cmdline())
    return False


def answers(address: str) -> bool:
    host, port = address.rsplit(":", 1)
    try:
        socket.create_connection((host, int(port)), timeout=1).close()
    except OSError:
        return False
    return True


def wait_until(condition: Any, seconds: float) -> float:
    """Ask until the condition holds; returns the seconds that took, fails after so many."""
    begin = time.monotonic()
    while not condition():
        assert time.monotonic() - begin < seconds, f"not after {seconds} s"
        time.sleep(0.1)
    return time.monotonic() - begin

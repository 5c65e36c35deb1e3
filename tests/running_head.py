"""A Ray that runs before a job does and asks for a token, as `make cluster` has it. Not here: any test."""

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent


@dataclass(frozen=True)
class RunningHead:
    results: Path
    """Where searches that are submitted to it have their results."""
    variables: Mapping[str, str]
    """What leads to it: a job that has them joins it, and `ray job submit` submits there."""


@contextlib.contextmanager
def running_head(folder: Path) -> Iterator[RunningHead]:
    """A head with two CPUs that was started in the project's root and that nobody finds without its address.

    folder: for its log and the results.
    """
    results, log = folder / "results", folder / "head.log"
    port = free_port()
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": uuid.uuid4().hex}
    variables = {**token, "RAY_ADDRESS": f"127.0.0.1:{port}"}
    # Ray's socket paths must stay short.
    with tempfile.TemporaryDirectory(prefix="ray", dir="/tmp", ignore_cleanup_errors=True) as short:
        command = ["ray", "start", "--head", "--block", "--num-cpus=2", "--disable-usage-stats", f"--temp-dir={short}"]
        command += ["--node-ip-address=127.0.0.1", f"--port={port}", f"--ray-client-server-port={free_port()}"]
        command += ["--dashboard-port=0", "--dashboard-agent-listen-port=0"]
        with open(log, "w") as file:
            environment = without_ray(CIFARRAY_STORAGE=str(results), **token)
            head = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=file, stderr=subprocess.STDOUT)
        try:
            while "ray start --address=" not in (said := log.read_text()):
                assert head.poll() is None, said
                with contextlib.suppress(subprocess.TimeoutExpired):
                    head.wait(0.1)
            yield RunningHead(results, variables)
        finally:
            head.terminate()
            head.wait(timeout=60)


def without_ray(**more: str) -> dict[str, str]:
    """The environment of somebody who has set nothing of Ray's and of MLflow's, and has activated this one."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "MLFLOW_"))}
    return {**kept, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", **more}


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("", 0))
        return int(found.getsockname()[1])

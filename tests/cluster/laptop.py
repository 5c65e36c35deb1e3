"""What a user types on the laptop and looks at there. Not here: the hosts (`hosts`), what is typed (the tests)."""

import json
import re
import subprocess
import threading
import time
from collections.abc import Callable
from typing import Any

from hosts import Host

LAPTOP = {"RAY_AUTH_MODE": "token", "RAY_API_SERVER_ADDRESS": "http://127.0.0.1:8265", "PYTHONUNBUFFERED": "1"}
HEAD = {"RAY_AUTH_MODE": "token"}
PATIENCE = 120


def until(condition: Callable[[], object], what: str, patience: float = PATIENCE) -> None:
    """Looks until a condition holds; fails with what was looked for."""
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, f"not within {patience} s: {what}"
        time.sleep(0.2)


def start(host: Host, script: str) -> "subprocess.Popen[bytes]":
    """A process on a host that goes on."""
    nowhere = subprocess.DEVNULL
    return subprocess.Popen(host.command(script, **LAPTOP), stdin=nowhere, stdout=nowhere, stderr=nowhere)


def watch(host: Host, script: str, on_line: Callable[[str], object], timeout: float = 600.0) -> tuple[str, int]:
    """Runs a script to its end and calls `on_line` with each line of it. Returns what it printed and its exit code."""
    process = subprocess.Popen(
        host.command(script, **LAPTOP),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    watchdog = threading.Timer(timeout, process.kill)
    watchdog.start()
    lines = []
    for line in process.stdout:
        lines.append(line)
        print(line, end="")
        on_line(line)
    watchdog.cancel()
    return "".join(lines), process.wait()


def answers(host: Host, address: str) -> str:
    """The status with which an address answers over HTTP, seen from a host; 000 if it does not."""
    return host.run(
        f"curl --silent --output /dev/null --max-time 5 --write-out '%{{http_code}}' {address}", check=False
    )


def living_nodes(head: Host) -> int:
    status = head.run("ray status", check=False, **HEAD)
    return sum(int(count) for count in re.findall(r"(\d+) local.cluster.node", status.split("Pending")[0]))


def trains(host: Host) -> bool:
    """Whether a worker of a trial runs on a host."""
    return any("RayTrainWorker" in line for line in host.processes().values())


def metrics_in_mlflow(head: Host) -> dict[str, list[list[Any]]]:
    """By a run's name, the epochs and values of its validation accuracy."""
    script = """
import json, mlflow
client = mlflow.MlflowClient("http://127.0.0.1:5000")
runs = client.search_runs([e.experiment_id for e in client.search_experiments()])
print(json.dumps({r.info.run_name: [(m.step, m.value) for m in client.get_metric_history(r.info.run_id, "val_accuracy")]
    for r in runs}))
"""
    histories: dict[str, list[list[Any]]] = json.loads(head.run(f"python -W ignore -c '{script}' 2>/dev/null"))
    return histories

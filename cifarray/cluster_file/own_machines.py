"""Ends what runs on machines that stay when their cluster goes: `ray down` reaches the head of own machines alone.

Not here: starting it all (`cluster.yaml`), nodes of a cloud, which go as a whole.
"""

import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from cifarray.cluster_file.checks import ClusterFileError

BOOTSTRAP = Path("~/ray_bootstrap_config.yaml")
"""The cluster file as `ray up` brings it to the head, with the key that reaches the workers."""
SECONDS = 60.0


def stop(bootstrap: Path) -> list[str]:
    """On the head: ends Ray here, so that no worker is started again, and then on every worker.

    Returns a sentence for each machine on which it did not end. Raises ClusterFileError if this is no such head.
    """
    try:
        config: dict[str, Any] = yaml.safe_load(bootstrap.read_text())
        workers = config["provider"]["worker_ips"]
    except (OSError, KeyError, TypeError) as error:
        raise ClusterFileError(
            f"{bootstrap} does not tell the cluster's machines: run it on the head that `ray up` made of your own ones "
            "(a cloud's nodes end with `ray down` alone)"
        ) from error
    ray = str(Path(sys.executable).with_name("ray"))
    subprocess.run([ray, "stop"], check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    user, key = config["auth"]["ssh_user"], str(Path(config["auth"]["ssh_private_key"]).expanduser())
    options = ["-i", key, "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "BatchMode=yes"]
    command = ". ~/cifarray.env && ray stop"
    running = {
        worker: subprocess.Popen(
            ["ssh", *options, "-o", "ConnectTimeout=10", f"{user}@{worker}", command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for worker in workers
    }
    failures = []
    for worker, process in running.items():
        try:
            _, errors = process.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            errors = f"no answer within {SECONDS:g} s"
        if process.returncode != 0:
            reason = errors.strip().splitlines()[-1:] or [f"exit code {process.returncode}"]
            failures.append(f"Ray may still run on {worker} ({reason[0]}): run `ray stop` there")
    return failures

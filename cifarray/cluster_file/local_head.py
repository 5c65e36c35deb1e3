"""`make cluster`: a Ray head on this machine, and the address at which that very head takes jobs.

Another Ray may have the usual ports, and then `ray start` starts a head without a dashboard, to which no job can be
submitted (seen on Ray 2.60). So dashboard and agent take free ports, and what is announced is the address that the head
gives and that answers as the head. Not here: heads of clusters (`cluster.yaml`).
"""

import re
import socket
import subprocess
import sys
import time
from pathlib import Path

from cifarray.cluster_file.checks import ClusterFileError

USUAL_PORT = 8265
"""Of Ray's dashboard, where people look for it."""
SECONDS = 30.0
"""How long the dashboard may take to answer."""
_STARTED = re.compile(r"ray start --address='([^']+)'")
"""What `ray start` says of itself, and promises not to change."""
_RUNS_ALREADY = re.compile(r"already running at (\S+?)\.?\s")


def start(log: Path) -> str:
    """Starts the head; returns the http:// address of its dashboard, where jobs are submitted.

    What Ray says goes to `log`. Raises ClusterFileError if there is no head then, or none that answers.
    """
    ray = str(Path(sys.executable).with_name("ray"))
    ports = (f"--dashboard-port={_dashboard_port()}", "--dashboard-agent-listen-port=0")
    command = [ray, "start", "--head", "--disable-usage-stats", *ports]
    with open(log, "w") as file:
        code = subprocess.run(command, stdout=file, stderr=subprocess.STDOUT, check=False).returncode
    said = log.read_text()
    started = _STARTED.search(said)
    if code != 0 or started is None:
        running = _RUNS_ALREADY.search(said)
        if running is not None:
            raise ClusterFileError(f"a Ray head runs already at {running[1]}: use that one, or end it first")
        raise ClusterFileError(f"{said}\nthe head did not start: see above, or {log}")
    address, session = of_head(started[1])
    refuse_another(address, session)
    return address


def _dashboard_port() -> int:
    """The usual one, or 0, any free one, where that is taken."""
    try:
        with socket.create_server(("127.0.0.1", USUAL_PORT)):
            return USUAL_PORT
    except OSError:
        return 0


def of_head(gcs_address: str) -> tuple[str, str]:
    """The address of a head's dashboard and the name of its session, as the head itself knows them.

    Raises ClusterFileError if it has no dashboard.
    """
    import ray
    from ray._private import ray_constants
    from ray.dashboard.utils import ray_address_to_api_server_url

    client = ray._raylet.GcsClient(address=gcs_address)
    session = client.internal_kv_get(b"session_name", ray_constants.KV_NAMESPACE_SESSION)
    try:
        return ray_address_to_api_server_url(gcs_address), (session or b"").decode()
    except (ValueError, ConnectionError) as error:
        raise ClusterFileError(
            f"the head at {gcs_address} has no dashboard, which takes jobs ({error}): end it and start it again"
        ) from error


def refuse_another(address: str, session: str, seconds: float = SECONDS) -> None:
    """Raises ClusterFileError unless the head of that name (Ray's of its run) answers at `address` in time."""
    patience = time.monotonic() + seconds
    while True:
        found = session_at(address)
        if found == session:
            return
        if time.monotonic() > patience:
            raise ClusterFileError(
                f"{address} does not answer as the head that was started ({session}), but as {found or 'nobody'}: end "
                "the other one, or this one, and start it again"
            )
        time.sleep(0.5)


def session_at(address: str) -> str:
    """The session of the Ray whose dashboard answers there; empty for none that takes this user's token."""
    from ray.dashboard.modules.dashboard_sdk import SubmissionClient
    from ray.exceptions import RayError

    try:
        answer = SubmissionClient(address)._do_request("GET", "/api/version")
        return str(answer.json().get("session_name", ""))
    except (OSError, ValueError, RuntimeError, RayError):
        return ""


def announcement(address: str) -> str:
    """What to type, in any folder."""
    activate = Path(sys.executable).with_name("activate")
    return (
        f"a Ray head runs on this machine (dashboard: {address}); in any folder:\n"
        f"  source {activate}; export RAY_AUTH_MODE=token RAY_API_SERVER_ADDRESS={address}\n"
        "  ray job submit -- python jobs/tune_wrn.py --smoke"
    )

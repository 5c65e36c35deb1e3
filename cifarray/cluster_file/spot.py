"""Tells Ray that AWS takes this spot node back, so that nothing new is placed on it in its last two minutes.

Source: EC2 user guide, "Spot Instance interruption notices": `spot/instance-action` of the node's own metadata is
missing until there is a notice, then it has the action and its time; to be asked every five seconds.
Not here: what becomes of the trial on it (Ray Train restarts its group elsewhere, from the last checkpoint).
"""

import json
import logging
import threading
import urllib.error
import urllib.request
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus

METADATA = "http://169.254.169.254"
SECONDS_BETWEEN_LOOKS = 5.0
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Metadata:
    """A node's own metadata, by the second version of AWS's service; other clouds and own machines have none."""

    address: str = METADATA

    def exists(self) -> bool:
        try:
            return bool(self._token())
        except OSError:
            return False

    def own_ip(self) -> str:
        return self._read("local-ipv4") or ""

    def notice(self) -> datetime | None:
        """When AWS stops or terminates this node; None as long as it does not. Raises OSError if it does not tell."""
        text = self._read("spot/instance-action")
        return datetime.fromisoformat(json.loads(text)["time"]) if text else None

    def _read(self, name: str) -> str | None:
        try:
            return self._ask(f"latest/meta-data/{name}", headers={"X-aws-ec2-metadata-token": self._token()})
        except urllib.error.HTTPError as error:
            if error.code == HTTPStatus.NOT_FOUND:
                return None
            raise

    def _token(self) -> str:
        return self._ask("latest/api/token", "PUT", {"X-aws-ec2-metadata-token-ttl-seconds": "60"})

    def _ask(self, path: str, method: str = "GET", headers: dict[str, str] | None = None) -> str:
        request = urllib.request.Request(f"{self.address}/{path}", method=method, headers=headers or {})
        # A proxy of the user's knows nothing of this node.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=2.0) as answer:
            return str(answer.read().decode())


def watch(head: str, metadata: Metadata, stop: threading.Event, seconds: float = SECONDS_BETWEEN_LOOKS) -> None:
    """Until there is a notice, which Ray is told, or `stop` is set; returns at once where there is no such metadata.

    head: address of Ray's head, host:port.
    """
    if not metadata.exists():
        log.info("this node has no AWS metadata: nothing to watch")
        return
    while not stop.wait(seconds):
        try:
            gone = metadata.notice()
            if gone is not None:
                drain(head, metadata.own_ip(), gone)
                return
        except (OSError, RuntimeError) as error:
            log.warning("asking again in %s s: %s", seconds, error)


def drain(head: str, ip: str, gone: datetime) -> None:
    """Ray places nothing more on the node with that address. Raises RuntimeError if it does not know or refuses it."""
    import ray
    from ray.core.generated import autoscaler_pb2, gcs_pb2

    client = ray._raylet.GcsClient(address=head)
    alive = [each for each in client.get_all_node_info().values() if each.state == gcs_pb2.GcsNodeInfo.ALIVE]
    ids = [each.node_id.hex() for each in alive if each.node_manager_address == ip]
    if not ids:
        raise RuntimeError(f"no node of {head} has the address {ip}")
    reason = autoscaler_pb2.DrainNodeReason.Value("DRAIN_NODE_REASON_PREEMPTION")
    message = f"AWS takes the spot node back at {gone.isoformat()}"
    accepted, refusal = client.drain_node(ids[0], reason, message, int(gone.timestamp() * 1000))
    if not accepted:
        raise RuntimeError(f"node {ids[0]} ({ip}) is not drained: {refusal}")
    log.info("%s: node %s gets no new work", message, ids[0])

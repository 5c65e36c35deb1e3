"""A spot node that AWS takes back gets no new work. The metadata service is a fake of EC2's, by its user guide."""

import http.server
import json
import threading
from datetime import UTC, datetime, timedelta

import pytest

from cifarray.cluster_file import spot


class Service(http.server.BaseHTTPRequestHandler):
    """Version 2: a token is fetched by PUT and shown with each question; without one, 401."""

    action: str | None = None
    ip = "127.0.0.1"

    def do_PUT(self):
        self.answer(200, "a-token" if self.headers["X-aws-ec2-metadata-token-ttl-seconds"] else "")

    def do_GET(self):
        if self.headers["X-aws-ec2-metadata-token"] != "a-token":
            return self.answer(401, "")
        answers = {"local-ipv4": self.ip, "spot/instance-action": type(self).action}
        text = answers.get(self.path.removeprefix("/latest/meta-data/"))
        return self.answer(404 if text is None else 200, text or "")

    def answer(self, code, text):
        self.send_response(code)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_):
        pass


@pytest.fixture
def metadata():
    kind = type("OwnService", (Service,), {})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), kind)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield kind, spot.Metadata(f"http://127.0.0.1:{server.server_address[1]}")
    server.shutdown()
    server.server_close()


def test_there_is_no_notice_until_there_is_one(metadata):
    service, node = metadata
    assert node.notice() is None
    service.action = json.dumps({"action": "terminate", "time": "2026-11-24T08:22:00Z"})
    assert node.notice() == datetime(2026, 11, 24, 8, 22, tzinfo=UTC)


def test_a_notice_is_passed_on_once_and_the_watch_is_over(metadata, monkeypatch):
    service, node = metadata
    told = []
    monkeypatch.setattr(spot, "drain", lambda *arguments: told.append(arguments))
    service.action = json.dumps({"action": "stop", "time": "2026-11-24T08:22:00Z"})
    spot.watch("head:6379", node, threading.Event(), seconds=0.0)
    assert told == [("head:6379", "127.0.0.1", datetime(2026, 11, 24, 8, 22, tzinfo=UTC))]


def test_a_ray_that_does_not_answer_is_told_again(metadata, monkeypatch):
    service, node = metadata
    answers = iter([RuntimeError("no such node"), None])

    def drain(*_):
        if error := next(answers):
            raise error

    monkeypatch.setattr(spot, "drain", drain)
    service.action = json.dumps({"action": "stop", "time": "2026-11-24T08:22:00Z"})
    spot.watch("head:6379", node, threading.Event(), seconds=0.0)
    assert next(answers, "told twice") == "told twice"


def test_machines_without_such_metadata_are_not_watched():
    spot.watch("head:6379", spot.Metadata("http://127.0.0.1:9"), threading.Event())


@pytest.mark.ray
@pytest.mark.slow
def test_ray_places_nothing_on_a_node_that_is_taken_back():
    import ray
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    try:
        cluster.add_node(num_cpus=1, node_ip_address="127.0.0.2", resources={"taken_back": 1})
        ray.init(address=cluster.address, log_to_driver=False)

        @ray.remote(num_cpus=0, resources={"taken_back": 0.1})
        def work():
            return "done"

        assert ray.get(work.remote(), timeout=60) == "done"
        spot.drain(cluster.address, "127.0.0.2", datetime.now(UTC) + timedelta(minutes=2))
        refused = work.remote()
        ready, _ = ray.wait([refused], timeout=5)
        assert not ready
        with pytest.raises(RuntimeError, match=r"^no node of \S+ has the address 192\.0\.2\.1$"):
            spot.drain(cluster.address, "192.0.2.1", datetime.now(UTC))
    finally:
        ray.shutdown()
        cluster.shutdown()

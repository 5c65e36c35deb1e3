"""A store of MLflow that does not answer is told of before a study begins, in seconds."""

import http.server
import socket
import threading

import pytest

from cifarray.tracking.addresses import ANSWER_SECONDS, unreachable


@pytest.fixture
def free_port():
    with socket.socket() as chosen:
        chosen.bind(("127.0.0.1", 0))
        return chosen.getsockname()[1]


@pytest.fixture
def serve():
    """A function that starts an HTTP server which gives this status to all, and returns its host and port."""
    servers = []

    def start(status):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(status)
                self.end_headers()

            def log_message(self, *_): ...

        servers.append(http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        return f"127.0.0.1:{servers[-1].server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("scheme", ["http", "https", "postgresql", "mysql+pymysql"])
def test_a_server_that_is_not_there_is_named_with_what_follows(free_port, scheme):
    said = unreachable(f"{scheme}://me:hunter22@127.0.0.1:{free_port}/mlflow")
    assert said.startswith(f"MLflow at {scheme}://me:***@127.0.0.1:{free_port}/mlflow is not there (")
    assert "the study runs all the same" in said
    assert "hunter22" not in said


@pytest.mark.parametrize("status", [200, 401, 404, 500])
def test_a_server_that_answers_anything_is_there(serve, status):
    address = serve(status)
    assert unreachable(f"http://{address}") == ""
    assert unreachable(f"http://me:hunter22@{address}/") == ""


def test_a_name_that_nobody_knows_and_one_that_cannot_be_are_told(monkeypatch):
    assert "is not there" in unreachable("http://no-such-host.invalid:5000")
    assert "is not there" in unreachable("http://127.0.0.1:port")


def test_a_server_that_does_not_answer_takes_no_longer_than_said(monkeypatch):
    monkeypatch.setattr("cifarray.tracking.addresses.ANSWER_SECONDS", 0.2)
    assert ANSWER_SECONDS <= 3
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        assert "timed out" in unreachable(f"http://127.0.0.1:{silent.getsockname()[1]}")


@pytest.mark.parametrize("uri", ["sqlite:////tmp/mlflow.db", "databricks", "file:///tmp/mlruns"])
def test_what_is_no_server_is_not_asked(uri):
    assert unreachable(uri) == ""

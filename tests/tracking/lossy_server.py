"""MLflow's own server in this process, with a gateway in front of it that loses answers.

What the gateway does with a request is said by a test (`fault`); by itself it passes all on.
"""

import io
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

from mlflow.server import app, handlers

LOST, FAILED, LATE = "lost", "failed", "late"
"""Has taken effect, but nobody hears of it; has not; takes effect when the test says so."""
ANSWERS = {LOST: "504 Gateway Timeout", LATE: "504 Gateway Timeout", FAILED: "500 Internal Server Error"}


class Gateway:
    def __init__(self) -> None:
        self.fault: Callable[[int, str], str | None] = lambda number, path: None
        """Of a request's number and what it asks for, as `runs/create`."""
        self.requests: list[str] = []
        self.authorizations: set[str] = set()
        self._late: list[dict[str, Any]] = []

    def __call__(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ = {**environ, "wsgi.input": io.BytesIO(body)}
        path = environ["PATH_INFO"].rpartition("/mlflow/")[2]
        self.authorizations.add(environ.get("HTTP_AUTHORIZATION", ""))
        fault = self.fault(len(self.requests), path)
        self.requests.append(path)
        if fault == LATE:
            self._late.append(environ)
        elif fault != FAILED:
            status, headers, answer = _ask(environ)
            if fault is None:
                start_response(status, headers)
                return [answer]
        start_response(ANSWERS[fault], [("Content-Type", "text/html")])
        return [b"<h1>the gateway</h1>"]

    def take_effect(self) -> int:
        """What was late, now; returns how many requests."""
        late, self._late = self._late, []
        for environ in late:
            assert _ask(environ)[0].startswith("200")
        return len(late)


def _ask(environ: dict[str, Any]) -> tuple[str, list[tuple[str, str]], bytes]:
    began: list[tuple[str, list[tuple[str, str]]]] = []

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> None:
        began.append((status, headers))

    answer = b"".join(app(environ, start_response))
    return (*began[0], answer)


class _Quiet(WSGIRequestHandler):
    def log_message(self, *_: Any) -> None: ...


@contextmanager
def serving(backend_store_uri: str, artifacts: str) -> Iterator[tuple[Gateway, str]]:
    """The gateway and host:port of a server of that database."""
    # One for the life of the process.
    handlers._get_tracking_store(backend_store_uri, artifacts)
    gateway = Gateway()
    with make_server("127.0.0.1", 0, gateway, handler_class=_Quiet) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield gateway, f"127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()

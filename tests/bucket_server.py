"""An S3 server on loopback for tests, and the environment that leads to it. moto keeps all objects in memory."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from moto.backends import get_backend
from moto.server import ThreadedMotoServer


@contextmanager
def serving() -> Iterator[str]:
    """The server's URL; this process' environment has what boto3 and pyarrow need to use it."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        with pytest.MonkeyPatch.context() as patch:
            for name in [name for name in os.environ if name.startswith("AWS_")]:
                patch.delenv(name)
            patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
            patch.setenv("AWS_ACCESS_KEY_ID", "tester")
            patch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
            patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
            patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
            yield f"http://{host}:{port}"
    finally:
        server.stop()
        get_backend("s3").reset()

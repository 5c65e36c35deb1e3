"""How a driver leaves its mirror when MLflow does not answer."""

import signal
import socket
import time

import pytest

from cifarray.tracking import Tracking


@pytest.fixture
def silent_server():
    """Takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def test_ctrl_c_ends_the_waiting_for_mlflow(journal, silent_server, experiment):
    """As at the end of a study, where up to a minute is waited; an alarm stands for the key."""
    journal.whole_study()
    tracking = Tracking(journal.path, silent_server, experiment)

    def interrupt(*_):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.5)
    began = time.monotonic()
    try:
        result = tracking.finish(timeout=240)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        tracking._process.kill()
        tracking._process.wait()
    assert time.monotonic() - began < 20
    assert not result.ok
    assert "in the background" in result.message

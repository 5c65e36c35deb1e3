"""The child process: follows a journal and mirrors it into MLflow until its driver is gone and all is sent.

    export MLFLOW_TRACKING_URI=sqlite:///mlflow.db
    python -m cifarray.tracking study/journal.jsonl < /dev/null   # send what waits

The address of MLflow is not an argument: everybody on the machine sees those, and it may have a password.
Its standard input is a pipe from the driver: a byte is a wake-up, its end means that the driver ended or died.
Exit code 0: everything was sent; 3: MLflow does not answer and events wait in the journal.
Not here: what is sent (`cifarray.tracking.mirror`).
"""

import argparse
import contextlib
import logging
import os
import select
import signal
import sys
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from cifarray.redaction import redact
from cifarray.tracking.process import EXPERIMENT
from cifarray.tracking.state import State

if TYPE_CHECKING:
    from cifarray.tracking.mirror import Mirror

LOCK_NAME = "tracking.lock"
EVENTS_WAIT = 3

GATHER = 1.0
"""Seconds that events are collected for after a wake-up: what they say of one trial is sent together."""
FIRST_PAUSE, LONGEST_PAUSE, LONGEST_LAST_PAUSE = 0.5, 30.0, 1.0
"""Seconds between two tries with an MLflow that is away; the last is for when the driver is gone."""

TIMEOUT = "MLFLOW_HTTP_REQUEST_TIMEOUT"
LONGEST_REQUEST = 120
"""Seconds that a server which answers late is given, in the end."""
# Retries are ours: they can be cut short when the driver ends, and MLflow's own make a run again whose making was only
# not heard of.
RETRIES = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
DEFAULTS = {
    TIMEOUT: "10",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "GIT_PYTHON_REFRESH": "quiet",
}

log = logging.getLogger("cifarray.tracking")


class Driver:
    """What the pipe says of the driver."""

    def __init__(self, pipe: int) -> None:
        self._pipe = pipe
        self.gone = False

    def wait(self, seconds: float | None = None) -> None:
        """Until a wake-up, the driver's end, or the time is over."""
        if select.select([self._pipe], [], [], seconds)[0]:
            self.gone = not os.read(self._pipe, 65536)

    def pause(self, seconds: float) -> None:
        """As `wait`, but wake-ups do not count."""
        end = time.monotonic() + seconds
        while not self.gone and (left := end - time.monotonic()) > 0:
            self.wait(left)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m cifarray.tracking", description="Mirror a journal into MLflow.")
    parser.add_argument("journal", type=Path)
    parser.add_argument("--experiment", default=EXPERIMENT)
    parser.add_argument("--grace", type=float, default=10.0, help="seconds for a silent MLflow, after the driver")
    args = parser.parse_args()

    uri = os.environ.get("MLFLOW_TRACKING_URI")
    if not uri:
        parser.error("MLFLOW_TRACKING_URI is not set: set it to the MLflow that is to have the journal")

    # Ctrl-C and the signals that stop a job are for the driver; its end reaches this process through the pipe.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    logging.setLogRecordFactory(_record_without_secrets)
    logging.basicConfig(format="%(asctime)s %(message)s", level=logging.WARNING)
    warnings.simplefilter("ignore")

    driver = Driver(sys.stdin.fileno())
    lock = FileLock(args.journal.with_name(LOCK_NAME))
    if not _acquire(lock, driver, args.grace):
        return _give_up(State.load(args.journal, uri, args.experiment), args.journal)
    with lock:
        os.environ.update({**DEFAULTS, **os.environ, **RETRIES})
        # Late: mlflow reads these variables, and takes a second that a waiting process need not spend.
        from cifarray.tracking.mirror import Mirror

        return follow(Mirror(args.journal, uri, args.experiment), driver, args.grace)


def follow(mirror: "Mirror", driver: Driver, grace: float) -> int:
    """Keep MLflow up to date until the driver is gone. Returns the exit code."""
    pause, deadline = FIRST_PAUSE, float("inf")
    while True:
        gone = driver.gone  # asked first: what a driver wrote before its end is in the journal now
        acknowledged = mirror.acknowledged
        try:
            mirror.update(driver_gone=gone)
        except Exception as error:
            reason = redact(str(error) or repr(error))
            log.warning("%s: %s", type(error).__name__, reason)
            mirror.state.error = reason.splitlines()[0][:300]
            with contextlib.suppress(OSError):  # a full disk is no reason to end
                mirror.state.save(mirror.journal)
            if "timeout" in reason:
                _wait_longer()
            if gone and mirror.acknowledged == acknowledged:
                deadline = min(deadline, time.monotonic() + grace)
            else:
                deadline = float("inf")
            if time.monotonic() >= deadline:
                return _give_up(mirror.state, mirror.journal)
            if gone:
                time.sleep(min(pause, LONGEST_LAST_PAUSE))
            else:
                driver.pause(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
        else:
            if gone:
                return 0
            pause, deadline = FIRST_PAUSE, float("inf")
            driver.wait()
            driver.pause(GATHER)


def _record_without_secrets(*args: Any, **kwargs: Any) -> logging.LogRecord:
    """Of every logger: MLflow's name addresses too."""
    record = logging.LogRecord(*args, **kwargs)
    record.msg, record.args = redact(record.getMessage()), None
    return record


def _wait_longer() -> None:
    """A server that needs longer would be asked the same again and again."""
    seconds = int(os.environ.get(TIMEOUT) or DEFAULTS[TIMEOUT])
    os.environ[TIMEOUT] = str(max(seconds, min(2 * seconds, LONGEST_REQUEST)))


def _acquire(lock: FileLock, driver: Driver, grace: float) -> bool:
    """Wait for the mirror that a killed driver left; False if another one is alive when this driver has ended."""
    deadline = float("inf")
    while True:
        try:
            lock.acquire(timeout=0.2)
        except Timeout:
            if driver.gone:
                deadline = min(deadline, time.monotonic() + grace)
            else:
                driver.wait(0)
            if time.monotonic() >= deadline:
                return False
        else:
            return True


def _give_up(state: State, journal: Path) -> int:
    waiting = state.waiting(journal)
    log.warning("%d events wait in %s: the next command on the study sends them", waiting, journal)
    return EVENTS_WAIT


if __name__ == "__main__":
    sys.exit(main())

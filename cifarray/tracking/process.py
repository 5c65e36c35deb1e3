"""The driver's handle on the child process that feeds MLflow.

A process and not a thread: MLflow's work is Python and SQL that would hold the driver's interpreter lock, 10 to 20 ms
for each trial. Here: starting it, waking it, ending it. Not here: what it does (`cifarray.tracking.__main__`).
"""

import contextlib
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from cifarray.places import home
from cifarray.redaction import redact
from cifarray.tracking.state import State

LOG_NAME = "tracking.log"
EXPERIMENT = "cifarray"
"""Of MLflow, in which all studies are."""
NICENESS = 15
"""Of the child process: that of the processes that Ray starts for actors."""


@dataclass(frozen=True)
class TrackingResult:
    """How the mirror ended. `message` is one sentence for the user, empty if all is well."""

    ok: bool
    waiting_events: int
    parent_run_id: str
    message: str
    model: str = ""
    """What became of the winner's network, in a sentence; empty where MLflow has not heard of it yet."""


class Tracking:
    """Mirrors a study's journal into MLflow while this process lives, and after it until all is sent."""

    def __init__(self, journal_path: Path, tracking_uri: str, experiment: str = EXPERIMENT) -> None:
        self._journal = journal_path.absolute()
        self._tracking_uri = tracking_uri
        self._experiment = experiment
        self._process = self._start()

    def wake(self) -> None:
        """Say that the journal has news. Never waits, never fails."""
        # BlockingIOError: it has wake-ups enough. BrokenPipeError: it died, `finish` starts another.
        with contextlib.suppress(BlockingIOError, BrokenPipeError, ValueError):
            os.write(self._pipe.fileno(), b".")

    def finish(self, timeout: float) -> TrackingResult:
        """Let it send what the journal has, at most `timeout` seconds of which are waited for here.

        Ctrl-C ends the waiting. An MLflow that answers gets the rest from the child after that; with one that does not,
        the child gives up.
        """
        if self._process.poll() is not None:
            self._process = self._start()
        self._pipe.close()
        with contextlib.suppress(subprocess.TimeoutExpired, KeyboardInterrupt):
            self._process.wait(timeout)
        return self._result()

    @property
    def _pipe(self) -> IO[bytes]:
        assert self._process.stdin is not None
        return self._process.stdin

    def _start(self) -> subprocess.Popen[bytes]:
        with open(self._journal.with_name(LOG_NAME), "ab", opener=_for_the_owner) as log:
            process = subprocess.Popen(
                [*(sys.executable, "-m", "cifarray.tracking", str(self._journal)), "--experiment", self._experiment],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                bufsize=0,
                env={**_environment(), "MLFLOW_TRACKING_URI": self._tracking_uri},
                # Ctrl-C goes to the terminal's process group; the child has to survive it to tell MLflow.
                start_new_session=True,
            )
        _be_nice(process.pid)
        assert process.stdin is not None
        os.set_blocking(process.stdin.fileno(), False)
        return process

    def _result(self) -> TrackingResult:
        state = State.load(self._journal, self._tracking_uri, self._experiment)
        waiting = state.waiting(self._journal)
        code = self._process.returncode
        if code == 0:
            message = state.remark
        elif code is None:
            uri = redact(self._tracking_uri)
            message = f"{waiting} events are still being sent to MLflow at {uri}, in the background" if waiting else ""
        else:
            log = self._journal.with_name(LOG_NAME)
            why = state.error or f"its process ended with code {code}, see {log}"
            message = (
                f"MLflow at {redact(self._tracking_uri)} lacks {waiting} events ({why}): "
                "they wait in the journal and the next command on this study sends them"
            )
        return TrackingResult(code == 0, waiting, state.parent_run_id, message, "" if waiting else state.model)


def try_model_out(config: Mapping[str, Any], num_classes: int, versions: Mapping[str, str]) -> str:
    """Why no network of such a train config can be an MLflow model here, in a sentence; mostly nothing.

    Returns after some seconds, of another process; to be called beside the driver's own work. What went well is not
    tried again with the same `versions`.
    """
    decides = {"model": config["model"], "precision": config.get("precision"), "versions": dict(versions)}
    digest = hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()[:16]
    went_well = home() / "models-tried" / digest
    if went_well.exists():
        return ""
    # A driver that ends meanwhile does not wait for it, so the other process remembers.
    study = json.dumps({"config": config, "num_classes": num_classes, "went_well": str(went_well)})
    process = subprocess.Popen(
        [sys.executable, "-m", "cifarray.tracking.model"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**_environment(), "MLFLOW_DISABLE_TELEMETRY": "true"},
        # Ctrl-C, which ends the study, would look like a try that failed.
        start_new_session=True,
    )
    _be_nice(process.pid)
    told, _ = process.communicate(study)
    if process.returncode == 0:
        return ""
    why = told.strip() or f"its process ended with code {process.returncode}"
    return f"the winner of this study will not be in MLflow as a model ({why}); the study goes on, checkpoints are kept"


def _environment() -> dict[str, str]:
    """In which a child finds the package the way this process did, whatever its working directory."""
    root = str(Path(__file__).parents[2])
    paths = [*filter(None, [os.environ.get("PYTHONPATH")]), root]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


def _be_nice(pid: int) -> None:
    """A start and a training step are waited for; what MLflow hears is not."""
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, pid, NICENESS)


def _for_the_owner(path: str, flags: int) -> int:
    """Opens a file that nobody else may read: what libraries log is theirs to say."""
    descriptor = os.open(path, flags, 0o600)
    with contextlib.suppress(PermissionError):
        os.fchmod(descriptor, 0o600)
    return descriptor

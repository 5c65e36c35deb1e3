"""What Ray says that the user is not shown: lines of its daemons, and what the journal tells in a line of its own.

Errors that nobody else tells still reach the terminal, with their traceback.
"""

import logging

from cifarray.engine import ray_internals

TUNE = ("ray.tune.tune", "ray.tune.execution.experiment_state")
"""Loggers: of how a run ended, which trials' events say, and of a state to resume from, which nobody reads."""
TUNES_CONTROLLER = "ray.tune.execution.tune_controller"


def quieten() -> None:
    """To be called once Ray is imported, which sets its loggers' levels."""
    ray_internals.silence_raylet_lines()
    for name in ("ray", "ray.tune", "ray.train", "ray.data"):
        logging.getLogger(name).setLevel(logging.ERROR)
    for name in TUNE:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    logging.getLogger(TUNES_CONTROLLER).addFilter(_is_no_death)


def _is_no_death(record: logging.LogRecord) -> bool:
    """A trial's actor that died is told by the driver, and the trial goes on."""
    from ray.exceptions import RayActorError

    return not (record.exc_info and isinstance(record.exc_info[1], RayActorError))

"""Events as a driver writes them: a test says what it is about, all else is made up here.

Not here: a finished comparison of recipes (`comparisons`), studies that are run (`engine`).
"""

import json
from typing import Any

from cifarray.config import TrainConfig
from cifarray.journal.events import FORMAT
from cifarray.space.space import SearchSpace
from cifarray.study.events import (
    DriverEnded,
    DriverStarted,
    EpochEnded,
    StudyStarted,
    TestOpened,
    TrialSampled,
    TrialStarted,
)

PLAN = {
    "id": "f00d",
    "scheduler": None,
    "searcher": "random",
    "seed": 0,
    "metric": "val_accuracy",
    "workers": 1,
    "num_trials": 2,
    "storage": "results",
}


def study_started(name: str = "wrn", space: SearchSpace | None = None, **plan: Any) -> StudyStarted:
    space = space or SearchSpace(name, TrainConfig())
    # As the journal's file has it: without tuples.
    what = json.loads(json.dumps(space.to_dict()))
    return StudyStarted(name=name, **{**what, **PLAN, "format": FORMAT, **plan})


def driver_started(pid: int = 4711) -> DriverStarted:
    return DriverStarted(pid=pid, versions={"torch": "2.9.0", "ray": "2.60.0"})


def driver_ended(reason: Any = "finished", **fields: Any) -> DriverEnded:
    return DriverEnded(reason=reason, **fields)


def sampled(
    trial: int, params: dict[str, Any] | None = None, config: dict[str, Any] | None = None, **fields: Any
) -> TrialSampled:
    config = TrainConfig().to_dict() if config is None else config
    return TrialSampled(trial=trial, params=params or {}, config=config, **{"num_params": 1, "macs": 1, **fields})


def started(trial: int, epoch: int = 0, group: str = "group-0", attempt: int = 1) -> TrialStarted:
    return TrialStarted(trial=trial, attempt=attempt, group=group, epoch=epoch)


def epoch_ended(
    trial: int, epoch: int, checkpoint: str | None = None, decision: Any = "continue", reason: str = "", **metrics: Any
) -> EpochEnded:
    metrics = {"epoch": epoch, **metrics}
    return EpochEnded(
        trial=trial, epoch=epoch, metrics=metrics, decision=decision, checkpoint=checkpoint, reason=reason
    )


def split_opened(trial: int, opening: int = 1, **metrics: float) -> TestOpened:
    """By a final test; a name that begins with `test` would be collected by pytest."""
    return TestOpened(trial=trial, opening=opening, metrics=metrics)

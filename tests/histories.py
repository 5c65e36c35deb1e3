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


OLDER = """\
{"kind": "study", "time": 1.0, "name": "wrn", "id": "f00d", "config": {"model": {"name": "wide_resnet", "depth": 10, \
"widen_factor": 1}, "epochs": 2}, "domains": {"optimizer.lr": {"low": 0.01, "high": 1.0, "log": true, "integer": \
false, "condition": null}}, "scheduler": {"name": "asha", "reduction_factor": 3, "grace_epochs": 1}, "searcher": \
"random", "seed": 0, "metric": "val_accuracy", "workers": 2, "num_trials": 2, "storage": "results"}
{"kind": "driver", "time": 2.0, "pid": 4711, "versions": {"torch": "2.9.0"}}
{"kind": "group", "time": 3.0, "group": "wrn/group-0", "event": "started", "reason": ""}
{"kind": "trial", "time": 4.0, "trial": 0, "params": {"optimizer.lr": 0.1}, "config": {"epochs": 2}, "num_params": \
77850, "macs": 12501632}
{"kind": "start", "time": 5.0, "trial": 0, "attempt": 1, "group": "wrn/group-0", "epoch": 0}
{"kind": "epoch", "time": 6.0, "trial": 0, "epoch": 1, "metrics": {"epoch": 1, "val_accuracy": 0.5}, "decision": \
"continue", "checkpoint": "/storage/0/1"}
{"kind": "restart", "time": 7.0, "trial": 0, "restarts": 1, "epoch": 1}
{"kind": "epoch", "time": 8.0, "trial": 0, "epoch": 2, "metrics": {"epoch": 2, "val_accuracy": 0.6}, "decision": \
"complete", "checkpoint": "/storage/0/2"}
{"kind": "outcome", "time": 8.0, "trial": 0, "outcome": "completed", "message": ""}
{"kind": "dropped", "time": 8.0, "trial": 0, "epoch": 1, "checkpoint": "/storage/0/1"}
{"kind": "trial", "time": 9.0, "trial": 1, "params": {"optimizer.lr": 0.9}, "config": {"epochs": 2}, "num_params": \
77850, "macs": 12501632}
{"kind": "start", "time": 9.0, "trial": 1, "attempt": 1, "group": "wrn/group-0", "epoch": 0}
{"kind": "epoch", "time": 10.0, "trial": 1, "epoch": 1, "metrics": {"epoch": 1, "val_accuracy": 0.1}, "decision": \
"stop", "checkpoint": "/storage/1/1"}
{"kind": "outcome", "time": 10.0, "trial": 1, "outcome": "stopped", "message": ""}
{"kind": "ended", "time": 11.0, "reason": "finished", "message": "", "artifacts": ["leaderboard.csv"]}
{"kind": "test", "time": 12.0, "trial": 0, "opening": 1, "metrics": {"test_accuracy": 0.55}}
"""
"""A whole journal as it was written before there were formats: no `format`, no reasons of decisions, no precision."""


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

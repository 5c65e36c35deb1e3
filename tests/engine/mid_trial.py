"""What the tests of faults in mid-trial share: equal trials, faults that are done to them, and what must hold after.

Not here: the faults themselves (`test_mid_trial`, `test_lost_storage`, `test_cluster`).
"""

import json
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

import torch
from living import living_actors
from mlflow.tracking import MlflowClient

from cifarray.engine.run import StudyResult
from cifarray.journal.journal import read_events
from cifarray.study.events import EpochEnded, Event, TrialStarted, WorkersRestarted
from cifarray.study.state import StudyState
from cifarray.study.study import Study
from cifarray.study.trial_record import Outcome
from cifarray.training.checkpoint import load_checkpoint

EPOCHS = 4
STRUCK = 2
"""The epoch after which something happens."""
PATIENCE = 4.0
"""Seconds without progress; the steps here take some milliseconds."""
LEFT_SECONDS = 30.0
"""What is left of a study after that is left for good."""
OURS = {"WorkerGroup", "RayTrainWorker", "Trial"}
"""Classes of the actors of a study."""


@dataclass
class Strikes:
    """A view's on_event that does something once to each trial, somewhere within the epoch after STRUCK.

    acts: by the trial's number, called with the name of its worker group. after: the same, when its next epoch is done.
    """

    acts: Mapping[int, Callable[[str], object]]
    after: Mapping[int, Callable[[], object]] = field(default_factory=dict)
    struck: dict[int, float] = field(default_factory=dict)
    seconds: dict[int, float] = field(default_factory=dict)
    """To the next epoch."""
    errors: list[Exception] = field(default_factory=list)
    _groups: dict[int, str] = field(default_factory=dict)

    def __call__(self, event: Event) -> None:
        if isinstance(event, TrialStarted):
            self._groups[event.trial] = event.group
        if not isinstance(event, EpochEnded):
            return
        if event.trial in self.struck and event.trial not in self.seconds:
            self.seconds[event.trial] = time.monotonic() - self.struck[event.trial]
            self.after.get(event.trial, lambda: None)()
        elif event.epoch == STRUCK and event.trial in self.acts:
            threading.Timer(0.1, self._strike, [event.trial]).start()

    def _strike(self, trial: int) -> None:
        self.struck[trial] = time.monotonic()
        try:
            self.acts[trial](self._groups[trial])
        except Exception as error:
            self.errors.append(error)


def events_of(study: Study) -> list[Event]:
    """All that its journal has, of all its drivers."""
    return read_events(study.folder / "journal.jsonl")


def restarts_of(study: Study, trial: int) -> list[WorkersRestarted]:
    return [event for event in events_of(study) if isinstance(event, WorkersRestarted) and event.trial == trial]


def weights(state: StudyState, number: int = 0) -> dict[str, torch.Tensor]:
    checkpoint = state.trials[number].checkpoint
    assert checkpoint is not None
    model: dict[str, torch.Tensor] = load_checkpoint(checkpoint[1])["model"]
    return model


def epochs_in(study: Study) -> dict[int, list[int]]:
    """By trial, the epochs that its journal has, in their order."""
    ended = [(event.trial, event.epoch) for event in events_of(study) if isinstance(event, EpochEnded)]
    by_trial = groupby(sorted(ended, key=lambda pair: pair[0]), key=lambda pair: pair[0])
    return {trial: [epoch for _, epoch in pairs] for trial, pairs in by_trial}


def epochs_in_mlflow(study: Study) -> dict[int, list[int]]:
    """By trial, the epochs of which MLflow has metrics; one that it has twice is there twice."""
    told = json.loads((study.folder / "tracking.json").read_text())
    client = MlflowClient(study.tracking_uri)
    return {
        int(key): sorted(metric.step for metric in client.get_metric_history(run_id, "val_loss"))
        for key, run_id in told["runs"].items()
        if key.isdigit()
    }


def assert_as_if_nothing_had_been(
    ray: Any, study: Study, result: StudyResult, undisturbed: Mapping[str, torch.Tensor], others: Iterable[int] = ()
) -> None:
    """Every trial was completed with each epoch once and the same weights, MLflow has the same, and nothing is left.

    others: trials that are not like the rest, of which no more is asked than that MLflow has each epoch once.
    """
    assert result.reason == "finished", result.message
    expected = list(range(1, EPOCHS + 1))
    alike = {number: trial for number, trial in result.state.trials.items() if number not in others}
    epochs = epochs_in(study)
    for number, trial in alike.items():
        assert trial.outcome is Outcome.COMPLETED, trial.message
        assert epochs[number] == expected
        found = weights(result.state, number)
        assert found.keys() == undisturbed.keys()
        assert not [name for name in undisturbed if not torch.equal(undisturbed[name], found[name])]
    assert epochs_in_mlflow(study) == epochs
    ranks = [trial.number for trial in result.state.ranking()]
    assert [number for number in ranks if number in alike] == sorted(alike), "equal trials rank by their numbers"
    assert_nothing_is_left(ray)


def assert_nothing_is_left(ray: Any) -> None:
    """No actor and no placement group of any study is on this Ray soon after."""
    deadline = time.monotonic() + LEFT_SECONDS
    while (left := [*_actors(), *_placement_groups(ray)]) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert left == []


def _actors() -> list[str]:
    return [f"{name} {pid}" for name in sorted(OURS) for pid in living_actors(name).values()]


def _placement_groups(ray: Any) -> list[str]:
    groups = ray.util.placement_group_table()
    return [f"placement group {name}" for name, told in groups.items() if told["state"] != "REMOVED"]


def trial_folder(study: Study, number: int = 0) -> Path:
    return Path(study.address) / f"trial-{number:04d}"

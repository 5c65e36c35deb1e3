"""Recorded curves as a study: the product's driver, decisions and schedulers on a virtual clock, an epoch a lookup.

Points are those that were recorded and no others: a searcher takes one of them, and freeze-thaw chooses among all that
no trial has. Not here: which strategies are compared, and by what (`search`).
"""

import heapq
import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cifarray.config import TrainConfig
from cifarray.engine.driver import StudyDriver
from cifarray.engine.orders import Answer
from cifarray.space.domains import Choice, Domain, Range, comparable
from cifarray.space.features import Features
from cifarray.space.space import SearchSpace
from cifarray.study.events import TrialSampled
from cifarray.study.proposals import Params
from cifarray.study.samplers import point_key
from cifarray.study.schedulers import Scheduler
from cifarray.study.schedulers.freeze_thaw import KEY_OF_DESIGN
from cifarray.study.state import StudyState
from cifarray.study.trial_record import Decision

MANY_VALUES = 8
"""A field with more values than this is a range."""
WIDE = 20.0
"""A range whose end is so many times its beginning is logarithmic."""
COST_ERROR = 0.2
"""Deviation of the logarithm of what an epoch was thought to cost."""


@dataclass(frozen=True)
class Curve:
    params: Params
    values: tuple[float, ...]
    """val_accuracy of every epoch, a mean over seeds."""
    seconds: float
    """Of an epoch."""


@dataclass(frozen=True)
class Curves:
    """All of as many epochs. base: which one is the space's base point; None where there is none."""

    curves: tuple[Curve, ...]
    space: SearchSpace
    base: int | None = None

    @property
    def epochs(self) -> int:
        return len(self.curves[0].values)


def read(path: Path) -> Curves:
    """A line a run: {"study", "params": {field: value}, "seconds": [per epoch], "val_accuracy": [per epoch]}; equal
    params are repeats with other seeds, and the study "default" is the base point. Raises ValueError."""
    lines = [json.loads(line) for line in path.read_text().splitlines() if line.strip()]
    runs: dict[str, list[Mapping[str, Any]]] = {}
    for line in lines:
        runs.setdefault(point_key(line["params"]), []).append(line)
    if len({len(line["val_accuracy"]) for line in lines}) != 1:
        raise ValueError(f"{path} has curves of different numbers of epochs: give one file for each")
    curves = tuple(
        Curve(
            repeats[0]["params"],
            tuple(np.mean([run["val_accuracy"] for run in repeats], axis=0).tolist()),
            float(np.mean([run["seconds"] for run in repeats])),
        )
        for repeats in runs.values()
    )
    fields = {path for curve in curves for path in curve.params}
    domains = {path: _domain([curve.params.get(path) for curve in curves]) for path in sorted(fields)}
    base = next((place for place, repeats in enumerate(runs.values()) if repeats[0].get("study") == "default"), None)
    space = SearchSpace("replayed", TrainConfig(epochs=len(curves[0].values)), domains)
    return Curves(curves, space, base)


def _domain(values: Sequence[Any]) -> Domain:
    different = list({json.dumps(value): comparable(value) for value in values}.values())
    if len(different) <= MANY_VALUES or not all(isinstance(value, int | float) for value in different):
        return Choice(tuple(different))
    low, high = min(different), max(different)
    return Range(low, high, log=low > 0 and high / low > WIDE)


class Points:
    """What `cifarray.study.proposals.Proposals` is to a space, to its recorded points."""

    def __init__(self, study: "ReplayedStudy") -> None:
        self._study, self.features = study, Features(study.space.tree)
        curves = study.recorded
        self.base: Params = {} if curves.base is None else curves.curves[curves.base].params
        self._at = np.array([self.features.of(curve.params) for curve in curves.curves])

    def spread(self, count: int, *key: int) -> list[Params]:
        """For the design, the nearest to points of a Sobol sequence; else all that are left."""
        curves = self._study.recorded.curves
        if key[0] != KEY_OF_DESIGN:
            return [curve.params for place, curve in enumerate(curves) if place not in self._study.begun]
        from scipy.stats import qmc

        drawn = qmc.Sobol(self._at.shape[1], seed=np.random.default_rng([self._study.seed, *key])).random_base2(3)
        chosen: list[int] = []
        for point in drawn:
            distances = ((self._at - point) ** 2).sum(axis=1)
            distances[[*chosen, *([] if self._study.recorded.base is None else [self._study.recorded.base])]] = np.inf
            chosen.append(int(np.argmin(distances)))
        return [curves[place].params for place in chosen]

    def near(self, points: Sequence[Params], count: int, *key: int) -> list[Params]:
        return []


class ReplayedStudy(StudyState):
    """A study whose trials are recorded curves, in a random order where a searcher chooses."""

    def begin(self, recorded: Curves, base_first: bool) -> None:
        self.recorded, self.places = recorded, {point_key(curve.params): p for p, curve in enumerate(recorded.curves)}
        self.begun: dict[int, int] = {}
        """By place among the curves, the trial's number."""
        self.order = list(range(len(recorded.curves)))
        random.Random(f"{self.seed}").shuffle(self.order)
        if base_first and recorded.base is not None:
            self.order.sort(key=lambda place: place != recorded.base)
        self.once("proposals", lambda: Points(self))
        errors = np.exp(COST_ERROR * np.random.default_rng(self.seed).standard_normal(len(self.order)))
        self.macs_of = lambda params: round(1e6 * self.curve_of(params).seconds * errors[self.place_of(params)])

    def place_of(self, params: Mapping[str, Any]) -> int:
        return self.places[point_key(params)]

    def curve_of(self, params: Mapping[str, Any]) -> Curve:
        return self.recorded.curves[self.place_of(params)]

    @property
    def budget(self) -> int:
        return min(self.num_trials, len(self.recorded.curves))

    def is_allowed(self, params: Params) -> bool:
        return point_key(params) in self.places

    def is_new(self, params: Params) -> bool:
        return self.is_allowed(params) and self.place_of(params) not in self.begun

    def sample(self, number: int) -> Params:
        return self.recorded.curves[next(place for place in self.order if place not in self.begun)].params


@dataclass(frozen=True)
class Group:
    name: str


class Groups:
    """So many groups of one worker, always ready."""

    workers = 1

    def __init__(self, count: int, study: ReplayedStudy) -> None:
        self.free, self.now = [Group(f"group-{number}") for number in range(count)], 0.0
        self.due: list[tuple[float, int, int, int]] = []
        """When, in which order it was ordered, of which trial, which epoch."""
        self._ordered, self._study = 0, study

    def tend(self) -> None: ...

    def release(self, remaining: int) -> None: ...

    def is_alive(self, name: str) -> bool:
        return True

    def acquire(self, remaining: int, wait: bool) -> Group | None:
        return self.free[-1] if self.free else None

    def move_in(self, group: Group, assignment: Any, config: Mapping[str, Any], folder: str) -> int:
        self.free.remove(group)
        self.order(assignment.number, assignment.epoch + 1)
        return 1

    def order(self, number: int, epoch: int) -> None:
        self._ordered += 1
        seconds = self._study.curve_of(self._study.trials[number].params).seconds
        heapq.heappush(self.due, (self.now + seconds, self._ordered, number, epoch))

    def give_back(self, name: str, lease: int, broken: str | None = None) -> None:
        self.free.append(Group(name))


class NoJournal:
    def append(self, events: Any) -> None: ...

    def when_kept(self, action: Any) -> None: ...


class ReplayDriver(StudyDriver):
    """Of trials whose size is what an epoch takes; their config is not made, which would take longest."""

    def _sampled(self, assignment: Any) -> TrialSampled:
        study: Any = self.state
        params = study.sample(assignment.number) if assignment.params is None else dict(assignment.params)
        study.begun[study.place_of(params)] = assignment.number
        macs = round(1e6 * study.curve_of(params).seconds)
        config = {"epochs": study.recorded.epochs}
        return TrialSampled(trial=assignment.number, params=params, config=config, num_params=1, macs=macs)


@dataclass(frozen=True)
class Seen:
    """An epoch of a replay: at which worker-second it ended, with which value, and whether it was a trial's last."""

    at: float
    value: float
    is_last: bool


def replay(
    curves: Curves, scheduler: Scheduler, seed: int, workers: int, seconds: float | None, base_first: bool = False
) -> list[Seen]:
    """Until the study is over, or has taken so many worker-seconds."""
    study = ReplayedStudy(curves.space, len(curves.curves), "random", scheduler, seed)
    study.begin(curves, base_first)
    groups = Groups(workers, study)
    driver = ReplayDriver(study, NoJournal(), groups, "/study", lambda config: config, lambda address: None)  # type: ignore[arg-type,return-value]
    seen = []
    while not study.is_over():
        while groups.free and driver.next_trial() is not None:
            pass
        if not groups.due:
            break
        groups.now, _, number, epoch = heapq.heappop(groups.due)
        if seconds is not None and groups.now * workers > seconds:
            break
        curve = study.curve_of(study.trials[number].params)
        value = curve.values[epoch - 1]
        seen.append(Seen(groups.now * workers, value, epoch == curves.epochs))
        metrics = {"epoch": epoch, "val_accuracy": value, "epoch_seconds": curve.seconds}
        answer = Answer(number, epoch, metrics, f"/study/{number}/{epoch}")
        if driver.take(answer) is Decision.CONTINUE:
            groups.order(number, epoch + 1)
        else:
            driver.end(number, answer)
    return seen

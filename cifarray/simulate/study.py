"""A study whose trials are learning curves: which points there are, and what a trial of one would do.

Of recorded curves the points are those that were recorded and no others: a searcher takes one of them, and freeze-thaw
chooses among all that no trial has. Not here: the clock (`machines`).
"""

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from cifarray.engine.driver import StudyDriver
from cifarray.simulate.curves import Curve, Curves
from cifarray.space.features import Features
from cifarray.study.events import TrialSampled
from cifarray.study.proposals import Params
from cifarray.study.samplers import SearcherName, point_key
from cifarray.study.schedulers import Assignment, Scheduler
from cifarray.study.schedulers.freeze_thaw import KEY_OF_DESIGN
from cifarray.study.state import StudyState

COST_ERROR = 0.2
"""Deviation of the logarithm of what an epoch is thought to cost."""
MACS_A_SECOND = 1e6
"""A trial's size is what its epoch takes: only ratios of sizes are ever looked at."""


class SimulatedStudy(Protocol):
    """A `StudyState` that knows what its trials will do."""

    epochs: int

    def curve_of(self, params: Mapping[str, Any]) -> Curve: ...

    def params_of(self, assignment: Assignment) -> Params:
        """Of a new trial."""


class RecordedStudy(StudyState):
    """Of recorded curves, in a random order where a searcher chooses."""

    def begin(self, recorded: Curves, base_first: bool) -> None:
        """base_first: the first trial is the base point, where there is one and the searcher chooses."""
        self.recorded, self.epochs = recorded, recorded.epochs
        self.places = {point_key(curve.params): place for place, curve in enumerate(recorded.curves)}
        self.begun: dict[int, int] = {}
        """By place among the curves, the trial's number."""
        self.order = list(range(len(recorded.curves)))
        random.Random(f"{self.seed}").shuffle(self.order)
        if base_first and recorded.base is not None:
            self.order.sort(key=lambda place: place != recorded.base)
        self._next = 0
        self.points = self.once("proposals", lambda: RecordedPoints(self))
        errors = np.exp(COST_ERROR * np.random.default_rng(self.seed).standard_normal(len(self.order)))
        self.macs_of = lambda params: round(
            MACS_A_SECOND * self.curve_of(params).seconds * errors[self.place_of(params)]
        )

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

    def params_of(self, assignment: Assignment) -> Params:
        if assignment.params is not None:
            params = dict(assignment.params)
        else:
            while self.order[self._next] in self.begun:
                self._next += 1
            params = self.recorded.curves[self.order[self._next]].params
        self.begun[self.place_of(params)] = assignment.number
        return params


class RecordedPoints:
    """What `cifarray.study.proposals.Proposals` is to a space, to its recorded points."""

    def __init__(self, study: RecordedStudy) -> None:
        self._study, self.features = study, Features(study.space.tree)
        curves = study.recorded
        self.base: Params = {} if curves.base is None else curves.curves[curves.base].params
        self._at = np.array([self.features.of(curve.params) for curve in curves.curves])

    def spread(self, count: int, *key: int) -> list[Params]:
        """For the design, the nearest to points of a Sobol sequence; else all that are left."""
        curves, base = self._study.recorded.curves, self._study.recorded.base
        if key[0] != KEY_OF_DESIGN:
            return [curve.params for place, curve in enumerate(curves) if place not in self._study.begun]
        from scipy.stats import qmc

        drawn = qmc.Sobol(self._at.shape[1], seed=np.random.default_rng([self._study.seed, *key])).random_base2(3)
        chosen: list[int] = []
        for point in drawn[: len(curves)]:
            distances = ((self._at - point) ** 2).sum(axis=1)
            distances[[*chosen, *([] if base is None else [base])]] = np.inf
            chosen.append(int(np.argmin(distances)))
        return [curves[place].params for place in chosen]

    def nearest(self, params: Params) -> Params:
        """Of those that no trial has."""
        distances = ((self._at - self.features.of(params)) ** 2).sum(axis=1)
        distances[list(self._study.begun)] = np.inf
        return self._study.recorded.curves[int(np.argmin(distances))].params

    def near(self, points: Sequence[Params], count: int, *key: int) -> list[Params]:
        return []


class GeneratedStudy(StudyState):
    """Of a space any of whose points has a curve that is made for it; the searcher is the product's own."""

    def begin(self, curve_of: Callable[[Mapping[str, Any]], Curve], epochs: int) -> None:
        self._made, self.epochs = curve_of, epochs
        self.macs_of = lambda params: round(MACS_A_SECOND * self._made(params).seconds)

    def curve_of(self, params: Mapping[str, Any]) -> Curve:
        return self._made(params)

    def params_of(self, assignment: Assignment) -> Params:
        return self.sample(assignment.number) if assignment.params is None else dict(assignment.params)


class SimulatedDriver(StudyDriver):
    """Of trials whose size is what an epoch takes; their config is not made, which would take longest."""

    def _sampled(self, assignment: Assignment) -> TrialSampled:
        study: Any = self.state
        params = study.params_of(assignment)
        macs = round(MACS_A_SECOND * study.curve_of(params).seconds)
        config = {"epochs": study.epochs}
        return TrialSampled(trial=assignment.number, params=params, config=config, num_params=1, macs=macs)


def recorded_study(
    curves: Curves, scheduler: Scheduler, seed: int, searcher: SearcherName = "random", base_first: bool = False
) -> RecordedStudy:
    """As many trials as there are curves."""
    study = RecordedStudy(curves.space, len(curves.curves), searcher, scheduler, seed)
    study.begin(curves, base_first)
    return study

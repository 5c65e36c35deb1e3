"""How soon each strategy finds what is good: recorded curves under each, paired by their seeds.

Every repetition takes a random part of the curves. Its targets are the final accuracies of the best 10, 5, 2 and 1 % of
that part; a target is reached by an epoch of any trial, or, stricter, by the last epoch of one. Times are
worker-seconds, in which starting the groups is not counted, the same for all; a time beyond the budget counts as the
budget, which is what Ray's ASHA takes for all curves. Regret is what the best curve ends with less what the leader's
ends with, the leader being the trial that has shown the highest value so far. Targets that Ray's ASHA reaches before
each worker could have run three trials to their end tell little, and are marked `early`. Not here: how it is shown
(`cifarray.cli.simulate_search`).
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from cifarray.simulate.curves import Curves
from cifarray.simulate.machines import Cluster
from cifarray.simulate.run import Seen, simulate
from cifarray.simulate.strategies import BASELINE, STRATEGIES
from cifarray.simulate.study import recorded_study

SHARES = (0.10, 0.05, 0.02, 0.01)
PARTS = (0.1, 0.25, 0.5, 1.0)
"""Of the budget, at which the regret is told."""
FULL_RUNS = 3
"""So many full runs for each worker a target must take Ray's ASHA."""
RESAMPLES = 2000
LEVEL = 0.90

Reached = Literal["any", "complete"]


@dataclass(frozen=True)
class Interval:
    """A figure and its 90 % interval, from resampled repetitions (Efron 1979, the bootstrap): of these curves, in other
    orders and parts. How another space's would differ it does not say."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Told:
    """Of one strategy. sooner: by target, Ray's ASHA's mean time over its own. missed: by target, the share of the
    repetitions in which it was not reached within the budget. regret: by part of the budget, in shares of one. times:
    by target, worker-seconds of each repetition."""

    name: str
    sooner: Mapping[float, Interval]
    missed: Mapping[float, float]
    regret: Mapping[float, Interval]
    times: Mapping[float, Sequence[float]]


@dataclass(frozen=True)
class Comparison:
    """early: targets that tell little."""

    workers: int
    repetitions: int
    budget: float
    early: tuple[float, ...]
    strategies: tuple[Told, ...]


def compare(
    curves: Curves,
    workers: int,
    repetitions: int,
    names: Sequence[str] = tuple(STRATEGIES),
    reached: Reached = "any",
    share: float = 0.8,
    varies_in_time: bool = False,
    progress: Callable[[int], None] = lambda done: None,
) -> Comparison:
    """names: of strategies; Ray's ASHA is compared with in any case, and what begins with a base point where there is
    one. share: of the curves in each repetition. varies_in_time: whether schedules or epochs vary among the points.
    progress: called after each repetition.
    """
    others = (name for name in names if name != BASELINE and not (STRATEGIES[name].base_first and curves.base is None))
    names = [BASELINE, *others]
    times: dict[str, dict[float, list[float]]] = {name: {each: [] for each in SHARES} for name in names}
    regrets: dict[str, dict[float, list[float]]] = {name: {part: [] for part in PARTS} for name in names}
    missed: dict[str, dict[float, list[bool]]] = {name: {each: [] for each in SHARES} for name in names}
    budgets, full_runs = [], []
    for seed in range(repetitions):
        pool = _part(curves, share, seed)
        finals = sorted((curve.values[-1] for curve in pool.curves), reverse=True)
        targets = {each: finals[max(0, round(each * len(finals)) - 1)] for each in SHARES}
        full_runs.append(np.mean([curve.seconds * pool.epochs for curve in pool.curves]))
        budget = 0.0
        for name in names:
            seen = _search(pool, name, seed, workers, budget or None, varies_in_time)
            budget = budget or seen[-1].at * workers
            for each, target in targets.items():
                time = _time_to(seen, target, workers, reached)
                times[name][each].append(min(time, budget))
                missed[name][each].append(time > budget)
            for part in PARTS:
                regrets[name][part].append(_regret(pool, seen, part * budget / workers, finals[0]))
        budgets.append(budget)
        progress(seed + 1)
    least = FULL_RUNS * workers * float(np.mean(full_runs))
    early = tuple(each for each in SHARES if np.mean(times[BASELINE][each]) < least)
    told = [
        Told(
            name,
            {each: _ratio(times[BASELINE][each], times[name][each]) for each in SHARES},
            {each: float(np.mean(missed[name][each])) for each in SHARES},
            {part: _mean(regrets[name][part]) for part in PARTS},
            times[name],
        )
        for name in names
    ]
    return Comparison(workers, repetitions, float(np.mean(budgets)), early, tuple(told))


def with_base_among_the_best(curves: Curves, seed: int) -> Curves:
    """The base point is one of the best tenth, drawn by `seed`."""
    order = sorted(range(len(curves.curves)), key=lambda place: -curves.curves[place].values[-1])
    return replace(curves, base=int(np.random.default_rng([seed, 1]).choice(order[: max(1, len(order) // 10)])))


def _part(curves: Curves, share: float, seed: int) -> Curves:
    count = max(2, round(share * len(curves.curves)))
    chosen = np.random.default_rng([seed, 2]).permutation(len(curves.curves))[:count]
    return curves.only([int(place) for place in chosen])


@dataclass(frozen=True)
class _Epoch:
    """`Seen`, with where the trial will end."""

    at: float
    value: float
    is_last: bool
    final: float


def _search(
    pool: Curves, name: str, seed: int, workers: int, budget: float | None, varies_in_time: bool
) -> list[_Epoch]:
    strategy = STRATEGIES[name]
    scheduler = strategy.make(pool.epochs, varies_in_time)
    study = recorded_study(pool, scheduler, seed, base_first=strategy.base_first)
    told = simulate(study, Cluster(workers), None if budget is None else budget / workers)
    finals = {number: study.curve_of(trial.params).values[-1] for number, trial in study.trials.items()}
    return [_with_final(seen, finals[seen.trial]) for seen in told.seen]


def _with_final(seen: Seen, final: float) -> _Epoch:
    return _Epoch(seen.at, seen.value, seen.is_last, final)


def _time_to(seen: Sequence[_Epoch], target: float, workers: int, reached: Reached) -> float:
    times = (each.at * workers for each in seen if each.value >= target and (each.is_last or reached == "any"))
    return next(times, math.inf)


def _regret(pool: Curves, seen: Sequence[_Epoch], until: float, best: float) -> float:
    """Before anything was seen, of a point at random."""
    known = [each for each in seen if each.at <= until]
    if not known:
        return best - float(np.mean([curve.values[-1] for curve in pool.curves]))
    return best - max(known, key=lambda each: each.value).final


def _ratio(baseline: Sequence[float], own: Sequence[float]) -> Interval:
    drawn = np.random.default_rng(0).integers(0, len(own), (RESAMPLES, len(own)))
    ratios = np.array(baseline)[drawn].mean(axis=1) / np.array(own)[drawn].mean(axis=1)
    return _interval(float(np.mean(baseline) / np.mean(own)), ratios)


def _mean(values: Sequence[float]) -> Interval:
    drawn = np.random.default_rng(0).integers(0, len(values), (RESAMPLES, len(values)))
    return _interval(float(np.mean(values)), np.array(values)[drawn].mean(axis=1))


def _interval(mean: float, resampled: np.ndarray) -> Interval:
    low, high = np.quantile(resampled, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(mean, float(low), float(high))

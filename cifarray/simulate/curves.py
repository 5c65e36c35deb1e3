"""Learning curves: read from a file, taken from a journal, and the space that they are points of.

A line of a curves file is one run, as JSON: {"study", "trial", "params": {dotted field: value}, "seed", "num_params",
"macs", "epochs", "seconds": [per epoch], "val_accuracy": [per epoch]}. Lines with equal params are repeats with other
seeds; `study` "default" is the space's base point. Not here: what is made of them (`study`, `generator`).
"""

import json
import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cifarray.config import TrainConfig
from cifarray.space.domains import Choice, Domain, Range, comparable
from cifarray.space.space import SearchSpace
from cifarray.study.samplers import point_key
from cifarray.study.state import StudyState
from cifarray.study.trial_record import Outcome

MANY_VALUES = 8
"""A field with more values than this is a range."""
WIDE = 20.0
"""A range whose end is so many times its beginning is logarithmic."""
BASE = "default"
"""`study` of the lines that are the base point."""

Params = dict[str, Any]


@dataclass(frozen=True)
class Curve:
    params: Params
    values: tuple[float, ...]
    """val_accuracy of every epoch, a mean over seeds."""
    seconds: float
    """Of an epoch, on one worker."""


@dataclass(frozen=True)
class Curves:
    """All of as many epochs. base: which one is the space's base point; None where there is none."""

    curves: tuple[Curve, ...]
    space: SearchSpace
    base: int | None = None

    @property
    def epochs(self) -> int:
        return len(self.curves[0].values)

    def only(self, places: Sequence[int]) -> "Curves":
        """Some of them, in that order; the base point is always among them."""
        chosen = [*places, *([] if self.base is None or self.base in places else [self.base])]
        base = None if self.base is None else chosen.index(self.base)
        return Curves(tuple(self.curves[place] for place in chosen), self.space, base)


def read(path: Path) -> Curves:
    """Raises ValueError, with the line, for what is no curve, and for curves of different numbers of epochs."""
    runs: dict[str, list[Mapping[str, Any]]] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if line.strip():
            run = _run(line, f"{path}, line {number}")
            runs.setdefault(point_key(run["params"]), []).append(run)
    if not runs:
        raise ValueError(f"{path} has no curves: give a file with a line for each run, as --record writes it")
    lengths = {len(run["val_accuracy"]) for repeats in runs.values() for run in repeats}
    if len(lengths) != 1:
        listed = ", ".join(map(str, sorted(lengths)))
        raise ValueError(f"{path} has curves of different numbers of epochs ({listed}): give one file for each")
    curves = tuple(
        Curve(
            dict(repeats[0]["params"]),
            tuple(map(statistics.fmean, zip(*(run["val_accuracy"] for run in repeats), strict=True))),
            statistics.fmean(statistics.fmean(run["seconds"]) for run in repeats),
        )
        for repeats in runs.values()
    )
    of_base = [any(run.get("study") == BASE for run in repeats) for repeats in runs.values()]
    base = of_base.index(True) if True in of_base else None
    return points_of(curves, base)


def points_of(curves: Sequence[Curve], base: int | None = None) -> Curves:
    """With the space that they are points of: a domain for each field that is in any of the params, which is a range if
    it has many different numbers, else a choice. Fields and values that no train config has become a model's options,
    of which there may be any."""
    plain = TrainConfig(epochs=len(curves[0].values))
    domains, names = {}, {}
    for path in sorted({path for curve in curves for path in curve.params}):
        domain = _domain([curve.params.get(path) for curve in curves])
        names[path] = path if _is_of_a_config(path, domain) else f"model.{path.replace('.', '_')}"
        domains[names[path]] = domain
    renamed = [replace(curve, params={names[path]: value for path, value in curve.params.items()}) for curve in curves]
    return Curves(tuple(renamed), SearchSpace("simulated", plain, domains), base)


def _is_of_a_config(path: str, domain: Domain) -> bool:
    try:
        SearchSpace("simulated", TrainConfig(), {path: domain})
    except ValueError:
        return False
    return True


def lines_of(name: str, state: StudyState) -> Iterator[str]:
    """A line for each trial of a study that ran to its end, without a line break; others have no whole curve."""
    base, seed = state.space.base, {"seed": state.space.base.seed}
    for trial in state.ended:
        if trial.outcome is Outcome.COMPLETED and all("val_accuracy" in metrics for metrics in trial.epochs):
            run = {
                "study": BASE if state.space.config({**trial.params, **seed}) == base else name,
                "trial": trial.number,
                "params": {path: value for path, value in trial.params.items() if path != "seed"},
                "seed": trial.config.get("seed", 0),
                "num_params": trial.num_params,
                "macs": trial.macs,
                "epochs": len(trial.epochs),
                "seconds": [round(metrics["epoch_seconds"], 4) for metrics in trial.epochs],
                "val_accuracy": [metrics["val_accuracy"] for metrics in trial.epochs],
            }
            yield json.dumps(run)


def _run(line: str, where: str) -> dict[str, Any]:
    """A line's run, with as many seconds as epochs. Raises ValueError."""
    try:
        run = json.loads(line)
        values, seconds = run["val_accuracy"], run["seconds"]
        run["seconds"] = list(seconds) if isinstance(seconds, list) else [seconds] * len(values)
        whole = isinstance(run["params"], dict) and len(run["seconds"]) == len(values) > 0
        finite = all(math.isfinite(value) for value in [*values, *run["seconds"]]) and min(run["seconds"]) > 0
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{where} is no run ({type(error).__name__}: {error}): {_WHAT_IS}") from None
    if not whole or not finite:
        raise ValueError(f"{where} is no run: {_WHAT_IS}")
    if not all(0 <= value <= 1 for value in values):
        raise ValueError(f"{where} has val_accuracy {max(values):g}: give shares from 0 to 1, not per cent")
    return dict(run)


_WHAT_IS = 'it has "params", and as many "seconds" above 0 as "val_accuracy", at least one'


def _domain(values: Sequence[Any]) -> Domain:
    different = list({json.dumps(value): comparable(value) for value in values}.values())
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in different)
    if len(different) <= MANY_VALUES or not numbers:
        return Choice(tuple(different))
    low, high = min(different), max(different)
    return Range(low, high, log=low > 0 and high / low > WIDE)

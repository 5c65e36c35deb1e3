"""Finished trials of an earlier study as observations of another one: which of them are points of its space.

They teach a searcher or a strategy and are nothing else: no trials of the study that learns from them, on no
leaderboard, never the winner; their points may be run again. Pure. Not here: where the earlier study is
(`cifarray.cli.warm_start`), whether it saw the same images (`cifarray.engine.checks`).
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from cifarray.config import WHEN_SAVED, TrainConfig
from cifarray.fields import as_text, flatten
from cifarray.space.domains import Choice, Domain, comparable
from cifarray.space.space import RECIPE, SearchSpace
from cifarray.study.events import EarlierTrials, StudyStarted
from cifarray.study.state import StudyState
from cifarray.study.trial_record import Metric, Outcome, TrialRecord

TELLING = frozenset({Outcome.COMPLETED, Outcome.STOPPED, Outcome.DIVERGED})
"""What failed or had no memory may have done so for reasons that are mended since."""
OF_NO_CONSEQUENCE = (
    *("data.source", "seed", "deterministic", "auto_micro_batch", "compile", "cuda_graph", "channels_last"),
    *WHEN_SAVED,
)
"""Fields that may differ all the same. The data are told apart by their digest."""


def taken(space: SearchSpace, metric: Metric, name: str, started: StudyStarted, state: StudyState) -> EarlierTrials:
    """The finished trials of the study `name` that are points of `space` and were measured by `metric`.

    started: the first event of that study's journal. state: what the journal tells in all.
    """
    finished = [trial for trial in state.trials.values() if trial.outcome in TELLING]
    points = [(trial, _point(space, trial)) for trial in finished if _is_measured(trial, metric)]
    trials = [_written(trial, params, metric) for trial, params in points if params is not None]
    return EarlierTrials(
        study=name,
        id=started.id,
        data_sha256=started.data_sha256,
        trials=tuple(trials),
        dropped=len(finished) - len(trials),
    )


def what_differs(space: SearchSpace, state: StudyState) -> str:
    """Why most of its finished trials are no points of `space`: `epochs 200 there, 20 here`; empty if they are."""
    reasons: Counter[str] = Counter()
    for trial in state.trials.values():
        if trial.outcome in TELLING:
            reasons.update(_differences(space, trial)[:1])
    return reasons.most_common(1)[0][0] if reasons else ""


def _is_measured(trial: TrialRecord, metric: Metric) -> bool:
    return all(metric.name in metrics for metrics in trial.epochs) and (
        bool(trial.epochs) or trial.outcome is Outcome.DIVERGED
    )


def _written(trial: TrialRecord, params: Mapping[str, Any], metric: Metric) -> dict[str, Any]:
    return {
        "trial": trial.number,
        "params": dict(params),
        "epochs": trial.config["epochs"],
        "values": [metrics[metric.name] for metrics in trial.epochs],
        "outcome": str(trial.outcome),
        "num_params": trial.num_params,
        "macs": trial.macs,
    }


def _point(space: SearchSpace, trial: TrialRecord) -> dict[str, Any] | None:
    """The point of `space` that a trial is, whatever varied where it was run; None if it is none."""
    return None if _differences(space, trial) else _params(space, trial)


def _params(space: SearchSpace, trial: TrialRecord) -> dict[str, Any]:
    """Raises ValueError for a value that its domain has not."""
    there = {**flatten(_config(trial)), **trial.params}
    params: dict[str, Any] = {}
    for path in space.domains:
        named = space.tree.domain_at(path, params)
        if named is not None:
            domain, value = named[1], comparable(there.get(path))
            if not _is_within(domain, value):
                raise ValueError(f"{path} {as_text(value)} there, {domain} here")
            params[path] = value
    return params


def _is_within(domain: Domain, value: Any) -> bool:
    if isinstance(domain, Choice):
        # 1 and true are equal to Python and not to a field.
        return any(own == value and isinstance(own, bool) == isinstance(value, bool) for own in domain.values)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and domain.low <= value <= domain.high and (not domain.integer or value == int(value))


def _config(trial: TrialRecord) -> dict[str, Any]:
    """With the fields that came after it was written. Raises ValueError for one that is none any more."""
    return TrainConfig.from_dict(trial.config).to_dict()


def _differences(space: SearchSpace, trial: TrialRecord) -> list[str]:
    """By field; of a point of the space there are none."""
    try:
        there, here = flatten(_config(trial)), flatten(space.config(_params(space, trial)).to_dict())
    except ValueError as error:
        return [str(error)]
    if not space.allows(trial.num_params, trial.macs):
        return ["its network is above the limits here"]
    ignored = {path for path in OF_NO_CONSEQUENCE if path not in space.domains}
    return [
        f"{path} {as_text(there.get(path))} there, {as_text(here.get(path))} here"
        for path in sorted(there.keys() | here.keys())
        if path not in ignored and path != RECIPE and there.get(path) != here.get(path)
    ]

"""Optuna's TPE as a pure function of a search space, a seed and what earlier trials gave.

Used through ask and add_trial on a study that is rebuilt from the history: a few milliseconds, and conditional spaces
and stopped trials are told as they are. Not here: which of its points are taken (`samplers`).
"""

import statistics
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cifarray.space.domains import Choice, Domain, Range, Value, comparable
from cifarray.space.space import SearchSpace

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.study import Study
    from optuna.trial import Trial


@dataclass(frozen=True)
class Observation:
    """What a sampler learns from one earlier trial.

    values: the score (higher is better) per epoch, from epoch 1 on.
    ended: whether the trial has an outcome; completed: whether it ran to its last epoch. predicted: of a trial that is
    paused, the score that it is expected to end with; None for all others.
    """

    params: dict[str, Any]
    values: tuple[float, ...]
    ended: bool
    completed: bool
    predicted: float | None = None


def expected_end(scores: Sequence[float], completed: Iterable[Sequence[float]]) -> float | None:
    """The score that a paused trial is likely to end with: its own, and the median of what completed trials have gained
    since that epoch. Scores are per epoch; None where it has none."""
    if not scores:
        return None
    gains = [each[-1] - each[len(scores) - 1] for each in completed if len(each) >= len(scores)]
    return scores[-1] + (statistics.median(gains) if gains else 0.0)


def suggestions(space: SearchSpace, seed: int, history: Sequence[Observation]) -> Iterator[dict[str, Any]]:
    """What to try next, and what else if that is not wanted; the study is rebuilt once for all of them.

    Multivariate, grouped TPE with a constant liar (Bergstra et al. 2011; Optuna's TPESampler): running trials count as
    bad ones, and so do the points that this has given before, so that it moves away from what is not wanted.
    """
    study = _rebuilt(space, seed, history)
    while True:
        yield suggested(space, study.ask())


def _rebuilt(space: SearchSpace, seed: int, history: Sequence[Observation]) -> "Study":
    # Late: it takes half a second, and most studies do without.
    import optuna
    from optuna.trial import TrialState, create_trial

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler = optuna.samplers.TPESampler(multivariate=True, group=True, constant_liar=True, seed=seed)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    for observation in history:
        value = observation.predicted
        if observation.completed and observation.values:
            value = observation.values[-1]
        # A stopped trial is told with its curve; a diverged one without any value, which TPE ranks last. A paused one
        # that was told as running would count as bad, and as pruned as worse than all that came further (optuna#5266).
        unfinished = TrialState.PRUNED if observation.ended else TrialState.RUNNING
        study.add_trial(
            create_trial(
                state=unfinished if value is None else TrialState.COMPLETE,
                params=categories(space, observation.params),
                distributions={
                    name: _distribution(domain) for name, domain in _named(space, observation.params).values()
                },
                intermediate_values=dict(enumerate(observation.values, start=1)),
                value=value,
            )
        )
    return study


def suggested(space: SearchSpace, asked: "Trial") -> dict[str, Any]:
    """The point of the space that a trial of Optuna's stands for."""
    # One field after the other: TPE has drawn each group of fields that were seen together, and gives what is asked.
    return space.tree.point(lambda name, domain: _value(domain, _suggest(asked, name, domain)))


def categories(space: SearchSpace, params: Mapping[str, Any]) -> dict[str, Any]:
    """The inverse of `suggested`: what Optuna calls the values of a point."""
    return {name: _category(domain, params[path]) for path, (name, domain) in _named(space, params).items()}


def _named(space: SearchSpace, params: Mapping[str, Any]) -> dict[str, tuple[str, Domain]]:
    """By field of a point that varies, its name in Optuna's study and its domain."""
    domains = {path: space.tree.domain_at(path, params) for path in params}
    return {path: named for path, named in domains.items() if named is not None}


def _suggest(asked: "Trial", name: str, domain: Domain) -> Any:
    if isinstance(domain, Choice):
        return asked.suggest_categorical(name, range(len(domain.values)))
    if domain.integer:
        return asked.suggest_int(name, int(domain.low), int(domain.high), log=domain.log)
    return asked.suggest_float(name, domain.low, domain.high, log=domain.log)


def _distribution(domain: Domain) -> "BaseDistribution":
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if isinstance(domain, Range):
        if domain.integer:
            return IntDistribution(int(domain.low), int(domain.high), log=domain.log)
        return FloatDistribution(domain.low, domain.high, log=domain.log)
    return CategoricalDistribution(range(len(domain.values)))


def _category(domain: Domain, value: Any) -> Any:
    """A choice by its index: Optuna's categories are scalars, and a choice may be a tuple. The inverse of `_value`."""
    if isinstance(domain, Choice):
        return [comparable(choice) for choice in domain.values].index(comparable(value))
    return value


def _value(domain: Domain, category: Any) -> Value:
    return domain.values[category] if isinstance(domain, Choice) else category

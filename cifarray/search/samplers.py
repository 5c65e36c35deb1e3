"""What to try next: random, grid, or Optuna's TPE, each a pure function of (space, study seed, trial number, history).

Nothing is remembered between two calls, so a study that was killed asks the same question again and gets the same
answer. Optuna is used through ask and add_trial on a study that is rebuilt from the history at every ask: a few
milliseconds, and conditional spaces and stopped trials are told as they are.
"""

import itertools
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from cifarray.search.space import Choice, Domain, Range, SearchSpace, Value

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

SearcherName = Literal["random", "grid", "tpe"]
SEARCHERS: tuple[SearcherName, ...] = ("random", "grid", "tpe")


@dataclass(frozen=True)
class Observation:
    """What a sampler learns from one earlier trial.

    values: the selection metric (higher is better) per epoch, from epoch 1 on.
    ended: whether the trial has an outcome; completed: whether it ran to its last epoch.
    """

    params: dict[str, Any]
    values: tuple[float, ...]
    ended: bool
    completed: bool


def sample(
    space: SearchSpace, searcher: SearcherName, seed: int, number: int, history: Sequence[Observation]
) -> dict[str, Any]:
    """The params of trial `number` (from 0). Raises ValueError for an unknown searcher or a grid over a range."""
    if searcher == "random":
        source = random.Random(f"{seed}/{number}")
        return {path: domain.draw(source) for path, domain in space.domains.items()}
    if searcher == "grid":
        return next(itertools.islice(space.grid(), number, None))
    if searcher == "tpe":
        return _sample_tpe(space, seed, number, history)
    raise ValueError(f"searcher {searcher!r} is unknown: choose one of {', '.join(SEARCHERS)}")


def _sample_tpe(space: SearchSpace, seed: int, number: int, history: Sequence[Observation]) -> dict[str, Any]:
    """Multivariate, grouped TPE with a constant liar for running trials (Bergstra et al. 2011; Optuna's TPESampler)."""
    import warnings

    import optuna
    from optuna.trial import TrialState, create_trial

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler = optuna.samplers.TPESampler(
            multivariate=True, group=True, constant_liar=True, seed=random.Random(f"{seed}/{number}").getrandbits(32)
        )
    study = optuna.create_study(direction="maximize", sampler=sampler)
    distributions = {path: _distribution(domain) for path, domain in space.domains.items()}
    for observation in history:
        completed = observation.completed and bool(observation.values)
        # A stopped trial is told with its curve; a diverged one without any value, which TPE ranks last.
        unfinished = TrialState.PRUNED if observation.ended else TrialState.RUNNING
        state = TrialState.COMPLETE if completed else unfinished
        study.add_trial(
            create_trial(
                state=state,
                params={path: _tell(space.domains[path], value) for path, value in observation.params.items()},
                distributions={path: distributions[path] for path in observation.params},
                intermediate_values=dict(enumerate(observation.values, start=1)),
                value=observation.values[-1] if completed else None,
            )
        )
    asked = study.ask(distributions)
    return {path: _heard(domain, asked.params[path]) for path, domain in space.domains.items()}


def _distribution(domain: Domain) -> "BaseDistribution":
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if isinstance(domain, Range):
        if domain.integer:
            return IntDistribution(int(domain.low), int(domain.high), log=domain.log)
        return FloatDistribution(domain.low, domain.high, log=domain.log)
    # By index: Optuna's categories are scalars and a choice may be a tuple.
    return CategoricalDistribution(tuple(range(len(domain.values))))


def _tell(domain: Domain, value: Any) -> Any:
    if isinstance(domain, Choice):
        return [_comparable(known) for known in domain.values].index(_comparable(value))
    return value


def _heard(domain: Domain, value: Any) -> Value:
    return domain.values[value] if isinstance(domain, Choice) else value


def _comparable(value: Any) -> Any:
    """A choice as the journal gives it back: tuples have become lists."""
    return tuple(value) if isinstance(value, list) else value

"""What to try next: random, grid, or Optuna's TPE, each a pure function of (space, study seed, trial number, history).

A field on a condition is asked for where the condition holds, and the searcher never hears of it elsewhere. Points that
are not allowed (the network is too large) are drawn again, or left out of the grid.

Nothing is remembered between two calls, so a study that was killed asks the same question again and gets the same
answer. Optuna is used through ask and add_trial on a study that is rebuilt from the history at every ask: a few
milliseconds, and conditional spaces and stopped trials are told as they are.
"""

import itertools
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from cifarray.errors import StudyError
from cifarray.space.domains import Choice, Domain, Range, Value, comparable
from cifarray.space.space import SearchSpace

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import Trial

SearcherName = Literal["random", "grid", "tpe"]
SEARCHERS: tuple[SearcherName, ...] = ("random", "grid", "tpe")
MAX_DRAWS = 1000
"""Draws for one trial before the space is said to be empty."""
MAX_ASKS = 50
"""Of them, how many TPE makes; it does not learn from what was not allowed."""


@dataclass(frozen=True)
class Observation:
    """What a sampler learns from one earlier trial.

    values: the score (higher is better) per epoch, from epoch 1 on.
    ended: whether the trial has an outcome; completed: whether it ran to its last epoch.
    """

    params: dict[str, Any]
    values: tuple[float, ...]
    ended: bool
    completed: bool


class EmptySpaceError(StudyError):
    """No point of the space is allowed, as far as can be seen."""


def sample(
    space: SearchSpace,
    searcher: SearcherName,
    seed: int,
    number: int,
    history: Sequence[Observation],
    allowed: Callable[[dict[str, Any]], bool] = lambda params: True,
) -> dict[str, Any]:
    """The params of trial `number` (from 0), which are `allowed`.

    Raises ValueError for an unknown searcher or a grid over a range, EmptySpaceError if no allowed point was found.
    """
    if searcher == "grid":
        return next(itertools.islice(allowed_grid(space, allowed), number, None))
    if searcher not in SEARCHERS:
        raise ValueError(f"searcher {searcher!r} is unknown: choose one of {', '.join(SEARCHERS)}")
    for attempt in range(MAX_DRAWS):
        # The first draw is the one without limits.
        key = f"{seed}/{number}" + (f"/{attempt}" if attempt else "")
        if searcher == "tpe" and attempt < MAX_ASKS:
            params = _ask_tpe(space, random.Random(key).getrandbits(32), history)
        else:
            params = _draw(space, random.Random(key))
        if allowed(params):
            return params
    raise EmptySpaceError(
        f"none of {MAX_DRAWS} points drawn from the space has a network of at most {_limits(space)}: "
        "raise the limit, or add smaller values to the domains"
    )


def _draw(space: SearchSpace, source: random.Random) -> dict[str, Any]:
    return space.point(lambda name, domain: domain.draw(source))


def allowed_grid(
    space: SearchSpace, allowed: Callable[[dict[str, Any]], bool] = lambda params: True
) -> Iterator[dict[str, Any]]:
    """The grid's points that are allowed, in order. Raises ValueError for a grid over a range."""
    return filter(allowed, space.grid())


def _limits(space: SearchSpace) -> str:
    limits = [(space.max_params, "parameters"), (space.max_macs, "MACs")]
    return " and ".join(f"{limit:,} {what}" for limit, what in limits if limit is not None)


def _ask_tpe(space: SearchSpace, seed: int, history: Sequence[Observation]) -> dict[str, Any]:
    """Multivariate, grouped TPE with a constant liar for running trials (Bergstra et al. 2011; Optuna's TPESampler)."""
    import warnings

    import optuna
    from optuna.trial import TrialState, create_trial

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler = optuna.samplers.TPESampler(multivariate=True, group=True, constant_liar=True, seed=seed)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    for observation in history:
        completed = observation.completed and bool(observation.values)
        # A stopped trial is told with its curve; a diverged one without any value, which TPE ranks last.
        unfinished = TrialState.PRUNED if observation.ended else TrialState.RUNNING
        state = TrialState.COMPLETE if completed else unfinished
        found = {path: space.domain_at(path, observation.params) for path in observation.params}
        known = {path: named for path, named in found.items() if named is not None}
        study.add_trial(
            create_trial(
                state=state,
                params={name: _tell(domain, observation.params[path]) for path, (name, domain) in known.items()},
                distributions={name: _distribution(domain) for name, domain in known.values()},
                intermediate_values=dict(enumerate(observation.values, start=1)),
                value=observation.values[-1] if completed else None,
            )
        )
    # Asked one after the other: TPE has drawn each group of fields that were seen together, and gives what is asked.
    asked = study.ask()
    return space.point(lambda name, domain: _heard(domain, _suggest(asked, name, _distribution(domain))))


def _suggest(asked: "Trial", path: str, distribution: "BaseDistribution") -> Any:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if isinstance(distribution, CategoricalDistribution):
        return asked.suggest_categorical(path, distribution.choices)
    if isinstance(distribution, IntDistribution):
        return asked.suggest_int(path, distribution.low, distribution.high, log=distribution.log)
    assert isinstance(distribution, FloatDistribution)
    return asked.suggest_float(path, distribution.low, distribution.high, log=distribution.log)


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
        return [comparable(known) for known in domain.values].index(comparable(value))
    return value


def _heard(domain: Domain, value: Any) -> Value:
    return domain.values[value] if isinstance(domain, Choice) else value

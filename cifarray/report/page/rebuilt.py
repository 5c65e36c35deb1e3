"""A study as Optuna's, rebuilt from the journal, for the plots that Optuna has.

Its names are the short ones of the leaderboard and its choices are written out, so that both can be read in a plot.
Not here: the searcher's own (`cifarray.study.tpe`), which plots there are (`mattered`, `price`).
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from cifarray.fields import as_text
from cifarray.report.leaderboard import short_names
from cifarray.report.page.parts import plain
from cifarray.space.domains import Domain, Range
from cifarray.space.space import SearchSpace
from cifarray.study.trial_record import TrialRecord

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.study import Study


def rebuilt(
    space: SearchSpace | None,
    trials: Sequence[TrialRecord],
    values: Callable[[TrialRecord], Sequence[float]],
    directions: Sequence[str],
) -> "Study":
    """An Optuna study of the trials, all as completed, with `values` as their objectives; numbered as they are here.

    space: that of their params; None where those are not plotted. directions: `maximize` or `minimize` for each value.
    """
    # Late: it takes half a second.
    import optuna
    from optuna.trial import TrialState, create_trial

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(directions=list(directions))
    points = [_point(space, trial) if space is not None else {} for trial in trials]
    seen: dict[str, tuple[Domain, list[Any]]] = {}
    for point in points:
        for name, (domain, value) in point.items():
            seen.setdefault(name, (domain, []))[1].append(value)
    distributions = {name: _distribution(domain, values) for name, (domain, values) in seen.items()}
    study.add_trials(
        create_trial(
            state=TrialState.COMPLETE,
            params={name: value for name, (_, value) in point.items()},
            distributions={name: distributions[name] for name in point},
            values=list(values(trial)),
        )
        for trial, point in zip(trials, points, strict=True)
    )
    return study


def _point(space: SearchSpace, trial: TrialRecord) -> dict[str, tuple[Domain, Any]]:
    """By the name in a plot, each varied field's domain and value."""
    names = short_names(space.domains)
    point = {}
    for path, value in trial.params.items():
        named = space.tree.domain_at(path, trial.params) if path in names else None
        if named is not None:
            where, domain = named
            point[plain(names[path] + where.removeprefix(path))] = domain, _value(domain, value)
    return point


def _distribution(domain: Domain, seen: Sequence[Any]) -> "BaseDistribution":
    """With what was seen: a comparison may have been given more seeds than it began with."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if not isinstance(domain, Range):
        return CategoricalDistribution(list(dict.fromkeys([*map(_word, domain.values), *seen])))
    low, high = min(domain.low, *seen), max(domain.high, *seen)
    if domain.integer:
        return IntDistribution(int(low), int(high), log=domain.log)
    return FloatDistribution(low, high, log=domain.log)


def _value(domain: Domain, value: Any) -> Any:
    return value if isinstance(domain, Range) else _word(value)


def _word(value: Any) -> Any:
    """Numbers stay numbers, which a plot puts in their order."""
    return value if isinstance(value, int | float) and not isinstance(value, bool) else plain(as_text(value))

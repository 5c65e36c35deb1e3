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
    names = short_names(space.domains) if space is not None else {}
    made = []
    for trial in trials:
        params: dict[str, Any] = {}
        distributions: dict[str, BaseDistribution] = {}
        for path, value in trial.params.items():
            if space is None or path not in names:
                continue
            named = space.tree.domain_at(path, trial.params)
            if named is not None:
                where, domain = named
                name = plain(names[path] + where.removeprefix(path))
                params[name], distributions[name] = _value(domain, value), _distribution(domain)
        made.append(
            create_trial(
                state=TrialState.COMPLETE,
                params=params,
                distributions=distributions,
                values=list(values(trial)),
            )
        )
    study.add_trials(made)
    return study


def _distribution(domain: Domain) -> "BaseDistribution":
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if not isinstance(domain, Range):
        return CategoricalDistribution([_word(value) for value in domain.values])
    if domain.integer:
        return IntDistribution(int(domain.low), int(domain.high), log=domain.log)
    return FloatDistribution(domain.low, domain.high, log=domain.log)


def _value(domain: Domain, value: Any) -> Any:
    return value if isinstance(domain, Range) else _word(value)


def _word(value: Any) -> Any:
    """Numbers stay numbers, which a plot puts in their order."""
    return value if isinstance(value, int | float) and not isinstance(value, bool) else plain(as_text(value))

"""Part 1, the answer: the winner, how sure that is, what it cost, and what is typed next.

Not here: the numbers behind it (`worth`, `told`).
"""

import json
import math
import shlex
import statistics
from collections import defaultdict
from collections.abc import Sequence

from cifarray.fields import flatten
from cifarray.recipes import RECIPES, Recipe
from cifarray.report.budget import is_unlimited
from cifarray.report.comparison import RecipeResult, gap
from cifarray.report.leaderboard import describe_params, mean_and_deviation, short_count
from cifarray.report.page.parts import Part, hours, plural
from cifarray.report.page.told import Told
from cifarray.report.page.worth import interval, told_apart, winner
from cifarray.report.recipe_table import published_error
from cifarray.report.repeat import repeat
from cifarray.space.space import RECIPE
from cifarray.study.trial_record import DEFAULT_METRIC, Metric, Outcome, TrialRecord

NO_SHARE = "the number of images alone gives one to an accuracy and to nothing else"
NAMED = 8
"""Trials that are named where there are more of them."""


def answer(told: Told, price: float | None = None) -> Part:
    """price: of a worker-hour, in whatever money it is given in."""
    best = winner(told)
    facts = [] if best is None else _about(told, best)
    facts += [("test split", _openings(told)), ("trials", _outcomes(told)), ("cost", _cost(told, price))]
    return Part(_sentence(told, best), facts, [] if best is None else _commands(told, best))


def _sentence(told: Told, best: TrialRecord | None) -> str:
    state = told.state
    if best is None:
        if not state.trials:
            return "No trial has begun, so there is no answer yet."
        failed = sum(trial.outcome is not None for trial in state.trials.values())
        if failed == len(state.trials):
            return f"No trial finished an epoch: {plural(failed, 'trial')} ended before, and there is no answer."
        return "No trial has finished an epoch yet, so there is no answer."
    value = "was trained without held-out images, so nothing was measured of it"
    if best.value is not None:
        value = f"has the best {best.metric.label}, {best.metric.show(best.value)}"
    after = f"after epoch {best.epoch} of {best.config['epochs']}"
    if best.outcome is Outcome.COMPLETED:
        return f"Trial {best.number} {value} {after}: {describe_params(best)}."
    return (
        f"No trial has run to its end; trial {best.number} came furthest and {value} {after}: {describe_params(best)}."
    )


def _about(told: Told, best: TrialRecord) -> list[tuple[str, str]]:
    facts = []
    found = interval(told, best)
    if found is not None:
        low, high = best.metric.show(found.low), best.metric.show(found.high)
        facts.append(("interval", f"{low} to {high}: 95 %, from {found.images:,} validation images (Wilson)"))
    elif best.value is not None:
        why = "nobody knows how many images were held out" if best.metric.name == DEFAULT_METRIC.name else NO_SHARE
        facts.append(("interval", f"not known: {why}"))
    if best.value is not None:
        facts.append(("seeds", seeds(told, best)))
    facts.append(("not told from", _alike(told, best)))
    facts.append(("network", f"{short_count(best.num_params)} parameters, {short_count(best.macs)} MACs an image"))
    facts.append(("published", published(best)))
    return facts


def seeds(told: Told, best: TrialRecord) -> str:
    """How much the seed alone changes the winner's config, as far as the study has tried."""
    own = [trial.value for trial in of_one_config(told, best) if trial.value is not None]
    if len(own) < 2:
        return "one: how much another seed would change it, this study does not say"
    half = half_width(own)
    mean = f"{mean_and_deviation(own, best.metric)} over {len(own)} seeds (mean ± deviation)"
    points = f"{half:.4f}" if best.metric.lower_is_better else f"{100 * half:.2f} points"
    return f"{mean}; the mean is known to ± {points} (95 %, Student)"


def half_width(values: Sequence[float]) -> float:
    """Of Student's 95 % interval of a mean; two values or more."""
    from scipy import stats

    deviation = statistics.stdev(values) / math.sqrt(len(values))
    return float(stats.t.ppf(0.975, len(values) - 1)) * deviation


def of_one_config(told: Told, trial: TrialRecord) -> list[TrialRecord]:
    """The completed trials that differ from `trial` in their seed alone, with it."""
    return by_config(told).get(_but_seed(trial), [])


def by_config(told: Told) -> dict[tuple[tuple[str, str], ...], list[TrialRecord]]:
    """Completed trials that have a value, those of one config together."""
    groups: dict[tuple[tuple[str, str], ...], list[TrialRecord]] = defaultdict(list)
    for trial in told.state.trials.values():
        if trial.outcome is Outcome.COMPLETED and trial.value is not None:
            groups[_but_seed(trial)].append(trial)
    return groups


def _but_seed(trial: TrialRecord) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((path, repr(value)) for path, value in trial.params.items() if path != "seed"))


def _alike(told: Told, best: TrialRecord) -> str:
    found = told_apart(told, best)
    if found is None:
        return "not known: that takes an accuracy and the number of images it was measured on"
    alike, apart = found
    if not alike and not apart:
        return "there is no other completed trial"
    if not alike:
        return f"none: it is ahead of all other {plural(len(apart), 'completed trial')} by more than the images explain"
    names = ", ".join(str(trial.number) for trial in alike[:NAMED])
    more = f" and {len(alike) - NAMED} more" if len(alike) > NAMED else ""
    of = plural(len(alike) + len(apart), "other completed trial")
    return f"trial{'s' if len(alike) > 1 else ''} {names}{more}, of {of}: another set of images could turn the order"


def published(best: TrialRecord) -> str:
    """The published figure of the recipe whose network this is, and whether it says the same thing."""
    recipe = recipe_of(best)
    if recipe is None:
        return "no recipe has this network"
    if recipe.published.error is None:
        return f"the recipe {recipe.name} has no published figure"
    text = f"{published_error(recipe)} test error for {recipe.name} ({recipe.published.source})"
    test = (best.test or {}).get("test_accuracy")
    if test is None:
        return f"{text}; not comparable before jobs/final_test.py has opened the test split"
    apart = gap(recipe, RecipeResult(recipe.name, [best], {0: float(test)}, {}), Metric("test_accuracy"))
    ours = f"{100 * (1 - test):.2f} %"
    if apart == "–":
        return f"{text}; ours is {ours}, and data, split or training are others: not comparable"
    return f"{text}; ours is {ours}, {apart} points"


def recipe_of(trial: TrialRecord) -> Recipe | None:
    """By name where the study compares recipes, else the one with this network and the nearest training."""
    if trial.params.get(RECIPE) in RECIPES:
        return RECIPES[trial.params[RECIPE]]
    fields = flatten(trial.config)
    configs = {name: flatten(recipe().to_dict()) for name, recipe in RECIPES.items()}
    same = [name for name, config in configs.items() if _network(config) == _network(fields)]
    if not same:
        return None
    return RECIPES[min(same, key=lambda name: sum(fields.get(path) != value for path, value in configs[name].items()))]


def _network(fields: dict[str, object]) -> dict[str, object]:
    return {path: value for path, value in fields.items() if path.startswith("model.")}


def _openings(told: Told) -> str:
    if not told.openings:
        return "never opened for this study"
    tested = [trial for trial in told.state.trials.values() if trial.test_openings]
    results = [
        f"trial {trial.number} {100 * trial.test['test_accuracy']:.2f} % test accuracy"
        for trial in tested[:NAMED]
        if trial.test and "test_accuracy" in trial.test
    ]
    return "; ".join([f"opened {plural(told.openings, 'time')}", *results])


def _outcomes(told: Told) -> str:
    counts: dict[str, int] = {}
    for trial in told.state.trials.values():
        name = str(trial.outcome or "unfinished")
        counts[name] = counts.get(name, 0) + 1
    what = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in sorted(counts.items()))
    of = "" if is_unlimited(told.state) else f" of {told.state.budget:,}"
    return f"{len(told.state.trials):,}{of}" + (f": {what}" if what else "")


def _cost(told: Told, price: float | None) -> str:
    text = f"{hours(told.worker_hours)} worker-hours in trials"
    spent = told.groups_hours
    text += f", of {hours(spent)} in which workers were ready" if spent else ""
    if price is None:
        return f"{text}; money: give jobs/report.py a --price-per-hour of a worker"
    return f"{text}; {max(spent, told.worker_hours) * price:,.2f} at {price:g} a worker-hour"


def _commands(told: Told, best: TrialRecord) -> list[tuple[str, str]]:
    commands = []
    if best.checkpoint is not None:
        commands.append(("load it", f"network = cifarray.load({json.dumps(best.checkpoint[1])})"))
        if best.outcome is Outcome.COMPLETED:
            test = ["python", "jobs/final_test.py", f"{told.name}-{best.number}", "--storage", told.storage]
            commands.append(("test it", shlex.join(test)))
    try:
        command = repeat(best, f"{told.name}-{best.number}-again", told.started.workers)
    except ValueError:
        command = None
    if command is not None:
        commands.append(("repeat it", command))
    return commands

"""The table of a comparison: one row per recipe, mean and deviation over its seeds, the published figure beside it.

Not here: which trials there are (`cifarray.study.state`), a search's leaderboard (`leaderboard`), rows that are
compared pair by pair (`cifarray.ablation`).
"""

import statistics
from dataclasses import dataclass

from rich.table import Table

from cifarray.config import WHEN_SAVED, DataConfig, TrainConfig
from cifarray.fields import flatten
from cifarray.recipes import RECIPES, Recipe
from cifarray.report.leaderboard import mean_and_deviation, short_count
from cifarray.report.progress import clock
from cifarray.report.recipe_table import published_error
from cifarray.space.space import RECIPE
from cifarray.study.state import StudyState
from cifarray.study.trial_record import Metric, Outcome, TrialRecord

CIFAR_IMAGES = 50_000


@dataclass(frozen=True)
class RecipeResult:
    """One recipe: its completed trials, the value of each seed, and why others are missing."""

    name: str
    trials: list[TrialRecord]
    by_seed: dict[int, float]
    others: dict[str, int]
    """Outcomes of the trials that did not complete, counted."""

    @property
    def values(self) -> list[float]:
        return list(self.by_seed.values())

    @property
    def mean(self) -> float | None:
        return statistics.fmean(self.values) if self.values else None

    @property
    def images_per_second(self) -> float | None:
        """Training alone; the median of all epochs but each trial's first, in which kernels are chosen."""
        return self._median("images_per_second")

    @property
    def minutes_per_epoch(self) -> float | None:
        """Training and evaluation; the median as above."""
        seconds = self._median("epoch_seconds")
        return None if seconds is None else seconds / 60

    def _median(self, name: str) -> float | None:
        values = [epoch[name] for trial in self.trials for epoch in trial.epochs[1:] or trial.epochs if name in epoch]
        return statistics.median(values) if values else None

    @property
    def missing(self) -> str:
        """`1 diverged, 2 failed`."""
        return ", ".join(f"{count} {outcome}" for outcome, count in self.others.items())


def rows(state: StudyState, metric: Metric) -> list[RecipeResult]:
    """Best mean first; a recipe none of whose trials completed comes last."""
    results = rows_in_order(state, metric)
    return sorted(results, key=lambda row: -metric.score(row.mean) if row.mean is not None else float("inf"))


def rows_in_order(state: StudyState, metric: Metric) -> list[RecipeResult]:
    """As the study's space has the recipes.

    metric: of the last validation, or `test_…` of the final test.
    """
    results = []
    for name in state.space.recipes:
        trials = [trial for trial in state.trials.values() if trial.params.get(RECIPE) == name]
        done = [trial for trial in trials if trial.outcome is Outcome.COMPLETED]
        values = {trial.params["seed"]: value for trial in done if (value := _value(trial, metric)) is not None}
        others: dict[str, int] = {}
        for trial in trials:
            if trial.outcome is not Outcome.COMPLETED:
                key = str(trial.outcome or "unfinished")
                others[key] = others.get(key, 0) + 1
        results.append(RecipeResult(name, done, values, others))
    return results


def comparison(state: StudyState, metric: Metric) -> Table:
    """For the terminal. A gap to the published error only where data, split and training agree; no such columns where
    no row is a recipe's."""
    drawn = Table(box=None, padding=(0, 1), header_style="bold")
    headings = ["recipe", metric.label, "n", "params", "MACs", "images/s", "time"]
    # Trials of a search that are compared have none.
    published = any(name in RECIPES for name in state.space.recipes)
    for heading in [*headings, *(["published error", "gap"] if published else [])]:
        drawn.add_column(heading, justify="left" if heading == "recipe" else "right", no_wrap=True)
    for row in rows(state, metric):
        if not row.trials:
            drawn.add_row(row.name, row.missing or "not run", "0")
            continue
        first = row.trials[0]
        recipe = RECIPES.get(row.name)
        drawn.add_row(
            row.name,
            mean_and_deviation(row.values, metric) if row.values else "–",
            str(len(row.values)),
            short_count(first.num_params),
            short_count(first.macs),
            f"{row.images_per_second:,.0f}" if row.images_per_second is not None else "–",
            clock(statistics.fmean(trial.seconds for trial in row.trials)),
            *((published_error(recipe), gap(recipe, row, metric)) if recipe else ("–", "–") if published else ()),
        )
    return drawn


def gap(recipe: Recipe, row: RecipeResult, metric: Metric) -> str:
    """`+0.31`: our mean test error less the published one, in points; a dash where the two say different things."""
    published = recipe.published
    if published.error is None or published.train_images is None or row.mean is None or metric.name != "test_accuracy":
        return "–"
    config = TrainConfig.from_dict(row.trials[0].config)
    if config.data.source != published.dataset or _train_images(config.data) != published.train_images:
        return "–"
    # What changes the machine or the bookkeeping and not the training, and what was looked at above.
    machine = ("precision", "channels_last", "compile", "cuda_graph", "deterministic")
    free = ("seed", *machine, *WHEN_SAVED)
    ours, theirs = flatten(config.to_dict()), flatten(recipe().to_dict())
    differing = {path for path in ours.keys() | theirs.keys() if ours.get(path) != theirs.get(path)}
    if differing - {*free, "data.source", "data.validation"}:
        return "–"
    return f"{100 * (1 - row.mean) - published.error:+.2f}"


def _train_images(data: DataConfig) -> int | None:
    """How many of CIFAR's 50,000 are trained on; None where that is a subset."""
    if data.limit is not None:
        return None
    return CIFAR_IMAGES - round(data.validation * CIFAR_IMAGES if data.validation < 1 else data.validation)


def _value(trial: TrialRecord, metric: Metric) -> float | None:
    if metric.name.startswith("test_"):
        value = (trial.test or {}).get(metric.name)
        return None if value is None else float(value)
    return trial.epochs[-1].get(metric.name) if trial.epochs else None

"""What the trials of an ablation say: each row's paired difference to the row that it is compared with, and a verdict.

Not here: which rows there are (`rows`), the statistics (`cifarray.study.stats`), how it looks (`table`, `picture`).
"""

import itertools
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cifarray.ablation.rows import BASELINE, Row
from cifarray.report import comparison
from cifarray.study.state import StudyState
from cifarray.study.stats import Paired, holm, paired
from cifarray.study.trial_record import Metric

RISK = 0.05
"""Of finding anything where there is nothing, for the whole table."""
BETTER, WORSE, UNCLEAR, UNTESTED = "better", "worse", "not distinguishable", "not tested"
WIDEST = 4.0
"""An interval of more than so many times the usual length is cut, or the others could not be read."""


@dataclass(frozen=True)
class Result:
    """One row and what its trials say.

    step: the difference to the row that it is compared with; total: to the baseline. p: of `step`, Holm-corrected.
    """

    row: Row
    measured: comparison.RecipeResult | None = None
    step: Paired | None = None
    total: Paired | None = None
    p: float | None = None
    verdict: str = ""


def results(rows: Sequence[Row], state: StudyState, metric: Metric) -> list[Result]:
    """In the order of `rows`. Pairs are trials of one seed; a trial that did not complete leaves its pair out."""
    measured = {row.name: row for row in comparison.rows_in_order(state, metric)}

    def difference(name: str, against: str) -> Paired | None:
        return paired(measured[name].by_seed, measured[against].by_seed)

    steps = {row.name: difference(row.name, row.against) for row in rows if row.against}
    p_values = {name: step.p for name, step in steps.items() if step is not None and step.p is not None}
    adjusted = dict(zip(p_values, holm(list(p_values.values())), strict=True))
    return [
        Result(
            row,
            measured.get(row.name),
            steps.get(row.name),
            difference(row.name, BASELINE) if row.against else None,
            adjusted.get(row.name),
            _verdict(steps.get(row.name), adjusted.get(row.name), metric),
        )
        for row in rows
    ]


def _verdict(step: Paired | None, p: float | None, metric: Metric) -> str:
    if step is None:
        return ""
    if p is None:
        return UNTESTED
    if p >= RISK:
        return UNCLEAR
    return BETTER if metric.score(step.mean) > 0 else WORSE


def axis_limit(result_rows: Sequence[Result]) -> float:
    """The axis that all intervals share reaches from -limit to it; every mean is within."""
    steps = [result.step for result in result_rows if result.step is not None]
    reaches = [abs(step.mean) + (step.half_width or 0.0) for step in steps]
    if not any(reaches):
        return 0.01
    usual = WIDEST * statistics.median(reach for reach in reaches if reach)
    return max(min(max(reaches), usual), *(abs(step.mean) for step in steps))


def is_cumulative(result_rows: Sequence[Result]) -> bool:
    """Whether each row is compared with the one above it that could be had."""
    there = [result.row for result in result_rows if result.row.config is not None]
    return all(row.against == above.name for above, row in itertools.pairwise(there))


def metrics(result_rows: Sequence[Result]) -> Mapping[str, float]:
    """For MLflow: every difference, half its interval, its corrected p-value, and how many can be told from zero."""
    values_by_name: dict[str, float] = {}
    for result in result_rows:
        if result.step is not None:
            name = f"ablation_{result.row.name.replace(' ', '_').replace('-', '_')}"
            values = {"": result.step.mean, "_half_width": result.step.half_width, "_p_holm": result.p}
            values_by_name |= {f"{name}{suffix}": value for suffix, value in values.items() if value is not None}
    return values_by_name | {"ablation_findings": float(sum(r.verdict in (BETTER, WORSE) for r in result_rows))}

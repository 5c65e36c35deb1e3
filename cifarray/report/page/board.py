"""Part 2, the leaderboard: all trials, as `cifarray.report.leaderboard` has them, with the reason of each outcome.

Not here: what a trial's row is (`leaderboard`), sorting and paging, which the page does itself.
"""

from typing import Any

from cifarray.report.leaderboard import SIZES, columns_of, measured, rows, short_names
from cifarray.report.page.parts import Column, Part, Table, plural
from cifarray.report.page.told import Told
from cifarray.study.state import StudyState
from cifarray.study.trial_record import Metric, Outcome

DIGITS = 6
"""Of a number, as in leaderboard.csv."""
KINDS = {"num_params": "size", "macs": "size", "images_per_second": "count", "minutes": "minutes"}
HEADINGS = {"num_params": "params", "macs": "MACs", "images_per_second": "images/s", "minutes": "time"}
LONGEST = 200
"""Characters."""


def board(told: Told) -> Part:
    state = told.state
    table = table_of(state)
    shown = plural(len(state.trials), "trial")
    if not state.trials:
        return Part("No trial has begun, so there is nothing to rank.")
    early = sum(trial.outcome is not Outcome.COMPLETED for trial in state.trials.values())
    sentence = f"{shown}, best first by {state.metric.label} after the last epoch"
    sentence += f"; those that ran to their end come before the {early:,} that did not." if early else "."
    return Part(sentence, tables=[table], notes=["A click on a heading sorts by it, another one the other way round."])


def table_of(state: StudyState) -> Table:
    """A row a trial, best first."""
    names = measured(state)
    fields = short_names(state.space.domains)
    columns = [
        Column("#", "count"),
        Column("trial", "count"),
        Column("outcome"),
        Column("epochs", "count"),
        *(Column(name.replace("_", " "), "number" if Metric(name).lower_is_better else "percent") for name in names),
        *(Column(HEADINGS.get(name, name), KINDS[name]) for name in SIZES),
        *(Column(fields[path]) for path in state.space.domains),
        Column("reason", "long"),
    ]
    keys = [*columns_of(state), "reason"]
    cells = [[_rounded(row[key]) for key in keys] for row in rows(state)]
    numeric = {
        index
        for index in range(len(columns))
        if any(isinstance(row[index], int | float) for row in cells)
        and not any(isinstance(row[index], bool | str) for row in cells)
    }
    columns = [
        Column(column.heading, "number") if column.kind == "text" and index in numeric else column
        for index, column in enumerate(columns)
    ]
    return Table("All trials, best first", columns, cells)


def _rounded(value: Any) -> Any:
    """As JSON has it, short."""
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}")
    if isinstance(value, str) and len(value) > LONGEST:
        return f"{value[: LONGEST - 1]}…"
    if isinstance(value, list | tuple):
        return ", ".join(f"{part:g}" if isinstance(part, float) else str(part) for part in value)
    return value

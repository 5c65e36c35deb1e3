"""An ablation's table on the terminal, as CSV and as Markdown, and what may be concluded from it, in sentences.

Not here: the numbers (`results`), the picture (`picture`).
"""

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from cifarray.ablation.results import (
    BETTER,
    RISK,
    WORSE,
    Result,
    axis_limit,
    is_cumulative,
)
from cifarray.ablation.rows import BASELINE
from cifarray.report.leaderboard import as_csv, as_markdown, mean_and_deviation
from cifarray.study.stats import Paired, needed
from cifarray.study.trial_record import Metric

PLOT_WIDTH = 17
HEADINGS = ("row", "metric", "n", "difference", "to baseline", "images/s", "min/epoch", "verdict")


def table(result_rows: Sequence[Result], metric: Metric) -> Table:
    """For the terminal, at most 120 columns wide."""
    limit = axis_limit(result_rows)
    left, right = (_difference(sign * limit, metric, digits=1) for sign in (-1, 1))
    half = PLOT_WIDTH // 2
    drawn = Table(box=None, padding=(0, 1, 0, 0), header_style="bold")
    for heading in HEADINGS:
        if heading == "verdict":
            drawn.add_column(f"{left:<{half}}0{right:>{half}}", no_wrap=True)
        drawn.add_column(
            metric.label if heading == "metric" else heading,
            justify="left" if heading in ("row", "verdict") else "right",
            no_wrap=True,
        )
    colors = {BETTER: "green", WORSE: "red"}
    for result in result_rows:
        *cells, verdict = _cells(result, metric)
        style = colors.get(result.verdict, "dim" if result.row.config is None else "")
        drawn.add_row(*cells, interval_line(result.step, limit), verdict, style=style)
    return drawn


def _cells(result: Result, metric: Metric) -> list[str]:
    measured = result.measured
    if result.row.config is None or measured is None:
        return [result.row.name, "n/a", *[""] * (len(HEADINGS) - 2)]
    minutes, speed = measured.minutes_per_epoch, measured.images_per_second
    return [
        result.row.name,
        mean_and_deviation(measured.values, metric) if measured.values else (measured.missing or "not run"),
        str(len(measured.values)),
        _spread(result.step, metric),
        "" if result.total is None else _difference(result.total.mean, metric),
        "–" if speed is None else f"{speed:,.0f}",
        "–" if minutes is None else f"{minutes:#.3g}",
        result.verdict,
    ]


def interval_line(step: Paired | None, limit: float, width: int = PLOT_WIDTH) -> str:
    """`  ──●─┼──   ` from -limit to limit, zero in the middle; an arrow where the interval goes on."""
    middle = width // 2
    cells = [" "] * width
    if step is not None:

        def column(value: float) -> int:
            return middle + round(max(-1.0, min(1.0, value / limit)) * middle)

        low, high = (step.mean if end is None else end for end in (step.low, step.high))
        cells[column(low) : column(high) + 1] = "─" * (column(high) - column(low) + 1)
        if low < -limit:
            cells[0] = "◂"
        if high > limit:
            cells[-1] = "▸"
        cells[middle] = "┼" if cells[middle] == "─" else "│"
        cells[column(step.mean)] = "○" if step.half_width is None else "●"
    return "".join(cells)


def remarks(result_rows: Sequence[Result], metric: Metric) -> list[str]:
    """What the table does not say by itself: what was compared, how much may be concluded, what is missing and why."""
    lines = [_compared(result_rows)]
    tested = [result.step for result in result_rows if result.p is not None and result.step is not None]
    if tested:
        clear = sum(result.verdict in (BETTER, WORSE) for result in result_rows)
        widths = sorted(step.half_width for step in tested if step.half_width is not None)
        seeds = sorted({step.n for step in tested})
        lines.append(
            f"{clear} of {len(tested)} differences can be told from zero: paired t-tests over seeds at "
            f"{100 * RISK:g} %, Holm-corrected for all of them, so that an interval may miss zero and be no finding"
        )
        least = statistics.median(size for step in tested if (size := needed(step, len(tested), 1 - RISK)) is not None)
        few, many, must = (_difference(width, metric).lstrip("+") for width in (widths[0], widths[-1], least))
        unit = "" if metric.lower_is_better else " points"
        lines.append(
            f"with {' to '.join(map(str, dict.fromkeys((seeds[0], seeds[-1]))))} seeds the 95 % intervals reach "
            f"{few} to {many}{unit} to each side; to be found alone among {len(tested)}, a difference must exceed "
            f"{must}{unit} in the median row, so smaller ones are not shown to be nothing; all of it is over seeds on "
            "one validation split and says nothing of other images; differences to the baseline are not tested"
        )
        if len({trial.group for result in result_rows if result.measured for trial in result.measured.trials}) > 1:
            lines.append(
                "images/s and minutes per epoch (medians without each trial's first epoch) are of trials that ran side "
                "by side and shared the machine: --concurrent 1 measures them alone"
            )
    untested = [r.row.name for r in result_rows if r.step is not None and r.p is None]
    if untested:
        lines.append(
            f"no interval for {', '.join(untested)}: it takes two pairs of seeds or more, whose differences differ"
        )
    return lines + [f"{result.row.name}: {note}" for result in result_rows if (note := _note(result))]


def _note(result: Result) -> str:
    """Why a row has no trials, fewer, or no comparison."""
    if result.row.config is None:
        return f"n/a, {result.row.reason}"
    notes = []
    measured = result.measured
    if measured is not None and measured.missing:
        notes.append(f"{measured.missing}, left out with their pairs")
    if measured is not None and measured.values and result.row.against and result.step is None:
        notes.append(f"not compared, since {result.row.against} has no completed trial of the same seeds")
    return "; ".join(notes)


def _compared(result_rows: Sequence[Result]) -> str:
    if is_cumulative(result_rows):
        return "each row has all tricks above it and is compared with the nearest of them that could be had"
    on_others = [f"{r.row.name} with {r.row.against}" for r in result_rows if r.row.against not in ("", BASELINE)]
    text = "each row has its trick alone and is compared with the baseline"
    return f"{text}, but for those that bring another along: {', '.join(on_others)}" if on_others else text


def write_reports(result_rows: Sequence[Result], metric: Metric, folder: Path) -> list[str]:
    """ablation.csv and ablation.md in `folder`; returns their paths."""
    columns = list(_record(result_rows[0], metric))
    headings = [metric.label if heading == "metric" else heading for heading in HEADINGS]
    contents = {
        "ablation.csv": as_csv(columns, [list(_record(result, metric).values()) for result in result_rows]),
        "ablation.md": as_markdown(headings, [_cells(result, metric) for result in result_rows])
        + "\n"
        + "".join(f"- {line}\n" for line in remarks(result_rows, metric)),
    }
    for name, content in contents.items():
        (folder / name).write_text(content)
    return [str(folder / name) for name in contents]


def _record(result: Result, metric: Metric) -> dict[str, Any]:
    """Shares in 0..1, and so are their differences."""
    measured = result.measured
    values = measured.values if measured else []
    empty = Paired(0, 0.0)
    step, total = result.step or empty, result.total or empty
    return {
        "row": result.row.name,
        "compared_with": result.row.against,
        "n": len(values),
        metric.name: measured.mean if measured else None,
        "deviation": statistics.stdev(values) if len(values) > 1 else None,
        "pairs": step.n,
        "difference": step.mean if step.n else None,
        "low": step.low,
        "high": step.high,
        "p": step.p,
        "p_holm": result.p,
        "verdict": result.verdict,
        "to_baseline": total.mean if total.n else None,
        "to_baseline_low": total.low,
        "to_baseline_high": total.high,
        "images_per_second": measured.images_per_second if measured else None,
        "minutes_per_epoch": measured.minutes_per_epoch if measured else None,
        "source": result.row.source,
        "note": _note(result),
    }


def _difference(value: float, metric: Metric, digits: int = 2) -> str:
    """In points; a loss as it is."""
    return f"{value:+.{digits + 2}f}" if metric.lower_is_better else f"{100 * value:+.{digits}f}"


def _spread(step: Paired | None, metric: Metric) -> str:
    if step is None:
        return ""
    width = "" if step.half_width is None else f" ± {_difference(step.half_width, metric).lstrip('+')}"
    return _difference(step.mean, metric) + width

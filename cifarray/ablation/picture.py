"""The picture of an ablation: every difference with its interval, and beside it the mean of every row.

Not here: the numbers (`results`).
"""

import statistics
from collections.abc import Sequence
from pathlib import Path

from cifarray.ablation.results import BETTER, UNCLEAR, UNTESTED, WORSE, Result, axis_limit, is_cumulative
from cifarray.ablation.rows import BASELINE
from cifarray.study.trial_record import Metric

STYLES = {BETTER: ("tab:green", "^"), WORSE: ("tab:red", "v"), UNCLEAR: ("0.45", "o"), UNTESTED: ("0.45", "s")}
"""Colour and marker of each verdict."""


def draw(path: Path, title: str, results: Sequence[Result], metric: Metric) -> None:
    """PNG. Left: paired differences with their 95 % intervals. Right: mean and deviation of each row, top to bottom."""
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    scale, unit = (1, "") if metric.lower_is_better else (100, ", points")
    figure = Figure(figsize=(11, 1.8 + 0.36 * len(results)), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(3, 2))
    left.axvline(0, color="0.2", linewidth=1)
    limit = 1.08 * scale * axis_limit(results)
    left.set_xlim(-limit, limit)
    cumulative = is_cumulative(results)
    places, means = [], []
    for place, result in enumerate(results):
        if result.row.config is None:
            left.text(0, place, "n/a", color="0.55", ha="center", va="center", backgroundcolor="white", fontsize=9)
        if result.step is not None:
            (color, marker), step = STYLES[result.verdict], result.step
            for end, sign in ((step.low, -1), (step.high, 1)):
                if end is not None and sign * scale * end > limit:  # the interval goes on beyond the axis
                    left.plot(sign * limit * 0.985, place, "<" if sign < 0 else ">", color=color, markersize=5)
            left.errorbar(
                scale * step.mean,
                place,
                xerr=None if step.half_width is None else scale * step.half_width,
                fmt=marker,
                color=color,
                markersize=7,
                linewidth=2,
                capsize=3,
            )
        values = result.measured.values if result.measured else []
        if values:
            spread = scale * statistics.stdev(values) if len(values) > 1 else None
            places.append(place)
            means.append(scale * statistics.fmean(values))
            right.errorbar(means[-1], place, xerr=spread, fmt="o", color="tab:blue", markersize=6, capsize=3)
    if cumulative:
        right.plot(means, places, color="tab:blue", linewidth=1, alpha=0.5, zorder=0)
    elif places and places[0] == 0:
        right.axvline(means[0], color="tab:blue", linewidth=1, linestyle="--", alpha=0.6, zorder=0)
    left.set_yticks(range(len(results)), [_label(result, cumulative) for result in results])
    left.set_ylim(len(results) - 0.5, -0.5)
    for axes in (left, right):
        axes.grid(axis="y", color="0.92")
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    better = "left" if metric.lower_is_better else "right"
    left.set_xlabel(f"paired difference of {metric.label}{unit} (95 % intervals; {better} is better)")
    right.set_xlabel(f"{metric.label}{'' if metric.lower_is_better else ' (%)'}, mean ± deviation over seeds")
    shown = {result.verdict for result in results}
    handles = [
        Line2D([], [], marker=marker, color=color, linestyle="", label=verdict)
        for verdict, (color, marker) in STYLES.items()
        if verdict in shown
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(STYLES), frameon=False)
    figure.suptitle(title)
    figure.savefig(path, dpi=130)


def _label(result: Result, cumulative: bool) -> str:
    """A trick on top of others begins with +; one that is not compared with the baseline says with what."""
    name, against = result.row.name, result.row.against
    if not against:
        return name if result.row.config is not None else f"({name})"
    return f"+ {name}" if cumulative or against == BASELINE else f"{against} + {name}"

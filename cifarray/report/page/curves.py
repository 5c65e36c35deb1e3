"""Part 3, learning curves: the study's metric after every epoch, with marks where something befell a trial.

Many curves are thinned: the best are drawn, and others spread evenly over the ranks, while the band is of all. Not
here: what followed from them (`trust`).
"""

import statistics
from collections.abc import Sequence
from typing import Any

from cifarray.report.page.parts import BLUE, GREY, ORANGE, PURPLE, RED, Figure, Part, plain, plural
from cifarray.report.page.told import Told
from cifarray.report.page.worth import winner
from cifarray.study.trial_record import Outcome, TrialRecord

MOST_CURVES, BEST_CURVES, MOST_POINTS = 200, 40, 100
"""Curves in all, of them the best ones, and epochs of a curve."""
NAMES = {"winner": "best", "completed": "completed", "stopped": "stopped", "other": "ended otherwise, or unfinished"}
LINES = {
    "winner": (ORANGE, 3, 1.0),
    "completed": (BLUE, 1.4, 0.7),
    "stopped": (GREY, 1.1, 0.5),
    "other": (RED, 1.1, 0.6),
}
"""Colour, width and opacity."""


def curves(told: Told) -> Part:
    state = told.state
    ranked = [trial for trial in state.ranking() if trial.value is not None]
    if not ranked:
        return Part("No trial has measured an epoch, so there are no curves.")
    best = winner(told)
    shown = chosen(ranked)
    epochs = max(trial.epoch for trial in ranked)
    step = -(-epochs // MOST_POINTS)
    traces = [_band(ranked, step)] if len(ranked) >= MOST_CURVES // 10 else []
    kinds = {trial.number: _kind(trial, best) for trial in shown}
    for kind in ("other", "stopped", "completed", "winner"):
        of_kind = [trial for trial in reversed(shown) if kinds[trial.number] == kind]
        if of_kind:
            traces.append(_lines(of_kind, kind, step))
    traces += _marks(told, {trial.number for trial in shown})
    metric = state.metric
    layout = {
        "xaxis": {"title": {"text": "epoch"}, "rangemode": "tozero"},
        "yaxis": {"title": {"text": metric.label}, **({} if metric.lower_is_better else {"tickformat": ".1%"})},
    }
    stopped = sum(trial.outcome is Outcome.STOPPED for trial in ranked)
    sentence = f"{plural(len(ranked), 'trial')} measured {sum(trial.epoch for trial in ranked):,} epochs"
    sentence += (
        f"; {stopped:,} were stopped by the scheduler, at the crosses." if stopped else "; none was stopped early."
    )
    figure = Figure(f"{metric.label} of each trial against its epochs", {"data": traces, "layout": layout}, 480)
    return Part(sentence, figures=[figure], notes=_notes(ranked, shown, step))


def chosen(ranked: Sequence[TrialRecord], most: int = MOST_CURVES) -> list[TrialRecord]:
    """Of a ranking, the trials that are drawn, in its order: the best, and others spread evenly over the ranks."""
    if len(ranked) <= most:
        return list(ranked)
    rest, count = ranked[BEST_CURVES:], most - BEST_CURVES
    spread = [rest[round(place * (len(rest) - 1) / (count - 1))] for place in range(count)]
    return [*ranked[:BEST_CURVES], *spread]


def thinned(values: Sequence[Any], step: int) -> list[int]:
    """Places of every `step`-th value, with the first and the last."""
    places = list(range(0, len(values), step))
    return places if not values or places[-1] == len(values) - 1 else [*places, len(values) - 1]


def _notes(ranked: Sequence[TrialRecord], shown: Sequence[TrialRecord], step: int) -> list[str]:
    notes = []
    if len(shown) < len(ranked):
        notes.append(
            f"Drawn are {len(shown)} of {len(ranked):,} curves: the best {BEST_CURVES}, and "
            f"{len(shown) - BEST_CURVES} spread evenly over the ranks of the others."
        )
    if step > 1:
        notes.append(f"Of each curve every {step} epochs are drawn, and the first and the last.")
    if len(ranked) >= MOST_CURVES // 10:
        notes.append("The band holds the middle 80 % of all trials that did an epoch, drawn or not.")
    return notes


def _kind(trial: TrialRecord, best: TrialRecord | None) -> str:
    if best is not None and trial.number == best.number:
        return "winner"
    return str(trial.outcome) if trial.outcome in (Outcome.COMPLETED, Outcome.STOPPED) else "other"


def _values(trial: TrialRecord) -> list[float | None]:
    return [metrics.get(trial.metric.name) for metrics in trial.epochs]


def _lines(trials: Sequence[TrialRecord], kind: str, step: int) -> dict[str, Any]:
    """All curves of a kind as one trace, with gaps between them: a trace each would make the page slow."""
    xs: list[int | None] = []
    ys: list[float | None] = []
    numbers: list[int | None] = []
    for trial in trials:
        values = _values(trial)
        for place in thinned(values, step):
            value = values[place]
            xs.append(place + 1)
            ys.append(None if value is None else round(value, 5))
            numbers.append(trial.number)
        xs.append(None)
        ys.append(None)
        numbers.append(None)
    color, width, opacity = LINES[kind]
    return {
        "type": "scatter",
        "mode": "lines" if kind != "winner" and any(trial.epoch > 1 for trial in trials) else "lines+markers",
        "name": f"{NAMES[kind]} ({len(trials)})" if kind != "winner" else f"best: trial {trials[0].number}",
        "x": xs,
        "y": ys,
        "customdata": numbers,
        "opacity": opacity,
        "line": {"color": color, "width": width},
        "marker": {"size": 5},
        "hovertemplate": "trial %{customdata}, epoch %{x}: %{y}<extra></extra>",
    }


def _band(trials: Sequence[TrialRecord], step: int) -> dict[str, Any]:
    """From the 10th to the 90th percentile of each epoch, once round; of epochs that ten trials or more did."""
    places, lows, highs = [], [], []
    columns: dict[int, list[float]] = {}
    for trial in trials:
        values = _values(trial)
        for place in range(0, len(values), step):
            value = values[place]
            if value is not None:
                columns.setdefault(place, []).append(value)
    for place, column in sorted(columns.items()):
        if len(column) >= 10:
            tenths = statistics.quantiles(column, n=10, method="inclusive")
            places.append(place + 1)
            lows.append(round(tenths[0], 5))
            highs.append(round(tenths[-1], 5))
    return {
        "type": "scatter",
        "mode": "lines",
        "name": "middle 80 %",
        "x": [*places, *reversed(places)],
        "y": [*highs, *reversed(lows)],
        "fill": "toself",
        "fillcolor": "rgba(31,119,180,0.12)",
        "line": {"width": 0},
        "hoverinfo": "skip",
    }


def _marks(told: Told, numbers: set[int]) -> list[dict[str, Any]]:
    """Where drawn trials were stopped, and where something befell them."""
    found: dict[str, list[tuple[int, float, str]]] = {}
    for number in sorted(numbers):
        trial = told.state.trials[number]
        if trial.outcome is Outcome.STOPPED and trial.value is not None:
            found.setdefault("where stopped", []).append((trial.epoch, trial.value, f"trial {number}: {trial.message}"))
    for mark in told.marks:
        if mark.trial in numbers:
            values = _values(told.state.trials[mark.trial])
            value = values[max(0, min(mark.epoch, len(values)) - 1)]
            if value is not None:
                text = f"trial {mark.trial} {mark.kind} after epoch {mark.epoch}"
                found.setdefault(mark.kind, []).append((max(1, mark.epoch), value, text))
    symbols = {"where stopped": ("x-thin-open", GREY)}
    return [
        {
            "type": "scatter",
            "mode": "markers",
            "name": f"{kind} ({len(points)})",
            "x": [epoch for epoch, _, _ in points],
            "y": [round(value, 5) for _, value, _ in points],
            "text": [plain(text) for _, _, text in points],
            "hovertemplate": "%{text}<extra></extra>",
            "marker": {
                "symbol": symbols.get(kind, ("triangle-up", PURPLE))[0],
                "color": symbols.get(kind, ("triangle-up", PURPLE))[1],
                "size": 7 if kind == "where stopped" else 9,
                "line": {"width": 1.2, "color": symbols.get(kind, ("", PURPLE))[1]},
            },
        }
        for kind, points in found.items()
    ]

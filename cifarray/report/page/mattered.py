"""Part 5, what mattered: importances, slices, contour and parallel coordinates, drawn by Optuna.

Where a scheduler stops trials early, those that ran to their end are few and were chosen for being good. Trials are
compared after the last epoch that nearly all of them have done, where that gives more to compare. Not here: Optuna's
study (`rebuilt`).
"""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from cifarray.report.page.curves import chosen
from cifarray.report.page.parts import BLUE, ORANGE, Figure, Part, plain, plural
from cifarray.report.page.rebuilt import rebuilt
from cifarray.report.page.told import Told
from cifarray.study.trial_record import Metric, Outcome, TrialRecord

FEWEST = 4
"""Trials from which anything is said of what mattered."""
MOST_SLICES = 6
"""Fields, the most important first."""
NEARLY_ALL = 0.8
SLICE = {"color": BLUE, "size": 6, "opacity": 0.8}
FAINT = "#8ea6bf"
WIDTH_OF_AXIS = 130
"""Pixels, of a parallel coordinate: its words are whole."""


def mattered(told: Told) -> Part:
    if not told.state.space.domains:
        return Part("Nothing was varied in this study, so nothing can have mattered.")
    trials, epoch = compared(told)
    if len(trials) < FEWEST:
        return Part(
            f"{plural(len(trials), 'trial')} can be compared, and what mattered is told from {FEWEST} on.",
        )
    metric = told.state.metric
    values = {trial.number: _value(trial, epoch) for trial in trials}
    direction = "minimize" if metric.lower_is_better else "maximize"
    study = rebuilt(told.state.space, trials, lambda trial: [values[trial.number]], [direction])
    after = "after the last epoch" if epoch is None else f"after epoch {epoch}"
    where = f"{plural(len(trials), 'trial')} are compared by their {metric.label} {after}"
    importances = _importances(study)
    if not importances:
        return Part(f"{where}, and they are all alike: nothing can be said of what mattered.")
    first, share = next(iter(importances.items()))
    sentence = f"{where}; {first} mattered most, for {share:.0%} of what the varied fields explain (PED-ANOVA)."
    notes = [
        f"Watanabe et al. 2023, PED-ANOVA (arXiv:2304.10255): what sets the better trials apart, of {len(trials)}."
    ]
    if epoch is not None:
        notes.append(
            f"After epoch {epoch}, since the scheduler stopped most trials before their end, and those that it left "
            "are no fair sample."
        )
    sample = chosen(trials)
    if len(sample) < len(trials):
        # Slices and lines of thousands are slow to draw and no easier to read.
        notes.append(
            f"Slices, contour and parallel coordinates show {len(sample)} of {len(trials):,} trials: the best, and "
            "others spread evenly over the ranks. The importances are of all."
        )
        study = rebuilt(told.state.space, sample, lambda trial: [values[trial.number]], [direction])
    return Part(sentence, figures=list(_figures(study, importances, metric, len(trials))), notes=notes)


def compared(told: Told) -> tuple[list[TrialRecord], int | None]:
    """The trials that are compared, best first, and after which epoch; None: each after its last.

    Diverged and failed trials have no value. The completed ones, if they are most of those that have one; else all that
    have done the epoch which at least 80 % of them have done.
    """
    measured = [
        trial
        for trial in told.state.ranking()
        if trial.value is not None and trial.outcome not in (Outcome.DIVERGED, Outcome.FAILED, Outcome.OUT_OF_MEMORY)
    ]
    completed = [trial for trial in measured if trial.outcome is Outcome.COMPLETED]
    if len(completed) >= NEARLY_ALL * len(measured):
        return completed, None
    epochs = sorted((trial.epoch for trial in measured), reverse=True)
    epoch = epochs[max(0, min(len(epochs), round(NEARLY_ALL * len(epochs))) - 1)]
    there = [(_value(trial, epoch), trial) for trial in measured if trial.epoch >= epoch]
    score = told.state.metric.score
    return [trial for value, trial in sorted(there, key=lambda each: (-score(each[0]), each[1].number))], epoch


def _value(trial: TrialRecord, epoch: int | None) -> float:
    return float(trial.epochs[-1 if epoch is None else epoch - 1][trial.metric.name])


def _importances(study: Any) -> dict[str, float]:
    """By name, the largest first; empty where no field explains anything."""
    from optuna.exceptions import ExperimentalWarning
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

    with warnings.catch_warnings(record=True) as doubts:
        warnings.simplefilter("always")
        try:
            found = get_param_importances(study, evaluator=PedAnovaImportanceEvaluator())
        except (RuntimeError, ValueError):
            # No field is in all trials.
            return {}
    # It warns where the better trials are no others than all, and then calls all fields equal.
    told_apart = all(issubclass(doubt.category, ExperimentalWarning) for doubt in doubts)
    return {name: float(share) for name, share in found.items()} if told_apart and any(found.values()) else {}


def _figures(study: Any, importances: Mapping[str, float], metric: Metric, count: int) -> Any:
    from optuna import visualization
    from optuna.importance import PedAnovaImportanceEvaluator

    names = list(importances)
    axis = {} if metric.lower_is_better else {"tickformat": ".1%"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        bars = visualization.plot_param_importances(study, evaluator=PedAnovaImportanceEvaluator())
    yield _figure(f"Importance of each field, {count} trials", bars, 120 + 34 * len(names), data=_bars(importances))
    for name in names[:MOST_SLICES]:
        drawn = visualization.plot_slice(study, params=[name], target_name=metric.label)
        # Its scale says which number a trial has, five times beside one another.
        yield _figure(f"{metric.label} against {name}", drawn, 300, yaxis=axis, data=[{"marker": SLICE}])
    varied = [name for name in names if len({trial.params.get(name) for trial in study.trials}) > 1]
    if len(varied) > 1:
        drawn = visualization.plot_contour(study, params=varied[:2], target_name=metric.label)
        yield _figure(f"{metric.label} over {varied[0]} and {varied[1]}", drawn, 380, wide=True)
    drawn = visualization.plot_parallel_coordinate(study, target_name=metric.label)
    drawn.for_each_trace(lambda trace: _recolour(trace, metric))
    yield _figure(
        "Parallel coordinates of all varied fields", drawn, 440, width=WIDTH_OF_AXIS * (len(names) + 1), wide=True
    )


def _recolour(trace: Any, metric: Metric) -> None:
    """From grey to orange, which both can be seen on white and on black. A line's first axis is the metric, 0..1."""
    scale = [[0.0, FAINT], [1.0, ORANGE]] if not metric.lower_is_better else [[0.0, ORANGE], [1.0, FAINT]]
    if trace.type == "parcoords":
        # Optuna before 5.
        trace.line.colorscale, trace.line.reversescale = scale, False
    elif trace.marker.showscale:
        trace.marker.colorscale, trace.marker.reversescale = scale, False
    elif trace.mode == "lines":
        share = 1 - trace.y[0] if metric.lower_is_better else trace.y[0]
        mixed = (round(low + share * (high - low)) for low, high in zip(_rgb(FAINT), _rgb(ORANGE), strict=True))
        trace.line.color, trace.opacity = f"rgb({','.join(map(str, mixed))})", 0.25 + 0.65 * share


def _rgb(color: str) -> tuple[int, ...]:
    return tuple(bytes.fromhex(color.removeprefix("#")))


def _bars(importances: Mapping[str, float]) -> list[dict[str, Any]]:
    rows = list(reversed(list(importances.items())))
    return [
        {
            "y": [name for name, _ in rows],
            "x": [share for _, share in rows],
            "text": [f"{share:.0%}" for _, share in rows],
        }
    ]


def _figure(
    says: str,
    drawn: Any,
    height: int,
    yaxis: Mapping[str, Any] | None = None,
    data: Sequence[Mapping[str, Any]] = (),
    width: int = 0,
    wide: bool = False,
) -> Figure:
    """Optuna's figure without its colours of paper and words, which are the page's; `data` is put into its traces."""
    content = drawn.to_plotly_json()
    layout = dict(content["layout"])
    for name in ("template", "plot_bgcolor", "title"):
        layout.pop(name, None)
    layout["annotations"] = [
        {**each, "font": {name: value for name, value in each.get("font", {}).items() if name != "color"}}
        for each in layout.get("annotations", ())
    ]
    layout["yaxis"] = {**layout.get("yaxis", {}), **(yaxis or {})}
    traces = [dict(trace) for trace in content["data"]]
    for trace, more in zip(traces, data, strict=False):
        trace.update(more)
    for trace in traces:
        if "x" in trace:
            trace["x"] = [_unquoted(value) for value in trace["x"]]
    for name in [name for name in layout if name.startswith("xaxis")]:
        if "categoryarray" in layout[name]:
            layout[name] = {**layout[name], "categoryarray": [_unquoted(v) for v in layout[name]["categoryarray"]]}
    return Figure(plain(says), {"data": traces, "layout": layout}, height, width, wide)


def _unquoted(value: Any) -> Any:
    """Optuna writes the words of a choice as Python does."""
    quoted = isinstance(value, str) and len(value) > 1 and value[0] == value[-1] == "'"
    return value[1:-1] if quoted else value

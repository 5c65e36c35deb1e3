"""Part 4, what accuracy costs: the metric against parameters, MACs and worker-seconds, with the Pareto front.

The figures are Optuna's, on the study rebuilt with two objectives. Not here: what a trial is (`told`).
"""

from collections.abc import Callable, Sequence
from typing import Any

from cifarray.report.leaderboard import describe_params
from cifarray.report.page.curves import chosen
from cifarray.report.page.parts import BLUE, ORANGE, Figure, Part, plain, plural
from cifarray.report.page.rebuilt import rebuilt
from cifarray.report.page.told import Told
from cifarray.study.trial_record import Outcome, TrialRecord

MOST_POINTS = 800
"""Of a figure."""
Measure = Callable[[TrialRecord], float]


def price(told: Told) -> Part:
    done = [trial for trial in told.state.ranking() if trial.outcome is Outcome.COMPLETED and trial.value is not None]
    if not done:
        return Part("No trial has run to its end, so there is no accuracy to hold against its cost.")
    workers = told.started.workers
    measures: list[tuple[str, Measure]] = [
        ("parameters", lambda trial: trial.num_params),
        ("MACs of an image", lambda trial: trial.macs),
        ("worker-seconds", lambda trial: trial.seconds * workers),
    ]
    # A measure that is the same for all trials (a search of rates has one network) has no front.
    telling = [(name, of) for name, of in measures if len({of(trial) for trial in done}) > 1]
    if not telling:
        return Part("All completed trials cost the same, so there is nothing to weigh.")
    figures, fronts = [], []
    for name, of in telling:
        on_front = front(done, of)
        fronts.append(f"{len(on_front)} by {name}")
        drawn = list({trial.number: trial for trial in (*chosen(done, MOST_POINTS), *on_front)}.values())
        figures.append(_figure(told, drawn, name, of))
    sentence = (
        f"Of {plural(len(done), 'completed trial')}, so many are on the front, which no other trial beats in both: "
        f"{', '.join(fronts)}."
    )
    notes = []
    if len(done) > MOST_POINTS:
        notes.append(f"Drawn are {MOST_POINTS} of them, spread evenly over the ranks, and all that are on a front.")
    return Part(sentence, figures=figures, notes=notes)


def front(trials: Sequence[TrialRecord], cost: Measure) -> list[TrialRecord]:
    """The trials that no other one equals or beats in cost and score both, and beats in one; cheapest first."""
    chosen: list[TrialRecord] = []
    for trial in sorted(trials, key=lambda each: (cost(each), -(each.score or 0.0))):
        if not chosen or (trial.score or 0.0) > (chosen[-1].score or 0.0):
            chosen.append(trial)
    return chosen


def _figure(told: Told, trials: Sequence[TrialRecord], name: str, cost: Measure) -> Figure:
    from optuna.visualization import plot_pareto_front

    metric = told.state.metric
    directions = ["minimize", "minimize" if metric.lower_is_better else "maximize"]
    study = rebuilt(None, trials, lambda trial: (cost(trial), trial.value or 0.0), directions)
    drawn = plot_pareto_front(study, target_names=[name, metric.label]).to_plotly_json()
    line = front(trials, cost)
    data = [
        {
            "type": "scatter",
            "mode": "lines",
            "showlegend": False,
            "hoverinfo": "skip",
            "x": [cost(trial) for trial in line],
            "y": [trial.value for trial in line],
            "line": {"shape": "hv", "color": ORANGE, "width": 1.5},
        },
        *(_restyled(trace, trials) for trace in drawn["data"]),
    ]
    layout: dict[str, Any] = {
        "xaxis": {"title": {"text": name}, "type": "log", "exponentformat": "SI"},
        "yaxis": {"title": {"text": metric.label}, **({} if metric.lower_is_better else {"tickformat": ".1%"})},
    }
    return Figure(f"{metric.label} against {name}, with the Pareto front", {"data": data, "layout": layout}, 380)


def _restyled(trace: dict[str, Any], trials: Sequence[TrialRecord]) -> dict[str, Any]:
    """Optuna writes all that it knows of every trial into its text, which of thousands is most of the page, and
    colours points by their trial's number, which says nothing here and is how they are told."""
    is_front = "Best" in trace.get("hovertemplate", "")
    told = [trials[int(place)] for place in trace["marker"]["color"]]
    return {
        "type": "scatter",
        "mode": "markers",
        "name": "on the front" if is_front else "others",
        "x": list(trace["x"]),
        "y": list(trace["y"]),
        "text": [f"trial {trial.number}: {plain(describe_params(trial))}" for trial in told],
        "hovertemplate": "%{text}<br>%{x}: %{y}<extra></extra>",
        "marker": {"color": ORANGE if is_front else BLUE, "size": 9 if is_front else 6},
    }

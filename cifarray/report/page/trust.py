"""Part 7, trust: what early stopping may have missed, and how much seeds alone change.

An audit of what the journal has: how far the order at a rung was the order at the end, among the trials that ran to
their end, and what an audit of early stopping found. What the other stopped ones would have become nobody knows. Not
here: the winner's interval (`worth`).
"""

import statistics
from collections.abc import Sequence
from typing import Any

from cifarray.report.audit import about_the_audit
from cifarray.report.leaderboard import describe_params, mean_and_deviation
from cifarray.report.page.answer import by_config
from cifarray.report.page.curves import chosen
from cifarray.report.page.parts import BLUE, ORANGE, Column, Figure, Part, Table, plain, plural
from cifarray.report.page.told import Told
from cifarray.report.page.worth import winner
from cifarray.study.trial_record import Metric, Outcome, TrialRecord

MOST_RUNGS, MOST_SEEDED = 12, 30


def trust(told: Told) -> Part:
    metric = told.state.metric
    done = [t for t in told.state.ranking() if t.outcome is Outcome.COMPLETED and t.value is not None]
    rungs = stopping_epochs(told)
    figures, tables, facts = [], [], []
    if rungs and done:
        tables.append(_audit(told, rungs, done))
        if len(done) > 1:
            figures.append(_early_against_late(rungs[0], done, metric))
    facts.append(("early stopping", _of_stopping(told, rungs, done)))
    facts.append(("audit", _of_the_audit(told, rungs)))
    facts.append(("curves", "the journal keeps no forecasts of curves, so none can be held against what came"))
    seeded = [trials for trials in by_config(told).values() if len(trials) > 1]
    facts.append(("seeds", _of_seeds(seeded, metric)))
    if seeded:
        figures.append(_strip(seeded, metric))
    return Part(_sentence(told, rungs, done), facts, figures=figures, tables=tables)


def stopping_epochs(told: Told) -> list[int]:
    """After which epochs the scheduler stopped trials, rising."""
    stopped = {trial.epoch for trial in told.state.ended if trial.outcome is Outcome.STOPPED}
    audited = {trial.given_up_after for trial in told.state.audited.values() if trial.given_up_after is not None}
    return sorted(stopped | audited)


def same_order(trials: Sequence[TrialRecord], epoch: int) -> tuple[int, int]:
    """Of the pairs of completed trials that differ both after `epoch` and at the end: how many are in the same order,
    and how many pairs there are."""
    alike = pairs = 0
    points = [(trial.scores[epoch - 1], trial.scores[-1]) for trial in trials if len(trial.scores) >= epoch]
    for place, (early, late) in enumerate(points):
        for other_early, other_late in points[:place]:
            if early != other_early and late != other_late:
                pairs += 1
                alike += (early > other_early) == (late > other_late)
    return alike, pairs


def place_after(told: Told, trial: TrialRecord, epoch: int) -> tuple[int, int]:
    """The place (from 1) of a trial among all that have done `epoch`, and how many have."""
    scores = told.state.scores_after(epoch)
    return 1 + sum(score > trial.scores[epoch - 1] for score in scores), len(scores)


def _sentence(told: Told, rungs: Sequence[int], done: Sequence[TrialRecord]) -> str:
    if not told.state.trials:
        return "No trial has begun, so there is nothing to doubt yet."
    if not rungs:
        return "No trial was stopped early, so the order of the leaderboard is that of trained networks."
    best = winner(told)
    if not done or best is None:
        return f"Trials were stopped after {plural(len(rungs), 'epoch')} and none has run to its end."
    place, of = place_after(told, best, rungs[0])
    alike, pairs = same_order(chosen(done), rungs[0])
    sentence = (
        f"The winner was number {place:,} of {of:,} after epoch {rungs[0]}, where the scheduler first stopped trials"
    )
    if pairs:
        sentence += f"; there {alike / pairs:.0%} of the pairs of completed trials had the order that they ended in"
    return f"{sentence}."


def _of_stopping(told: Told, rungs: Sequence[int], done: Sequence[TrialRecord]) -> str:
    if not rungs:
        return "none took place"
    stopped = [trial for trial in told.state.ended if trial.outcome is Outcome.STOPPED]
    audited = f", and {len(told.state.audited)} more that went on in an audit" if told.state.audited else ""
    text = f"{plural(len(stopped), 'trial')} stopped{audited}; what they would have become is not known"
    late = [trial for trial in done if _would_be_stopped(told, trial, rungs[0])]
    if done and late:
        text += (
            f". Of {plural(len(done), 'completed trial')}, {len(late)} were in the lower half after epoch {rungs[0]}: "
            "they came early, when few had been there, and late bloomers may be among the stopped"
        )
    return text


def _of_the_audit(told: Told, rungs: Sequence[int]) -> str:
    found = about_the_audit(told.state)
    if found is not None:
        return found
    if told.state.audited:
        return f"{plural(len(told.state.audited), 'trial')} that were given up run to their end, and none has ended yet"
    return "none; --audit 5 runs 5 % of what a search gives up to its end" if rungs else "nothing was given up"


def _would_be_stopped(told: Told, trial: TrialRecord, epoch: int) -> bool:
    if len(trial.scores) < epoch:
        return False
    place, of = place_after(told, trial, epoch)
    return place > of / 2


def _audit(told: Told, rungs: Sequence[int], done: Sequence[TrialRecord]) -> Table:
    best = winner(told)
    cells: list[list[Any]] = []
    sample = chosen(done)
    for epoch in rungs[:MOST_RUNGS]:
        reached = len(told.state.scores_after(epoch))
        stopped = sum(t.outcome is Outcome.STOPPED and t.epoch == epoch for t in told.state.ended)
        stopped += sum(t.given_up_after == epoch for t in told.state.audited.values())
        place = place_after(told, best, epoch)[0] if best is not None and len(best.scores) >= epoch else None
        alike, pairs = same_order(sample, epoch)
        cells.append([epoch, reached, stopped, place, alike / pairs if pairs else None, pairs])
    columns = ("after epoch", "trials there", "stopped there", "the winner's place")
    headings = [Column(name, "count") for name in columns]
    headings += [Column("pairs in the final order", "percent"), Column("pairs", "count")]
    return Table("Audit of early stopping", headings, cells)


def _early_against_late(epoch: int, done: Sequence[TrialRecord], metric: Metric) -> Figure:
    sample = [trial for trial in chosen(done) if len(trial.scores) >= epoch]
    axis: dict[str, Any] = {} if metric.lower_is_better else {"tickformat": ".1%"}
    data = [
        {
            "type": "scatter",
            "mode": "markers",
            "x": [metric.score(trial.scores[epoch - 1]) for trial in sample],
            "y": [metric.score(trial.scores[-1]) for trial in sample],
            "text": [f"trial {trial.number}: {plain(describe_params(trial))}" for trial in sample],
            "hovertemplate": "%{text}<br>%{x} → %{y}<extra></extra>",
            "marker": {"color": [ORANGE if trial is done[0] else BLUE for trial in sample], "size": 8},
        }
    ]
    layout = {
        "xaxis": {"title": {"text": f"{metric.label} after epoch {epoch}"}, **axis},
        "yaxis": {"title": {"text": "at the end"}, **axis},
    }
    says = f"Completed trials: {metric.label} after epoch {epoch} against the end"
    return Figure(says, {"data": data, "layout": layout}, 360)


def _of_seeds(seeded: Sequence[Sequence[TrialRecord]], metric: Metric) -> str:
    if not seeded:
        return "no config was trained with more than one seed, so their spread is not known: jobs/train.py --seeds"
    squares = sum(statistics.variance(_values(trials)) * (len(trials) - 1) for trials in seeded)
    deviation = (squares / sum(len(trials) - 1 for trials in seeded)) ** 0.5
    spread = f"{deviation:.4f}" if metric.lower_is_better else f"{100 * deviation:.2f} points"
    return f"{plural(len(seeded), 'config')} with several seeds, whose standard deviation is {spread} (pooled)"


def _values(trials: Sequence[TrialRecord]) -> list[float]:
    return [trial.value for trial in trials if trial.value is not None]


def _strip(seeded: Sequence[Sequence[TrialRecord]], metric: Metric) -> Figure:
    best_first = sorted(seeded, key=lambda trials: -metric.score(statistics.fmean(_values(trials))))[:MOST_SEEDED]
    names = [_without_seed(trials[0]) for trials in best_first]
    # Two configs that are written alike (their fields differ in the fourth digit) keep rows of their own.
    names = [name if names.count(name) == 1 else f"{name} ({place})" for place, name in enumerate(names, start=1)]
    data = []
    for name, trials in zip(names, best_first, strict=True):
        values = _values(trials)
        data.append(
            {
                "type": "scatter",
                "mode": "markers",
                "showlegend": False,
                "x": values,
                "y": [name] * len(values),
                "text": [f"trial {t.number}, seed {t.config.get('seed')}" for t in trials],
                "hovertemplate": f"%{{text}}: %{{x}}<br>{mean_and_deviation(values, metric)}<extra></extra>",
                "marker": {"color": BLUE, "size": 9, "symbol": "line-ns-open", "line": {"width": 2, "color": BLUE}},
            }
        )
    layout = {
        "xaxis": {"title": {"text": metric.label}, **({} if metric.lower_is_better else {"tickformat": ".1%"})},
        "yaxis": {"type": "category", "autorange": "reversed", "automargin": True},
    }
    return Figure(f"{metric.label} of each seed, by config", {"data": data, "layout": layout}, 130 + 30 * len(names))


def _without_seed(trial: TrialRecord) -> str:
    parts = [part for part in describe_params(trial).split(" · ") if not part.startswith("seed ")]
    return plain(" · ".join(parts) or str(trial.config["model"]["name"]))

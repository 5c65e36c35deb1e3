"""Part 6, where the time went: worker groups on a time line, idle gaps and restarts, plan against actual.

Not here: what a group is worth in money (`answer`).
"""

import datetime
from collections.abc import Iterable, Sequence
from typing import Any

from cifarray.report.budget import so_far
from cifarray.report.page.parts import BLUE, GREEN, GREY, ORANGE, PURPLE, RED, Figure, Part, plain, plural
from cifarray.report.page.told import Mark, Presence, Stay, Told
from cifarray.study.time_budget import UNLIMITED, say
from cifarray.study.trial_record import Outcome

MOST_GROUPS, MOST_MISHAPS = 60, 500
"""Rows of the time line, and triangles on it."""
COLORS = {
    "completed": BLUE,
    "stopped": GREY,
    "diverged": RED,
    "out_of_memory": RED,
    "failed": RED,
    "unfinished": ORANGE,
}
SHORTEST = 60.0
"""Seconds of a gap that is told of."""


def where_time_went(told: Told) -> Part:
    if not told.groups and not told.stays:
        return Part("No worker group was started, so no time was spent.", facts=[("plan", _plan(told))])
    busy = sum(stay.ended - stay.began for stay in told.stays)
    ready = sum(max(0.0, told.end_of(group) - group.ready) for group in told.groups if group.ready is not None)
    wall = sum(driver.ended - driver.began for driver in told.drivers)
    sentence = (
        f"{plural(len(_rows(told)), 'worker group')} ran {plural(len(told.stays), 'stay')} of trials in {_clock(wall)}"
    )
    if ready:
        sentence += f"; they had a trial for {min(1.0, busy / ready):.1%} of the time that they were ready"
    facts = [
        ("plan", _plan(told)),
        ("actual", _actual(told)),
        ("in trials", f"{_clock(busy)} of worker groups, of which epochs took {_clock(told.state.seconds_trained)}"),
        ("waiting", _waiting(told, ready, busy)),
        ("starting", _starting(told)),
        ("mishaps", _mishaps(told)),
        ("drivers", _drivers(told)),
    ]
    return Part(f"{sentence}.", facts, figures=[_timeline(told)], notes=_notes(told))


def _rows(told: Told) -> list[str]:
    """Names of the worker groups, in the order in which they came."""
    return list(dict.fromkeys([*(group.group for group in told.groups), *(stay.group for stay in told.stays)]))


def _plan(told: Told) -> str:
    trials, epochs = told.state.budget, told.state.space.base.epochs
    if told.state.time_budget is not None and trials >= UNLIMITED:
        return f"{say(told.state.time_budget.seconds)} of workers, in trials of {plural(epochs, 'epoch')}"
    most = told.state.scheduler.epochs_at_most(trials, epochs)
    if most is not None:
        whole = f"{plural(trials, 'trial')} of {plural(epochs, 'epoch')} at most"
        return f"{whole}, and as much work as {most:,} epochs of networks of average size"
    return f"{plural(trials, 'trial')} of {plural(epochs, 'epoch')}: {trials * epochs:,} epochs if none were stopped"


def _actual(told: Told) -> str:
    state = told.state
    most = state.scheduler.epochs_at_most(state.budget, state.space.base.epochs)
    planned = state.budget * state.space.base.epochs if most is None else most
    share = state.epochs_done / planned if planned else 0.0
    of_plan = f"{share:.0%} of the plan"
    if state.time_budget is not None:
        of_plan = so_far(state, state.time_budget)
    stopped = sum(trial.outcome is Outcome.STOPPED for trial in state.trials.values())
    text = f"{state.epochs_done:,} epochs, {of_plan}"
    return f"{text}; {plural(stopped, 'trial')} stopped early" if stopped else text


def _waiting(told: Told, ready: float, busy: float) -> str:
    if not ready:
        return "not known: the journal has no worker group that was ready"
    gaps = list(idle(told))
    text = f"{_clock(max(0.0, ready - busy))} of groups that were ready and had no trial"
    long = [seconds for _, seconds in gaps if seconds >= SHORTEST]
    return f"{text}; {plural(len(long), 'gap')} of a minute or more, the longest {_clock(max(long))}" if long else text


def idle(told: Told) -> Iterable[tuple[str, float]]:
    """Each gap in which a ready group had no trial: the group's name and seconds."""
    for group in told.groups:
        if group.ready is None:
            continue
        end, since = told.end_of(group), group.ready
        for stay in sorted(_within(told.stays, group, end), key=lambda each: each.began):
            if stay.began > since:
                yield group.group, stay.began - since
            since = max(since, stay.ended)
        if end > since:
            yield group.group, end - since


def _within(stays: Sequence[Stay], group: Presence, end: float) -> list[Stay]:
    return [stay for stay in stays if stay.group == group.group and group.began <= stay.began <= end]


def _starting(told: Told) -> str:
    took = [group.ready - group.began for group in told.groups if group.ready is not None]
    never = sum(group.ready is None for group in told.groups)
    if not took:
        return "no worker group was ready"
    low, high = f"{min(took):.0f}", f"{max(took):.0f}"
    text = f"{plural(len(took), 'start')}, {low if low == high else f'{low} to {high}'} s each"
    return f"{text}; {never} more were never ready" if never else text


def _mishaps(told: Told) -> str:
    counts: dict[str, int] = {}
    for mark in told.marks:
        counts[mark.kind] = counts.get(mark.kind, 0) + 1
    replaced = sum(group.replaced for group in told.groups)
    found = ", ".join(f"{kind} {plural(count, 'time')}" for kind, count in sorted(counts.items()))
    text = f"trials {found}" if found else "no trial lost its workers, its node or a checkpoint"
    return f"{text}; {plural(replaced, 'worker group')} broke and had to be replaced" if replaced else text


def _drivers(told: Told) -> str:
    ends = [driver.reason or "killed, or running still" for driver in told.drivers]
    return f"{plural(len(ends), 'start')} of the study: {', '.join(ends[-8:])}"


def _notes(told: Told) -> list[str]:
    notes = []
    rows = _rows(told)
    if len(rows) > MOST_GROUPS:
        notes.append(f"The time line has the first {MOST_GROUPS} of {len(rows)} worker groups.")
    if len(told.marks) > MOST_MISHAPS:
        notes.append(f"The time line has {len(_drawn(told))} of {len(told.marks):,} mishaps, spread evenly over time.")
    notes.append("On which node a group ran, and what else ran there, the journal does not say.")
    return notes


def _drawn(told: Told) -> list[Mark]:
    return told.marks[:: -(-len(told.marks) // MOST_MISHAPS) or 1]


def _timeline(told: Told) -> Figure:
    rows = _rows(told)[:MOST_GROUPS]
    short = {name: plain(name.rsplit("/", 1)[-1]) for name in rows}
    traces = [_bars(short, _presences(told, short), "ready, no trial", "rgba(154,160,166,0.35)", 6)]
    kinds: dict[str, list[tuple[str, float, float, str]]] = {}
    for stay in told.stays:
        if stay.group in short:
            trial = told.state.trials[stay.trial]
            kind = str(trial.outcome or "unfinished")
            text = f"trial {stay.trial}, {kind.replace('_', ' ')}, {_clock(stay.ended - stay.began)}"
            kinds.setdefault(kind, []).append((stay.group, stay.began, stay.ended, text))
    for kind in COLORS:
        if kind in kinds:
            traces.append(_bars(short, kinds[kind], kind.replace("_", " "), COLORS[kind], 14))
    traces += _events(told, short)
    layout = {
        "xaxis": {"type": "date", "title": {"text": "time (UTC)"}},
        "yaxis": {
            "type": "category",
            "categoryorder": "array",
            "categoryarray": [short[name] for name in reversed(rows)],
        },
        "hovermode": "closest",
    }
    content = {"data": traces, "layout": layout}
    return Figure("Worker groups and the trials in them against time", content, 170 + 26 * len(rows))


def _presences(told: Told, short: dict[str, str]) -> list[tuple[str, float, float, str]]:
    return [
        (group.group, group.ready, told.end_of(group), "ready")
        for group in told.groups
        if group.ready is not None and group.group in short
    ]


def _bars(
    short: dict[str, str], bars: Sequence[tuple[str, float, float, str]], name: str, color: str, width: int
) -> dict[str, Any]:
    """Thick lines with gaps between them, one trace for thousands."""
    xs: list[str | None] = []
    ys: list[str | None] = []
    texts: list[str | None] = []
    for group, began, ended, text in bars:
        xs += [_stamp(began), _stamp(ended), None]
        ys += [short[group], short[group], None]
        texts += [text, text, None]
    return {
        "type": "scatter",
        "mode": "lines",
        "name": f"{name} ({len(bars)})" if name != "ready, no trial" else name,
        "x": xs,
        "y": ys,
        "text": texts,
        "hovertemplate": "%{text}<extra></extra>",
        "line": {"color": color, "width": width},
    }


def _events(told: Told, short: dict[str, str]) -> list[dict[str, Any]]:
    """Restarts and the like as triangles on the group that the trial was in, and groups that ended before the study."""
    places: list[tuple[float, str, str]] = []
    stays: dict[int, list[Stay]] = {}
    for stay in told.stays:
        stays.setdefault(stay.trial, []).append(stay)
    for mark in _drawn(told):
        around = (stay.group for stay in stays.get(mark.trial, ()) if stay.began <= mark.time <= stay.ended + 1)
        group = next(around, None)
        if group in short:
            text = f"trial {mark.trial} {mark.kind}"
            places.append((mark.time, group, f"{text}: {plain(mark.reason)}" if mark.reason else text))
    ended = [(g.ended, g.group, plain(g.why)) for g in told.groups if g.ended and g.group in short and g.why]
    found = []
    for name, symbol, color, points in (
        ("mishap of a trial", "triangle-down", PURPLE, places),
        ("group ended", "line-ns-open", GREEN, ended),
    ):
        if points:
            found.append(
                {
                    "type": "scatter",
                    "mode": "markers",
                    "name": f"{name} ({len(points)})",
                    "x": [_stamp(when) for when, _, _ in points],
                    "y": [short[group] for _, group, _ in points],
                    "text": [text for _, _, text in points],
                    "hovertemplate": "%{text}<extra></extra>",
                    "marker": {"symbol": symbol, "color": color, "size": 10, "line": {"width": 2, "color": color}},
                }
            )
    return found


def _stamp(seconds: float) -> str:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-4]


def _clock(seconds: float) -> str:
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02d} min"
    return f"{whole // 3600}:{whole // 60 % 60:02d} h"

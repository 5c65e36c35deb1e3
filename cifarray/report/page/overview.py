"""Several studies in one table, ahead of the parts: whose winner is best, and whether that can be told.

Not here: what each study has to say (a file for each part).
"""

from collections.abc import Sequence
from typing import Any

from cifarray.report.leaderboard import describe_params
from cifarray.report.page.parts import Column, Part, Table
from cifarray.report.page.told import Told
from cifarray.report.page.worth import interval, same_to_the_images, winner
from cifarray.study.trial_record import TrialRecord


def overview(studies: Sequence[Told]) -> Part:
    """A row a study, in the order in which they were named."""
    cells: list[list[Any]] = []
    winners: list[tuple[Told, TrialRecord]] = []
    for told in studies:
        best = winner(told)
        if best is None:
            cells.append([told.name, None, "–", "–", len(told.state.trials), told.worker_hours, ""])
            continue
        if best.value is not None:
            winners.append((told, best))
        show, found = best.metric.show, interval(told, best)
        between = "–" if found is None else f"{show(found.low)} to {show(found.high)}"
        size = (len(told.state.trials), told.worker_hours)
        cells.append([told.name, best.number, show(best.value), between, *size, describe_params(best)])
    columns = [
        Column("study"),
        Column("winner", "count"),
        Column("its metric"),
        Column("95 % interval"),
        Column("trials", "count"),
        Column("worker-hours", "number"),
        Column("what it is", "long"),
    ]
    return Part(_sentence(winners), tables=[Table("The studies", columns, cells)])


def _sentence(winners: Sequence[tuple[Told, TrialRecord]]) -> str:
    if len(winners) < 2:
        return "Fewer than two of these studies have measured anything, so there is nothing to compare."
    metrics = {best.metric.name for _, best in winners}
    if len(metrics) > 1:
        return f"These studies compare by different metrics, {' and '.join(sorted(metrics))}: none is ahead of another."
    ordered = sorted(winners, key=lambda each: each[1].score or 0.0, reverse=True)
    (told, best), (second, other) = ordered[0], ordered[1]
    sentence = f"{told.name} has the best winner, {best.metric.show(best.value)} of trial {best.number}"
    sentence += f", and {second.name} comes next with {other.metric.show(other.value)}"
    if told.started.data_sha256 != second.started.data_sha256 or not told.started.data_sha256:
        return f"{sentence}; the journals do not say that both saw the same images."
    alike = same_to_the_images(told, best, second, other)
    if alike is None:
        return f"{sentence}; whether that is more than chance is not known."
    return f"{sentence}; that is {'no more' if alike else 'more'} than the images explain."

"""A verdict in words: the winner with its spread, what it beats, what it cannot be told from, what was luck.

Not here: how it is found (`cifarray.study.winner`).
"""

from collections.abc import Mapping

from cifarray.report.leaderboard import mean_and_deviation
from cifarray.study.trial_record import Metric
from cifarray.study.winner import Rival, Verdict


def lines(found: Verdict, metric: Metric, seen: Mapping[str, float]) -> list[tuple[str, str]]:
    """Labels and sentences. seen: each config's value in the search that chose it."""
    seeds = len(found.values)
    what = "mean ± deviation of" if seeds > 1 else "of"
    spread = f"{mean_and_deviation(list(found.values.values()), metric)} ({what} {seeds} new seed{'s' * (seeds > 1)})"
    said = [("winner", f"{found.name}: {metric.label} {spread}")]
    beaten = [_rival(rival, metric) for rival in found.rivals if rival.is_beaten]
    equal = [_rival(rival, metric) for rival in found.rivals if not rival.is_beaten]
    if beaten:
        said.append(("better", f"than {'; '.join(beaten)}"))
    if equal:
        said.append(("unclear", f"cannot be told from {'; '.join(equal)}: more --seeds may tell"))
    if found.short_of_seeds:
        said.append(("not in it", f"{', '.join(found.short_of_seeds)}: not all of their seeds ran to their end"))
    if found.name in seen:
        luck = metric.score(seen[found.name]) - metric.score(found.mean)
        said.append(
            (
                "luck",
                f"the search saw {metric.show(seen[found.name])}, {_points(luck, metric)} {_than(luck)} new seeds do",
            )
        )
    return said


def _than(luck: float) -> str:
    return "better than" if luck >= 0 else "worse than"


def _points(value: float, metric: Metric) -> str:
    return f"{abs(value):.4f}" if metric.lower_is_better else f"{100 * abs(value):.2f} points"


def _rival(rival: Rival, metric: Metric) -> str:
    if rival.lead is None:
        return f"{rival.name} (no seed in common)"
    half = rival.lead.half_width
    interval = "" if half is None else f" ± {_points(half, metric).removesuffix(' points')}"
    scale = "" if metric.lower_is_better else " points"
    size = (
        f"{rival.lead.mean if metric.lower_is_better else 100 * rival.lead.mean:.{4 if metric.lower_is_better else 2}f}"
    )
    chance = "" if rival.p is None else f", p {rival.p:.2g}"
    return f"{rival.name} ({size}{interval}{scale}{chance})"

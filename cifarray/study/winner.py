"""Who wins where a few configs were trained with the same seeds, and which of the others it cannot be told from.

Pure functions of numbers. Not here: which configs these are (`cifarray.cli.confirm`), how it is said
(`cifarray.report.winner`).
"""

import statistics
from collections.abc import Mapping
from dataclasses import dataclass

from cifarray.study.stats import LEVEL, Paired, holm, paired


@dataclass(frozen=True)
class Rival:
    """lead: by how much the winner is better, of seeds that both have; None where there is none. p: of no difference,
    two-sided, Holm-corrected for all rivals; None where it cannot be told."""

    name: str
    lead: Paired | None
    p: float | None

    @property
    def is_beaten(self) -> bool:
        """Whether the winner can be told from it."""
        return self.p is not None and self.p < 1 - LEVEL


@dataclass(frozen=True)
class Verdict:
    """The best mean, its values by seed, and the others, the nearest first."""

    name: str
    values: Mapping[int, float]
    rivals: tuple[Rival, ...]

    @property
    def mean(self) -> float:
        return statistics.fmean(self.values.values())


def verdict(rows: Mapping[str, Mapping[int, float]], lower_is_better: bool = False) -> Verdict | None:
    """From each config's values by seed. None where there is no value.

    The winner is chosen by the very values that it is compared by, so of equals one always leads a little: that is what
    the paired test allows for, two-sided, and Holm's correction for how many it is compared with.
    """
    sign = -1.0 if lower_is_better else 1.0
    scores = {name: {seed: sign * value for seed, value in values.items()} for name, values in rows.items() if values}
    if not scores:
        return None
    best = max(scores, key=lambda name: statistics.fmean(scores[name].values()))
    leads = {name: paired(scores[best], values) for name, values in scores.items() if name != best}
    known = {name: lead.p for name, lead in leads.items() if lead is not None and lead.p is not None}
    corrected = dict(zip(known, holm(list(known.values())), strict=True))
    rivals = [Rival(name, lead, corrected.get(name)) for name, lead in leads.items()]
    rivals.sort(key=lambda rival: rival.lead.mean if rival.lead else float("inf"))
    return Verdict(best, rows[best], tuple(rivals))

"""Who wins where a few configs were trained with the same seeds, and which of the others it cannot be told from.

Pure functions of numbers. Not here: which configs these are (`cifarray.cli.confirm`), how it is said
(`cifarray.report.winner`).
"""

import itertools
import statistics
from collections.abc import Mapping
from dataclasses import dataclass

from cifarray.study.stats import LEVEL, Paired, holm, paired


@dataclass(frozen=True)
class Rival:
    """lead: by how much the winner is better, over the seeds that both have; None where there is none. p: of no
    difference, two-sided, Holm-corrected for all pairs of configs; None where it cannot be told."""

    name: str
    lead: Paired | None
    p: float | None

    @property
    def is_beaten(self) -> bool:
        """Whether the winner can be told from it."""
        return self.p is not None and self.p < 1 - LEVEL and self.lead is not None and self.lead.mean > 0


@dataclass(frozen=True)
class Verdict:
    """The best mean over the seeds that all have, its values by seed, the others, the nearest first, and those that are
    out of it since they lack seeds that others have."""

    name: str
    values: Mapping[int, float]
    rivals: tuple[Rival, ...]
    short_of_seeds: tuple[str, ...] = ()

    @property
    def mean(self) -> float:
        return statistics.fmean(self.values.values())


def verdict(rows: Mapping[str, Mapping[int, float]], lower_is_better: bool = False) -> Verdict | None:
    """From each config's values by seed. None where no config has a value.

    Configs that lack a seed which another one has do not compete: a mean over the seeds that went well is none. The
    winner is chosen by the very values that it is compared by, so it leads by chance, too: Holm's correction is for all
    pairs, of any of which it might have been one.
    """
    sign = -1.0 if lower_is_better else 1.0
    most = max((len(values) for values in rows.values()), default=0)
    if not most:
        return None
    short = tuple(name for name, values in rows.items() if len(values) < most)
    scores = {
        name: {seed: sign * value for seed, value in values.items()}
        for name, values in rows.items()
        if name not in short
    }
    pairs = {
        pair: found for pair in itertools.combinations(scores, 2) if (found := paired(scores[pair[0]], scores[pair[1]]))
    }
    known = {pair: found.p for pair, found in pairs.items() if found.p is not None}
    corrected = dict(zip(known, holm(list(known.values())), strict=True))
    best = max(scores, key=lambda name: statistics.fmean(scores[name].values()))
    rivals = [
        Rival(name, paired(scores[best], scores[name]), corrected.get((best, name), corrected.get((name, best))))
        for name in scores
        if name != best
    ]
    rivals.sort(key=lambda rival: rival.lead.mean if rival.lead else float("inf"))
    return Verdict(best, rows[best], tuple(rivals), short)

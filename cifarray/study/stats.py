"""Paired comparisons: differences between two rows of trials that share their seeds, and how far to believe them; the
interval of a share, and how much of a difference of two is chance.

Pure functions of numbers. Not here: which rows are compared (`cifarray.ablation.rows`), how it
looks (`cifarray.ablation`).
"""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

LEVEL = 0.95
ROUNDING = 1e-12
"""Differences of shares that are equal on paper differ by so little."""


@dataclass(frozen=True)
class Paired:
    """The differences of `n` pairs: their mean, the interval mean ± half_width, the p-value of a mean of zero.

    half_width, p: None where a single pair, or pairs that all differ by the same, tell nothing of the spread. Few
    validation images make equal differences by chance, and t would call them certain.
    """

    n: int
    mean: float
    half_width: float | None = None
    p: float | None = None

    @property
    def low(self) -> float | None:
        return None if self.half_width is None else self.mean - self.half_width

    @property
    def high(self) -> float | None:
        return None if self.half_width is None else self.mean + self.half_width


def paired(values: Mapping[int, float], against: Mapping[int, float]) -> Paired | None:
    """`values` less `against`, by seed, over the seeds that both have; None if there are none.

    The interval is Student's at 95 %, the test two-sided (Student 1908, "The probable error of a mean").
    """
    seeds = sorted(values.keys() & against.keys())
    if not seeds:
        return None
    differences = [values[seed] - against[seed] for seed in seeds]
    mean = statistics.fmean(differences)
    if len(seeds) < 2 or statistics.stdev(differences) < ROUNDING:
        return Paired(len(seeds), mean)
    from scipy import stats

    test = stats.ttest_rel([values[seed] for seed in seeds], [against[seed] for seed in seeds])
    interval = test.confidence_interval(LEVEL)
    return Paired(len(seeds), mean, float(interval.high - interval.low) / 2, float(test.pvalue))


def needed(step: Paired, tests: int, level: float = LEVEL) -> float | None:
    """How large the mean of such differences must be to be found among `tests` of them, if it is the only finding.

    Holm's first step asks for p below (1 − level) / tests. None where there is no interval.
    """
    if step.half_width is None:
        return None
    from scipy import stats

    def quantile(risk: float) -> float:
        return float(stats.t.ppf(1 - risk / 2, step.n - 1))

    return step.half_width * quantile((1 - level) / tests) / quantile(1 - LEVEL)


def wilson(share: float, n: int, level: float = LEVEL) -> tuple[float, float]:
    """The interval of a share that was seen in `n` independent cases (n > 0); within 0..1 also at the ends.

    Wilson 1927, "Probable inference, the law of succession, and statistical inference", JASA 22, 209-212.
    """
    z = statistics.NormalDist().inv_cdf((1 + level) / 2)
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * (share * (1 - share) / n + z * z / (4 * n * n)) ** 0.5
    return max(0.0, middle - half), min(1.0, middle + half)


def noise(first: float, first_n: int, second: float, second_n: int, level: float = LEVEL) -> float:
    """By how much two shares, seen in `first_n` and `second_n` independent cases, differ by chance at most: 1.96
    standard errors of their difference, at 95 %.

    Where the cases are the same, as with two networks on one validation split, their true difference has a smaller
    error, and this calls rather too many alike.
    """
    variance = first * (1 - first) / first_n + second * (1 - second) / second_n
    return statistics.NormalDist().inv_cdf((1 + level) / 2) * float(variance**0.5)


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values in the order given: those below a level are its findings, with its risk for the whole family.

    Holm 1979, "A simple sequentially rejective multiple test procedure", Scand. J. Statist. 6, 65-70.
    """
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda index: p_values[index])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = largest
    return adjusted

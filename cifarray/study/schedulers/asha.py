"""ASHA, the variant that stops: whether a trial that reaches a rung goes on.

Li et al., "A System for Massively Parallel Hyperparameter Tuning", arXiv:1810.05934, §3.2, in the stopping form that
needs no pause: at each rung a trial goes on if it is among the best 1/η of all that have reached the rung so far.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Asha:
    """Successive halving on `epoch`.

    reduction_factor: η, one of η trials goes on from a rung.
    grace_epochs: no trial is stopped before it has done so many epochs; the first rung.
    """

    reduction_factor: int = 3
    grace_epochs: int = 1

    def __post_init__(self) -> None:
        if self.reduction_factor < 2:
            raise ValueError(f"reduction_factor {self.reduction_factor} stops nobody: choose 2 or more")
        if self.grace_epochs < 1:
            raise ValueError(f"grace_epochs {self.grace_epochs} is not possible: choose 1 or more")

    def rungs(self, epochs: int) -> tuple[int, ...]:
        """Epochs after which a trial of `epochs` epochs may be stopped: grace · η^k, below `epochs`."""
        found = []
        rung = self.grace_epochs
        while rung < epochs:
            found.append(rung)
            rung *= self.reduction_factor
        return tuple(found)

    def goes_on(self, value: float, others: Sequence[float]) -> bool:
        """Whether a trial with `value` (higher is better) passes a rung that trials with the values `others` reached.

        The best max(1, n // η) of all n values pass, ties included; so the first to arrive always does.
        """
        reached = len(others) + 1
        passing = max(1, reached // self.reduction_factor)
        better = sum(other > value for other in others)
        return better < passing

"""What is compared: the product's own strategies, and what everybody has.

Ray's rungs and cut-offs are Ray Tune's own code, driven here. Not here: Optuna (`optuna_search`), how they are compared
(`compare`).
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from cifarray.engine.ray_internals import asha_bracket
from cifarray.simulate.optuna_search import OptunasHyperband
from cifarray.study.schedulers import Asha, FreezeThaw, Promote, RunAll, Scheduler, StudyView, grace_for
from cifarray.study.trial_record import Decision, TrialRecord


@dataclass(frozen=True)
class Strategy:
    """make: the scheduler for trials of so many epochs whose schedule varies or does not. base_first: its first trial
    is the base point, where there is one. ours: whether it is the product's."""

    make: Callable[[int, bool], Scheduler]
    base_first: bool = False
    ours: bool = False


class RaysAsha(RunAll):
    """Ray Tune's own rungs and cut-offs, of grace 1."""

    compares = True

    def __init__(self, reduction_factor: int, epochs: int) -> None:
        object.__setattr__(self, "_bracket", asha_bracket(1, epochs, reduction_factor))

    def after_epoch(self, study: StudyView, trial: TrialRecord) -> tuple[Decision, str]:
        bracket: Any = self._bracket  # type: ignore[attr-defined]
        goes_on = trial.score is not None and bracket(trial.number, trial.epoch, trial.score)
        return (Decision.CONTINUE if goes_on else Decision.STOP), ""


class Unlimited(FreezeThaw):
    """Ends with a budget of time, and with no other."""

    def is_spent(self, study: StudyView, running: Collection[int]) -> bool:
        return False


BASELINE = "Ray's ASHA, random"
STRATEGIES: dict[str, Strategy] = {
    "freeze-thaw": Strategy(lambda epochs, varies: Unlimited(grace_for(epochs), full_runs=varies), ours=True),
    "promote": Strategy(lambda epochs, varies: Promote(3, grace_for(epochs)), ours=True),
    "asha": Strategy(lambda epochs, varies: Asha(3, grace_for(epochs)), ours=True),
    "none": Strategy(lambda epochs, varies: RunAll(), ours=True),
    BASELINE: Strategy(lambda epochs, varies: RaysAsha(4, epochs)),
    "Ray's ASHA, base point first": Strategy(lambda epochs, varies: RaysAsha(4, epochs), base_first=True),
    "Ray's ASHA, η = 3, random": Strategy(lambda epochs, varies: RaysAsha(3, epochs)),
    "Optuna's TPE, Hyperband": Strategy(lambda epochs, varies: OptunasHyperband(epochs)),
    "random in full, base point first": Strategy(lambda epochs, varies: RunAll(), base_first=True),
}
"""By name; `none` runs random points to their end."""

"""Freeze-thaw: a free group gets what promises most, a new trial or a paused one, which a model of all curves says.

After Swersky, Snoek & Adams 2014, "Freeze-thaw Bayesian optimization", arXiv:1406.3896. Every trial pauses at each rung
⌈E / 2^k⌉. The space's base point comes first and runs to its end, a few points that fill the space evenly come next;
then a Gaussian process over points and epochs says for every candidate how much it is expected to improve, after its
last epoch, on the best of those that have done theirs, and what that costs. Where the model has too little to go by it
is ASHA with promotion. The study ends when it has done as much work as successive halving of its trials would.

A pure function of a study's state and seed, cheap to ask again: what is fitted depends on the first so many
observations, in the journal's order. Not here: the model (`cifarray.study.gaussian_process`), what is known of the
curves (`observed`), where points come from (`cifarray.study.proposals`).
"""

import math
import statistics
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar

from cifarray.study.proposals import Params, Proposals, distinct
from cifarray.study.samplers import point_key
from cifarray.study.schedulers.promote import place_at_rung, promotable
from cifarray.study.schedulers.scheduler import Assignment, StudyView, interrupted, paused, resumed
from cifarray.study.trial_record import Decision, TrialRecord

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController

    from cifarray.study.gaussian_process import Array, Posterior
    from cifarray.study.schedulers.observed import Observed

DESIGN, DESIGN_OF_FULL_RUNS = 8, 6
"""Points that fill the space evenly, before the model chooses."""
MIN_OBSERVATIONS = 5
PAUSED, SPREAD, NEAR, BEST = 128, 256, 128, 5
"""Candidates: paused trials, points all over the space, points near to so many that are the best so far."""
TWIN = 0.98
"""A new point that has so much in common with a trial's is not begun: to go on with that one tells more, and what there
is to gain beside it is the luck of another seed."""
COST_WEIGHT = 0.25
"""Of the logarithm of the cost beside that of the expected improvement."""
RATIO = 2
"""Of one rung to the next, and of the trials that come so far, where ranks decide."""
KEY_OF_DESIGN, KEY_OF_SPREAD, KEY_OF_NEAR = range(3)


@dataclass(frozen=True)
class FreezeThaw:
    """grace_epochs: no trial pauses before it has done so many epochs. full_runs: none pauses at all, as where rates
    that fall at different times are compared; the model then only chooses points."""

    name: ClassVar[str] = "freeze-thaw"
    compares: ClassVar[bool] = True
    chooses: ClassVar[bool] = True
    grace_epochs: int = 1
    full_runs: bool = False

    def __post_init__(self) -> None:
        if self.grace_epochs < 1:
            raise ValueError(f"grace_epochs {self.grace_epochs} is not possible: choose 1 or more")

    def rungs(self, epochs: int) -> tuple[int, ...]:
        """Epochs after which a trial of `epochs` epochs pauses: ⌈epochs / 2^k⌉, from the grace on, below `epochs`."""
        return () if self.full_runs else _halves(epochs, self.grace_epochs)

    def after_epoch(self, study: StudyView, trial: TrialRecord) -> tuple[Decision, str]:
        if trial.epoch not in self._pauses(study, trial):
            return Decision.CONTINUE, ""
        return Decision.PAUSE, place_at_rung(study, trial)

    def next(self, study: StudyView, running: Collection[int]) -> Assignment | None:
        begun = interrupted(study, running)
        if begun is not None or self.is_spent(study, running):
            return begun
        return self._in_design(study) or self._by_model(study, running) or self._by_rank(study, running)

    def is_spent(self, study: StudyView, running: Collection[int]) -> bool:
        share = self.share_spent(study, running)
        return share is not None and share >= 1

    def share_spent(self, study: StudyView, running: Collection[int]) -> float | None:
        """Epochs count by their multiply-adds, against those of the points that cover the space: who tries small
        networks may try more of them. Those of the first trial count as they are, however large its network is."""
        most = self.epochs_at_most(study.budget, study.space.base.epochs)
        if most is None:
            return None
        if not study.trials:
            return 0.0
        first, others = study.trials[0], range(1, min(DESIGN + 1, len(study.trials)))
        typical = statistics.fmean(study.trials[number].macs for number in others) if others else 0.0
        under_way = {
            number: self._target(study, study.trials[number]) - study.trials[number].epoch for number in running
        }
        work = study.macs_done - first.epoch * first.macs
        work += sum(epochs * study.trials[number].macs for number, epochs in under_way.items() if number)
        return (first.epoch + under_way.get(0, 0) + work / (typical or 1.0)) / most

    def epochs_at_most(self, trials: int, epochs: int) -> int | None:
        """What the base point takes, and as if each rung were reached by half of those that reach the one before, and
        by one at least; no more than what all trials take."""
        if self.full_runs:
            return None
        spent, before = epochs, 0
        for level, rung in enumerate((*self.rungs(epochs), epochs)):
            spent += -(-trials // RATIO**level) * (rung - before)
            before = rung
        return min(spent, trials * epochs)

    def soonest_end(self, epoch: int, epochs: int) -> int:
        return next((rung for rung in self.rungs(epochs) if rung > epoch), epochs)

    def describe(self, epochs: int) -> str:
        when = "all run to their end" if self.full_runs else f"pauses after epochs {self.rungs(epochs)}"
        return f"freeze-thaw, {when}"

    def settings(self) -> dict[str, Any]:
        return {"name": self.name, **asdict(self)}

    # Which trial.

    def _pauses(self, study: StudyView, trial: TrialRecord) -> tuple[int, ...]:
        """The base point is the most likely rival of all others, and what they are measured by."""
        is_base = trial.number == 0 and point_key(trial.params) == point_key(self._proposals(study).base)
        return () if is_base else self.rungs(trial.config["epochs"])

    def _target(self, study: StudyView, trial: TrialRecord) -> int:
        """The epoch after which a trial that runs pauses or is complete."""
        return next((rung for rung in self._pauses(study, trial) if rung > trial.epoch), trial.config["epochs"])

    def _in_design(self, study: StudyView) -> Assignment | None:
        """The base point, then points all over the space, those that are expected to be the cheapest first."""
        number, points = len(study.trials), self._proposals(study)
        # Trials of earlier studies tell of the space as well, where it is only ends that tell those that have come
        # there; one point is there in any case, beside the base.
        telling = [each for each in study.earlier.values() if not self.full_runs or each.epoch == each.config["epochs"]]
        size = max(1, (DESIGN_OF_FULL_RUNS if self.full_runs else DESIGN) - len(telling))
        if number > size or number >= study.budget:
            return None
        if number == 0 and study.is_new(points.base):
            return Assignment(0, params=points.base, reason="the point from which the space is varied")
        for params in study.once("design", lambda: self._design(study, size)):
            if study.is_new(params):
                return Assignment(number, params=params, reason="one of those that cover the space")
        return None

    def _design(self, study: StudyView, size: int) -> list[Params]:
        points = self._proposals(study)
        drawn = distinct(points.spread(8 * size, KEY_OF_DESIGN))
        # Also those that are trials by now: a study that goes on has the same design.
        allowed = [params for params in drawn if params != points.base and study.is_allowed(params)][:size]
        return allowed if study.macs_of is None else sorted(allowed, key=study.macs_of)

    def _by_rank(self, study: StudyView, running: Collection[int]) -> Assignment | None:
        begun = len(study.trials) >= study.budget
        chosen = promotable(study, running, RATIO, at_least_one=begun and not running)
        return chosen or (None if begun else self._any_new(study))

    def _any_new(self, study: StudyView) -> Assignment:
        number = len(study.trials)
        spread = self._proposals(study).spread(SPREAD, KEY_OF_SPREAD, number)
        params = next((params for params in spread if study.is_new(params)), None)
        return Assignment(number, params=params, reason="there is too little to compare yet")

    def _by_model(self, study: StudyView, running: Collection[int]) -> Assignment | None:
        """None where there is too little to go by, or nothing to choose from."""
        from cifarray.study.gaussian_process import NotPositiveError, Posterior
        from cifarray.study.schedulers.observed import Observed, fitted

        features = self._proposals(study).features
        observed = Observed.of(study, self.rungs, features)
        if len(observed) < MIN_OBSERVATIONS:
            return None
        try:
            with study.once("threads", _threads).limit(limits=1, user_api="blas"):
                posterior = Posterior(fitted(study, self.rungs, features), observed.standardised)
                posterior = self._believing(study, running, observed, posterior)
                return self._best(study, running, observed, posterior)
        except NotPositiveError:
            return None

    def _believing(
        self, study: StudyView, running: Collection[int], observed: "Observed", posterior: "Posterior"
    ) -> "Posterior":
        """What runs counts as if it were there and as predicted (Ginsbourger, Le Riche & Carraro 2010, "Kriging is
        well-suited to parallelize optimization", the kriging believer)."""
        from cifarray.study.gaussian_process import Posterior

        trials = [study.trials[number] for number in sorted(running)]
        if not trials:
            return posterior
        rows = observed.rows_of(trials, [self._target(study, trial) for trial in trials])
        return Posterior(posterior.logs, observed.standardised.joined(*rows, posterior.predict(*rows)[0]))

    def _best(
        self, study: StudyView, running: Collection[int], observed: "Observed", posterior: "Posterior"
    ) -> Assignment | None:
        import numpy as np

        from cifarray.study.gaussian_process import chance_of_improvement, log_expected_improvement

        begun = observed.trials()
        at_end = posterior.predict(*observed.rows_at_end(begun))[0]
        best = observed.best_completed
        if best is None:
            own = [place for place, trial in enumerate(begun) if trial.number >= 0]
            best = float(at_end[own].max() if own else at_end.max())
        waiting = best_of_each_rung(paused(study, running), PAUSED)
        new: list[Params] = []
        if len(study.trials) < study.budget:
            promising = [begun[place].params for place in np.argsort(-at_end, kind="stable")[:BEST]]
            new = self._new_points(study, [dict(params) for params in promising])
        if not waiting and not new:
            return None
        points = observed.features_of(new)
        rows = observed.rows_of_candidates(waiting, points)
        mean, deviation = posterior.predict(*rows)
        score = log_expected_improvement(mean, deviation, best)
        chance = chance_of_improvement(mean, deviation, best)
        if not self.full_runs:
            score = score - COST_WEIGHT * np.log(self._costs(study, observed, waiting, points, chance))
        for place in np.argsort(-score, kind="stable").tolist():
            ending = observed.show(mean[place])
            reason = f"{ending} expected after its last epoch, the best with a chance of {100 * chance[place]:.0f} %"
            if place < len(waiting):
                return replace(resumed(waiting[place]), reason=reason)
            number = place - len(waiting)
            params = new[number]
            if study.is_new(params) and observed.most_alike(posterior, points[number]) < TWIN:
                return Assignment(len(study.trials), params=params, reason=reason)
        return None

    def _new_points(self, study: StudyView, promising: Sequence[Params]) -> list[Params]:
        points, number = self._proposals(study), len(study.trials)
        # The same until there is one trial more.
        spread = study.once("spread", lambda: points.spread(SPREAD, KEY_OF_SPREAD, number), number)
        return [*spread, *points.near(promising, NEAR, KEY_OF_NEAR, number)]

    def _costs(
        self,
        study: StudyView,
        observed: "Observed",
        waiting: Sequence[TrialRecord],
        points: "Array",
        chance: "Array",
    ) -> "Array":
        """Multiply-adds to the next rung, and with the chance that it is worth it, to the end."""
        import numpy as np

        epochs = study.space.base.epochs
        targets = [self._target(study, trial) - trial.epoch for trial in waiting]
        rest = [trial.config["epochs"] - trial.epoch for trial in waiting]
        first = np.array([*targets, *[min((*self.rungs(epochs), epochs))] * len(points)], float)
        whole = np.array([*rest, *[epochs] * len(points)], float)
        return np.asarray((first + chance * (whole - first)) * observed.epoch_costs(waiting, points))

    def _proposals(self, study: StudyView) -> Proposals:
        return study.once("proposals", lambda: Proposals(study.space, study.seed))


def _threads() -> "ThreadpoolController":
    """Of the libraries that do the algebra, once they are loaded; to look for them takes longer than to limit them."""
    import scipy.linalg  # noqa: F401
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


@cache
def _halves(epochs: int, grace_epochs: int) -> tuple[int, ...]:
    halves = {-(-epochs // RATIO**k) for k in range(1, epochs.bit_length() + 1)}
    return tuple(sorted(rung for rung in halves if grace_epochs <= rung < epochs))


def best_of_each_rung(trials: Sequence[TrialRecord], count: int) -> list[TrialRecord]:
    """At most `count` of paused trials, by number: the best of each rung, the second best of each, and so on."""
    if len(trials) <= count:
        return list(trials)
    by_rung: dict[int, list[TrialRecord]] = {}
    for trial in sorted(trials, key=lambda trial: (-(trial.score or -math.inf), trial.number)):
        by_rung.setdefault(trial.epoch, []).append(trial)
    ranked = sorted(
        (place, -epoch, trial.number) for epoch, best_first in by_rung.items() for place, trial in enumerate(best_first)
    )
    chosen = {number for *_, number in ranked[:count]}
    return [trial for trial in trials if trial.number in chosen]

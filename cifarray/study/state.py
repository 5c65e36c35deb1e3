"""All that is known of a study, and who starts next and with what.

`next` and `sample` return plain values, of which the driver makes events. Not here: Ray, files, clocks; what became of
every trial (`study_record`); what follows an epoch or a fault, and which checkpoints are kept (`decisions`); the rules
of a scheduler (`schedulers`), of a searcher (`samplers`).
"""

from collections.abc import Callable, Collection, Hashable, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from cifarray.space.space import SearchSpace
from cifarray.study.audit import Audit, as_given_up, given_up
from cifarray.study.events import (
    Event,
    StudyStarted,
)
from cifarray.study.history import observations
from cifarray.study.samplers import Params, Sampler
from cifarray.study.schedulers import Assignment, from_settings
from cifarray.study.schedulers.scheduler import resumed
from cifarray.study.study_record import StudyRecord
from cifarray.study.time_budget import is_reached
from cifarray.study.trial_record import Metric, Outcome, TrialRecord

T = TypeVar("T")


@dataclass
class StudyState(StudyRecord):
    """A study's record, and what is to be begun by it."""

    _once: dict[Hashable, tuple[int, Any]] = field(default_factory=dict, compare=False, repr=False)
    _sampler: Sampler | None = field(default=None, compare=False, repr=False)

    @classmethod
    def from_events(cls, events: Sequence[Event]) -> "StudyState":
        """A study as its journal tells it, from the first event on; raises ValueError if that is no StudyStarted.

        The limits of its space hold where the journal knows how many classes the data has.
        """
        first = events[0] if events else None
        if not isinstance(first, StudyStarted):
            raise ValueError("a journal begins with the study that it is of, and this one does not")
        space = SearchSpace.from_dict(first.name, first.identity())
        state = cls(
            space,
            first.num_trials,
            first.searcher,  # type: ignore[arg-type]
            from_settings(first.scheduler),
            first.seed,
            Metric(first.metric),
            first.keep_checkpoints,
        )
        if space.is_limited and first.num_classes is not None:
            from cifarray.space.sizes import Sizes

            state.allowed = Sizes(space, first.num_classes).allowed
        state.replay(events)
        return state

    # What is known.

    @property
    def budget(self) -> int:
        """Trials in all; a space may have fewer points than were asked for."""
        return self.sampler.budget(self.num_trials)

    @property
    def sampler(self) -> Sampler:
        """Made when it is first asked, after which `allowed` stays what it is."""
        if self._sampler is None:
            self._sampler = Sampler(self.space, self.searcher, self.seed, self.allowed)
        return self._sampler

    def is_over(self, running: Collection[int] = ()) -> bool:
        """Whether nothing is left to do, or to be begun before there is a larger budget of time. running: numbers of
        the trials that run."""
        return self.is_complete() or (not running and is_reached(self, ()))

    def is_complete(self) -> bool:
        """Whether nothing is left to do."""
        return self._is_decided() and not self.to_audit()[0]

    def _is_decided(self) -> bool:
        """Whether all trials are over, and no other one is to be begun."""
        return not self.unfinished and (len(self.trials) >= self.budget or self.is_spent(()))

    def is_spent(self, running: Collection[int]) -> bool:
        """As the scheduler's own, which is not to know of an audit."""
        return self.scheduler.is_spent(self.as_searched(), self._searching(running))

    def share_spent(self, running: Collection[int]) -> float | None:
        """As the scheduler's own, which is not to know of an audit."""
        return self.scheduler.share_spent(self.as_searched(), self._searching(running))

    def _searching(self, running: Collection[int]) -> list[int]:
        return [number for number in running if number not in self.audited]

    def to_audit(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Trials that an audit begins with now, and those that they are chosen from; none before the search is at its
        end, or where there was one."""
        if self.audit is None or not self._is_decided():
            return (), ()
        candidates = self._to_choose_from(self.audit)
        return self.audit.chosen(candidates, self.seed), candidates

    def _to_choose_from(self, audit: Audit) -> tuple[int, ...]:
        """Given up so far, and part of no audit yet."""
        settled = self._audited_from if audit.asked_for else self._audited_from | self._settled
        return tuple(sorted(set(given_up(self.ended)) - settled))

    def as_searched(self) -> "StudyState":
        """What the search may know: trials that are audited as they were when they were given up."""
        if not self.audited:
            return self
        searched = copy(self)
        searched.trials = {**self.trials, **{number: as_given_up(trial) for number, trial in self.audited.items()}}
        searched.unfinished = {n: trial for n, trial in self.unfinished.items() if n not in self.audited}
        return searched

    def remaining(self, running: Collection[int] = ()) -> int:
        """Trials that still need a worker group: unfinished ones and those not sampled yet; where the budget of time is
        reached, those that run."""
        if running and is_reached(self, running):
            return len(running)
        new = 0 if self.is_spent(()) else max(0, self.budget - len(self.trials))
        return len(self.unfinished) + new + len(self.to_audit()[0])

    def groups_wanted(self, running: Collection[int]) -> int:
        """As `remaining`, with the trials of an audit to come: what the search's last trials leave is theirs."""
        remaining = self.remaining(running)
        if self.audit is None or len(self.trials) < self.budget or is_reached(self, running):
            return remaining
        return max(remaining, len(running) + self.audit.count(len(self._to_choose_from(self.audit))))

    def failures_alike(self, message: str) -> int:
        """As `failures_in_a_row`; none where a trial has completed, since then it is not what all have in common."""
        completed = any(trial.outcome is Outcome.COMPLETED for trial in self.ended)
        return 0 if completed else self.failures_in_a_row(message)

    def is_new(self, params: Params) -> bool:
        """Whether a point is within the space's limits and no trial has it."""
        return self.sampler.is_wanted(params, self._points)

    def is_allowed(self, params: Params) -> bool:
        """Whether a point is within the space's limits."""
        return self.sampler.is_wanted(params, ())

    def once(self, key: Hashable, make: Callable[[], T], version: int = 0) -> T:
        """What `make` returns, which is a pure function of the study's journal, `key` and `version`: made once, and
        again for another version."""
        known = self._once.get(key)
        if known is None or known[0] != version:
            self._once[key] = known = version, make()
        return known[1]

    def scores_after(self, epoch: int) -> Sequence[float]:
        """Of all trials that have done `epoch`, their scores after it, rising; higher is better."""
        return self.standings.scores_after(epoch)

    def ranking(self) -> list[TrialRecord]:
        """Best first: trials that ran to their last epoch, then the others by how far they came, then by value."""
        return [self.trials[number] for number in self.standings.best_first()]

    def best(self) -> TrialRecord | None:
        """The first of the ranking that has a value; None if nothing was measured yet."""
        if not self.standings.has_scores:
            return None
        best_first = map(self.trials.__getitem__, self.standings.best_first())
        return next((trial for trial in best_first if trial.value is not None), None)

    # What follows.

    def next(self, running: Collection[int]) -> Assignment | None:
        """What a free worker group does now; None if there is nothing to start. running: numbers of trials that run."""
        if is_reached(self, running):
            return None
        waiting = [number for number in self.audited if number in self.unfinished and number not in running]
        if waiting:
            trial = self.trials[min(waiting)]
            reason = f"audit of early stopping, which gave it up after epoch {trial.given_up_after}"
            return replace(resumed(trial), reason=reason)
        return self.scheduler.next(self.as_searched(), self._searching(running))

    def sample(self, number: int) -> dict[str, Any]:
        """The params of a new trial."""
        history = []
        if self.searcher == "tpe":
            history = observations(self.as_searched().trials.values(), self.earlier.values())
        return self.sampler.sample(number, history, self._points)

"""All that is known of a study: plain data, rebuilt from the journal's events, and who starts next and with what.

Here: what became of every trial. `next` and `sample` return plain values, of which the driver makes events. Not here:
Ray, files, clocks; what follows an epoch or a fault, and which checkpoints are kept (`decisions`); how the trials stand
(`standings`); the rules of a scheduler (`schedulers`), of a searcher (`samplers`).
"""

from collections.abc import Callable, Collection, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from cifarray.space.space import SearchSpace
from cifarray.study.events import (
    CheckpointDropped,
    CheckpointLost,
    DriverStarted,
    EpochEnded,
    Event,
    MicroBatchHalved,
    StudyStarted,
    TestOpened,
    TrialEnded,
    TrialReopened,
    TrialSampled,
    TrialStarted,
    WorkersRestarted,
)
from cifarray.study.faults import Fault, cause_of
from cifarray.study.samplers import Allowed, Observation, Params, Sampler, SearcherName, point_key
from cifarray.study.schedulers import Assignment, RunAll, Scheduler, from_settings
from cifarray.study.standings import Standings
from cifarray.study.tpe import expected_end
from cifarray.study.trial_record import DEFAULT_METRIC, GAVE_NOTHING, OUTCOME_OF, Decision, Metric, Outcome, TrialRecord

T = TypeVar("T")


@dataclass
class StudyState:
    """A study's plan and the trials so far.

    allowed: whether a point's network is within the space's limits, asked before the point becomes a trial; None where
    all are.
    """

    space: SearchSpace
    num_trials: int
    searcher: SearcherName = "random"
    scheduler: Scheduler = field(default_factory=RunAll)
    seed: int = 0
    metric: Metric = DEFAULT_METRIC
    keep_checkpoints: int = 3
    allowed: Allowed | None = None
    macs_of: Callable[[dict[str, Any]], int] | None = field(default=None, compare=False, repr=False)
    """Multiply-adds of a point's network, for one image; None where they are not known before it is a trial."""
    trials: dict[int, TrialRecord] = field(default_factory=dict)
    unfinished: dict[int, TrialRecord] = field(default_factory=dict)
    """Trials without an outcome."""
    ended: list[TrialRecord] = field(default_factory=list)
    """The others, in the order in which they ended."""
    timeline: list[tuple[int, int]] = field(default_factory=list)
    """(trial, epoch) of every epoch in the order in which they ended, each once; (trial, 0) where a trial ended for a
    reason of its own before its last epoch."""
    epochs_done: int = 0
    """By all trials together, each epoch once."""
    macs_done: int = 0
    """Multiply-adds for one image, summed over all epochs of all trials, each once."""
    seconds_trained: float = 0.0
    losses_in_a_row: int = 0
    """Of the workers of any trials, without a new epoch of any in between, by this driver."""
    dead_nodes_in_a_row: int = 0
    """Those of them that were losses of nodes, which count apart."""
    first_failures: tuple[str, int] = ("", 0)
    """The cause of the latest failures in a first epoch, and how many in a row had it, without an epoch in between."""
    standings: Standings = field(default_factory=Standings)
    _points: set[str] = field(default_factory=set)
    """Those that a trial has."""
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

    # What happened.

    def replay(self, events: Iterable[Event]) -> None:
        for event in events:
            self.apply(event)

    def apply(self, event: Event) -> None:
        """Take in one event of the journal. Kinds that concern neither trials nor losses (a report) change nothing."""
        match event:
            case DriverStarted():
                self.losses_in_a_row = self.dead_nodes_in_a_row = 0
                self.first_failures = ("", 0)
            case TrialSampled():
                self._take_in(event)
            case TrialStarted():
                trial = self.trials[event.trial]
                trial.attempts, trial.group, trial.is_paused = event.attempt, event.group, False
                self.standings.update(trial)
            case EpochEnded():
                self._count_epoch(event)
            case WorkersRestarted():
                self._count_loss(event)
            case MicroBatchHalved():
                trial = self.trials[event.trial]
                trial.config = {**trial.config, "accumulate": event.accumulate}
                trial.halvings.append((event.epoch, event.accumulate))
            case TrialEnded():
                trial = self.trials[event.trial]
                self._end(trial, event.outcome)
                trial.message, trial.outcome_recorded = event.message, True
                if event.outcome is Outcome.FAILED and trial.epoch == 0:
                    self.first_failures = (cause_of(event.message), self.failures_in_a_row(event.message) + 1)
                self.standings.update(trial)
            case TrialReopened():
                trial = self.trials[event.trial]
                self.ended.remove(trial)
                self.unfinished[trial.number] = trial
                trial.outcome, trial.message, trial.outcome_recorded, trial.deaths = None, "", False, 0
                self.standings.update(trial)
            case CheckpointDropped() | CheckpointLost():
                trial = self.trials[event.trial]
                trial.checkpoints.pop(event.epoch, None)
                self.standings.update(trial)
            case TestOpened():
                trial = self.trials[event.trial]
                trial.test, trial.test_openings, trial.test_images = event.metrics, event.opening, event.images
                trial.test_computed = event.computed

    def _take_in(self, event: TrialSampled) -> None:
        trial = TrialRecord(
            number=event.trial,
            params=event.params,
            config=event.config,
            num_params=event.num_params,
            macs=event.macs,
            metric=self.metric,
        )
        self.trials[trial.number] = self.unfinished[trial.number] = trial
        self._points.add(point_key(trial.params))
        self.standings.update(trial)

    def _count_epoch(self, event: EpochEnded) -> None:
        trial = self.trials[event.trial]
        trial.epochs.append(event.metrics)
        trial.decisions.append(event.decision)
        trial.precision = event.precision or trial.precision
        trial.remark = event.remark or trial.remark
        seconds = event.metrics.get("epoch_seconds", 0.0)
        trial.seconds += seconds
        self.seconds_trained += seconds
        self.epochs_done += 1
        self.macs_done += trial.macs
        self.timeline.append((trial.number, trial.epoch))
        trial.is_paused = event.decision is Decision.PAUSE
        self.losses_in_a_row = self.dead_nodes_in_a_row = 0
        self.first_failures = ("", 0)
        self.standings.add_score(trial)
        if event.checkpoint:
            trial.checkpoints[event.epoch] = event.checkpoint
            trial.deaths = 0
        if event.decision in OUTCOME_OF:
            trial.message = event.reason
            self._end(trial, OUTCOME_OF[event.decision])
        self.standings.update(trial)

    def _count_loss(self, event: WorkersRestarted) -> None:
        trial = self.trials[event.trial]
        trial.restarts, trial.deaths = event.restarts, event.deaths
        if event.fault == Fault.NODE_DIED:
            self.dead_nodes_in_a_row += 1
        else:
            self.losses_in_a_row += 1

    def _end(self, trial: TrialRecord, outcome: Outcome) -> None:
        """Its record is final but for the test."""
        trial.outcome, trial.is_paused = outcome, False
        if outcome in GAVE_NOTHING:
            self.timeline.append((trial.number, 0))
        if trial.number in self.unfinished:
            # In this order: a view that looks in between must not miss it.
            self.ended.append(trial)
            del self.unfinished[trial.number]

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

    def is_over(self) -> bool:
        return not self.unfinished and (len(self.trials) >= self.budget or self.scheduler.is_spent(self, ()))

    def remaining(self) -> int:
        """Trials that still need a worker group: unfinished ones and those not sampled yet."""
        new = 0 if self.scheduler.is_spent(self, ()) else max(0, self.budget - len(self.trials))
        return len(self.unfinished) + new

    def failures_in_a_row(self, message: str) -> int:
        """Trials that failed last with the same error as `message` tells of, in their first epoch."""
        cause, count = self.first_failures
        return count if cause == cause_of(message) else 0

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
        return self.scheduler.next(self, running)

    def sample(self, number: int) -> dict[str, Any]:
        """The params of a new trial."""
        tried = self.trials.values() if self.searcher == "tpe" else ()
        completed = [trial.scores for trial in tried if trial.outcome is Outcome.COMPLETED]
        history = [
            Observation(
                params=dict(trial.params),
                values=trial.scores if trial.outcome is not Outcome.DIVERGED else (),
                ended=trial.outcome is not None,
                completed=trial.outcome is Outcome.COMPLETED,
                predicted=expected_end(trial.scores, completed) if trial.is_paused else None,
            )
            for trial in tried
        ]
        return self.sampler.sample(number, history, self._points)

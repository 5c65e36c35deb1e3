"""All that is known to have happened in a study: plain data, rebuilt from the journal's events.

Here: what became of every trial. Not here: Ray, files, clocks; what follows from it (`state`, `decisions`); how the
trials stand (`standings`).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from cifarray.space.space import SearchSpace
from cifarray.study.audit import Audit, given_up
from cifarray.study.events import (
    AuditStarted,
    CheckpointDropped,
    CheckpointLost,
    CheckpointStored,
    DriverEnded,
    DriverStarted,
    EarlierTrials,
    EpochEnded,
    Event,
    MicroBatchHalved,
    TestOpened,
    TrialEnded,
    TrialReopened,
    TrialSampled,
    TrialStarted,
    WorkersRestarted,
)
from cifarray.study.faults import Fault, cause_of
from cifarray.study.history import FIRST_EARLIER, earlier_trials
from cifarray.study.samplers import Allowed, SearcherName, point_key
from cifarray.study.schedulers import RunAll, Scheduler
from cifarray.study.standings import Standings
from cifarray.study.time_budget import Spent, TimeBudget
from cifarray.study.trial_record import DEFAULT_METRIC, GAVE_NOTHING, OUTCOME_OF, Decision, Metric, Outcome, TrialRecord


@dataclass
class StudyRecord:
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
    time_budget: TimeBudget | None = None
    """What this driver may spend, with all that was spent before; None: as long as the trials take."""
    audit: Audit | None = None
    """What runs to its end after the search, of the trials that it gave up; None: nothing."""
    allowed: Allowed | None = None
    macs_of: Callable[[dict[str, Any]], int] | None = field(default=None, compare=False, repr=False)
    """Multiply-adds of a point's network, for one image; None where they are not known before it is a trial."""
    trials: dict[int, TrialRecord] = field(default_factory=dict)
    unfinished: dict[int, TrialRecord] = field(default_factory=dict)
    """Trials without an outcome."""
    ended: list[TrialRecord] = field(default_factory=list)
    """The others, in the order in which they ended."""
    earlier: dict[int, TrialRecord] = field(default_factory=dict)
    """Finished trials of other studies, by numbers below 0: searcher and strategy learn from them, and they are no
    trials of this study."""
    learnt_from: list[EarlierTrials] = field(default_factory=list)
    timeline: list[tuple[int, int]] = field(default_factory=list)
    """(trial, epoch) of every epoch in the order in which they ended, each once; (trial, 0) where a trial ended for a
    reason of its own before its last epoch."""
    epochs_done: int = 0
    """By all trials together, each epoch once."""
    macs_done: int = 0
    """Multiply-adds for one image, summed over all epochs of all trials, each once."""
    seconds_trained: float = 0.0
    spent: Spent = field(default_factory=Spent)
    losses_in_a_row: int = 0
    """Of the workers of any trials, without a new epoch of any in between, by this driver."""
    dead_nodes_in_a_row: int = 0
    """Those of them that were losses of nodes, which count apart."""
    first_failures: tuple[str, int] = ("", 0)
    """The cause of the latest failures in a first epoch, and how many in a row had it, without an epoch in between."""
    standings: Standings = field(default_factory=Standings)
    _points: set[str] = field(default_factory=set)
    """Those that a trial has."""
    audited: dict[int, TrialRecord] = field(default_factory=dict)
    """Trials that were given up, and run or ran to their end in an audit of that."""
    _audited_from: set[int] = field(default_factory=set)
    """Those that were given up when they were chosen."""
    _settled: set[int] = field(default_factory=set)
    """Those that were given up when a driver had come to the search's end."""
    _begun: DriverStarted | None = None
    """The latest driver."""

    def replay(self, events: Iterable[Event]) -> None:
        for event in events:
            self.apply(event)

    def apply(self, event: Event) -> None:
        """Take in one event of the journal. Kinds that concern neither trials nor losses (a report) change nothing."""
        self.spent.take(event)
        match event:
            case DriverStarted():
                self.losses_in_a_row = self.dead_nodes_in_a_row = 0
                self.first_failures = ("", 0)
                self._begun = event
            case EarlierTrials():
                self._learn(event)
            case TrialSampled():
                self._take_in(event)
            case TrialStarted():
                trial = self.trials[event.trial]
                trial.attempts, trial.group = event.attempt, event.group
                trial.is_paused = False
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
                self._reopen(self.trials[event.trial])
            case AuditStarted():
                self._audited_from |= set(event.given_up)
                for trial in map(self.trials.__getitem__, event.trials):
                    trial.given_up_after = trial.epoch
                    self.audited[trial.number] = trial
                    self._reopen(trial)
            case DriverEnded(reason="finished") if not self.unfinished and not self._ended_by_budget():
                self._settled = set(given_up(self.ended))
            case CheckpointStored(trial=number):
                self.trials[number].checkpoints[event.epoch] = event.checkpoint
                self.trials[number].deaths = 0
                self.standings.update(self.trials[number])
            case CheckpointDropped() | CheckpointLost():
                trial = self.trials[event.trial]
                trial.checkpoints.pop(event.epoch, None)
                self.standings.update(trial)
            case TestOpened():
                trial = self.trials[event.trial]
                trial.test, trial.test_openings, trial.test_images = event.metrics, event.opening, event.images
                trial.test_computed = event.computed

    def _ended_by_budget(self) -> bool:
        """Whether the latest driver's budget of time ended it before all of its trials had begun."""
        return (
            self._begun is not None
            and self._begun.budget_seconds is not None
            and len(self.trials) < self._begun.num_trials
        )

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

    def _reopen(self, trial: TrialRecord) -> None:
        self.ended.remove(trial)
        self.unfinished[trial.number] = trial
        trial.outcome, trial.message, trial.outcome_recorded, trial.deaths = None, "", False, 0
        self.standings.update(trial)

    def _learn(self, event: EarlierTrials) -> None:
        if any(event.id == known.id for known in self.learnt_from):
            return
        self.learnt_from.append(event)
        for trial in earlier_trials(event, self.metric, FIRST_EARLIER - len(self.earlier)):
            self.earlier[trial.number] = trial
            self.timeline += [(trial.number, epoch) for epoch in range(1, trial.epoch + 1)]
            if trial.outcome in GAVE_NOTHING:
                self.timeline.append((trial.number, 0))

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
        if trial.given_up_after is None:
            self.macs_done += trial.macs
            self.timeline.append((trial.number, trial.epoch))
            self.standings.add_score(trial)
        trial.is_paused, trial.is_out_of_time = event.decision is Decision.PAUSE, event.out_of_time
        self.losses_in_a_row = self.dead_nodes_in_a_row = 0
        self.first_failures = ("", 0)
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
        if outcome in GAVE_NOTHING and trial.given_up_after is None:
            self.timeline.append((trial.number, 0))
        if trial.number in self.unfinished:
            # In this order: a view that looks in between must not miss it.
            self.ended.append(trial)
            del self.unfinished[trial.number]

    def failures_in_a_row(self, message: str) -> int:
        """Trials that failed last with the same error as `message` tells of, in their first epoch."""
        cause, count = self.first_failures
        return count if cause == cause_of(message) else 0

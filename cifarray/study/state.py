"""All that follows in a study: plain data, rebuilt from the journal's events, and pure functions on it.

Here: what is known of every trial, which trial starts next and with what, what follows an epoch or a fault, which
checkpoints are kept. What follows an epoch or a fault is returned as events, which the caller writes to the journal and
then applies; `next` and `sample` return plain values, of which the driver makes events. Not here: Ray, files, clocks;
how the trials stand (`standings`); the rules of a scheduler (`schedulers`), of a searcher (`samplers`), of faults
(`faults`).
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cifarray.config import TrainConfig
from cifarray.space.space import SearchSpace
from cifarray.study.events import (
    CheckpointDropped,
    EpochEnded,
    Event,
    MicroBatchHalved,
    StudyStarted,
    TestOpened,
    TrialEnded,
    TrialSampled,
    TrialStarted,
    WorkersRestarted,
)
from cifarray.study.faults import End, Fault, Retry, TrialFault, decide
from cifarray.study.samplers import Allowed, Observation, Sampler, SearcherName, point_key
from cifarray.study.schedulers import Assignment, RunAll, Scheduler, from_settings
from cifarray.study.standings import Standings
from cifarray.study.trial_record import DEFAULT_METRIC, OUTCOME_OF, Decision, Metric, Outcome, TrialRecord
from cifarray.training.batches import more_accumulation


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
    trials: dict[int, TrialRecord] = field(default_factory=dict)
    unfinished: dict[int, TrialRecord] = field(default_factory=dict)
    """Trials without an outcome."""
    ended: list[TrialRecord] = field(default_factory=list)
    """The others, in the order in which they ended."""
    epochs_done: int = 0
    """By all trials together, each epoch once."""
    seconds_trained: float = 0.0
    standings: Standings = field(default_factory=Standings)
    _points: set[str] = field(default_factory=set)
    """Those that a trial has."""
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
        """Take in one event of the journal. Kinds that say nothing of a trial change nothing."""
        match event:
            case TrialSampled():
                self._take_in(event)
            case TrialStarted():
                trial = self.trials[event.trial]
                trial.attempts, trial.group = event.attempt, event.group
            case EpochEnded():
                self._count_epoch(event)
            case WorkersRestarted():
                self.trials[event.trial].restarts = event.restarts
            case MicroBatchHalved():
                trial = self.trials[event.trial]
                trial.config = {**trial.config, "accumulate": event.accumulate}
                trial.halvings.append((event.epoch, event.accumulate))
            case TrialEnded():
                trial = self.trials[event.trial]
                self._end(trial, event.outcome)
                trial.message, trial.outcome_recorded = event.message, True
                self.standings.update(trial)
            case CheckpointDropped():
                trial = self.trials[event.trial]
                trial.checkpoints.pop(event.epoch, None)
                self.standings.update(trial)
            case TestOpened():
                trial = self.trials[event.trial]
                trial.test, trial.test_openings = event.metrics, event.opening

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
        self.standings.add_score(trial)
        if event.checkpoint:
            trial.checkpoints[event.epoch] = event.checkpoint
        if event.decision in OUTCOME_OF:
            trial.message = event.reason
            self._end(trial, OUTCOME_OF[event.decision])
        self.standings.update(trial)

    def _end(self, trial: TrialRecord, outcome: Outcome) -> None:
        """Its record is final but for the test."""
        trial.outcome = outcome
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
        return not self.unfinished and len(self.trials) >= self.budget

    def remaining(self) -> int:
        """Trials that still need a worker group: unfinished ones and those not sampled yet."""
        return len(self.unfinished) + max(0, self.budget - len(self.trials))

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
        history = [
            Observation(
                params=dict(trial.params),
                values=trial.scores if trial.outcome is not Outcome.DIVERGED else (),
                ended=trial.outcome is not None,
                completed=trial.outcome is Outcome.COMPLETED,
            )
            for trial in tried
        ]
        return self.sampler.sample(number, history, self._points)

    def after_epoch(
        self,
        number: int,
        epoch: int,
        metrics: Mapping[str, Any],
        checkpoint: str | None,
        precision: str = "",
        remark: str = "",
    ) -> tuple[Decision, list[Event]]:
        """What follows `epoch` of a trial, and the events that record it, with what its workers say of it.

        An epoch that the journal has already (it is run again after a restart) gets the decision that it had, and no
        event; so nothing is counted twice.
        """
        trial = self.trials[number]
        if epoch <= trial.epoch:
            return trial.decisions[epoch - 1], []
        if epoch != trial.epoch + 1:
            raise AssertionError(f"trial {number} answered epoch {epoch} after epoch {trial.epoch}")
        decision, reason = Decision.COMPLETE, ""
        if epoch < trial.config["epochs"]:
            decision, reason = self.scheduler.after_epoch(self, trial.with_epoch(metrics))
        events: list[Event] = [
            EpochEnded(
                trial=number,
                epoch=epoch,
                metrics=dict(metrics),
                decision=decision,
                checkpoint=checkpoint,
                reason=reason,
                precision=precision,
                remark=remark if remark != trial.remark else "",
            )
        ]
        if decision in OUTCOME_OF:
            events.append(TrialEnded(trial=number, outcome=OUTCOME_OF[decision], message=reason))
        return decision, events

    def after_restarts(self, number: int, restarts: int) -> list[Event]:
        """What is to be recorded where a trial's workers were restarted in its group, `restarts` times in all."""
        trial = self.trials[number]
        if restarts <= trial.restarts:
            return []
        return [WorkersRestarted(trial=number, restarts=restarts, epoch=trial.epoch)]

    def after_fault(self, number: int, fault: Fault, message: str, restarts: int = 0, workers: int = 1) -> list[Event]:
        """What follows a fault of a trial that is not over: it goes on from its newest checkpoint, or has ended.

        restarts: how often its workers were lost before, as far as its group knows.
        """
        trial = self.trials[number]
        restarts = max(restarts, trial.restarts)
        accumulate = _smaller_micro_batches(trial.config, workers) if fault is Fault.OUT_OF_MEMORY else None
        verdict = decide(TrialFault(fault, message, restarts, accumulate))
        assert isinstance(verdict, Retry | End), "only a study pauses"
        events: list[Event] = []
        if verdict.restarts > trial.restarts:
            restarted = WorkersRestarted(trial=number, restarts=verdict.restarts, epoch=trial.epoch, reason=message)
            events.append(restarted)
        if isinstance(verdict, End):
            return [*events, TrialEnded(trial=number, outcome=verdict.outcome, message=verdict.message)]
        if verdict.accumulate is not None:
            # Where batch normalisation sees other batches from now on, the figures are to say so.
            epoch = trial.checkpoint[0] if trial.checkpoint else 0
            events.append(MicroBatchHalved(trial=number, epoch=epoch, accumulate=verdict.accumulate, message=message))
        return events

    def repairs(self) -> list[Event]:
        """Ends of trials that a crash cut off after the epoch that implies them."""
        return [
            TrialEnded(trial=trial.number, outcome=trial.outcome, message=trial.message)
            for trial in self.ended
            if trial.outcome is not None and not trial.outcome_recorded
        ]

    def superfluous_checkpoints(self) -> list[CheckpointDropped]:
        """All but the newest of a trial; of ended trials only the best keep theirs.

        Where nothing is selected (no validation images) every ended trial keeps its last one.
        """
        given_up = self.standings.not_kept(self.keep_checkpoints)
        dropped = []
        for number in self.standings.superfluous(self.keep_checkpoints):
            checkpoints = self.trials[number].checkpoints
            newest = max(checkpoints)
            dropped += [
                CheckpointDropped(trial=number, epoch=epoch, checkpoint=address)
                for epoch, address in checkpoints.items()
                if number in given_up or epoch != newest
            ]
        return dropped


def _smaller_micro_batches(config: Mapping[str, Any], workers: int) -> int | None:
    """How many micro-batches a trial that is out of memory may try next; None if it may not, or they are as small as
    can be."""
    train_config = TrainConfig.from_dict(config)
    return (
        more_accumulation(train_config.batch_size // workers, train_config.accumulate)
        if train_config.auto_micro_batch
        else None
    )

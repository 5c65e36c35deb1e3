"""All decisions of a study: plain data, rebuilt from the journal's events, and pure functions on it.

Here: what is known of every trial, which trial starts next and with what, whether one goes on after an epoch, which
checkpoints are kept, how trials rank. Every function that decides returns the events that say so; the caller writes
them to the journal first and applies them then. Not here: Ray, files, clocks.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cifarray.config import TrainConfig
from cifarray.space.space import SearchSpace
from cifarray.study.samplers import Observation, SearcherName, allowed_grid, sample
from cifarray.study.schedulers.asha import Asha
from cifarray.study.trial_record import DEFAULT_METRIC, OUTCOME_OF, Decision, Metric, Outcome, TrialRecord
from cifarray.training.batches import more_accumulation

Event = dict[str, Any]

MAX_RESTARTS = 3
"""A trial whose workers die this often ends as failed."""


@dataclass(frozen=True)
class Assignment:
    """What to run next: a trial, the epoch after which it goes on and the checkpoint of that epoch."""

    number: int
    epoch: int
    checkpoint: str | None
    attempt: int
    restarts: int


@dataclass
class StudyState:
    """A study's plan and the trials so far.

    allowed: whether a point's network is within the space's limits; it is asked before the point becomes a trial.
    """

    space: SearchSpace
    num_trials: int
    searcher: SearcherName
    scheduler: Asha | None
    seed: int
    metric: Metric = DEFAULT_METRIC
    keep_checkpoints: int = 3
    allowed: Callable[[dict[str, Any]], bool] = lambda params: True
    trials: dict[int, TrialRecord] = field(default_factory=dict)
    _grid_size: int | None = None

    @classmethod
    def from_events(cls, events: Sequence[Mapping[str, Any]]) -> "StudyState":
        """A study as its journal tells it, from the first event (`study`) on."""
        first = events[0]
        settings = dict(first["scheduler"] or {})
        scheduler = Asha(**settings) if settings.pop("name", None) == "asha" else None
        space = SearchSpace.from_dict(first["name"], first)
        metric = Metric(first["metric"])
        state = cls(space, first["num_trials"], first["searcher"], scheduler, first["seed"], metric)
        state.replay(events)
        return state

    # What happened.

    def apply(self, event: Mapping[str, Any]) -> None:
        """Take in one event of the journal. Kinds that are no decision (driver, group, ended …) change nothing."""
        handler = getattr(self, f"_on_{event['kind']}", None)
        if handler is not None:
            handler(event)

    def replay(self, events: Iterable[Mapping[str, Any]]) -> None:
        for event in events:
            self.apply(event)

    def _on_trial(self, event: Mapping[str, Any]) -> None:
        self.trials[event["trial"]] = TrialRecord(
            number=event["trial"],
            params=event["params"],
            config=event["config"],
            num_params=event["num_params"],
            macs=event["macs"],
            metric=self.metric,
        )

    def _on_start(self, event: Mapping[str, Any]) -> None:
        trial = self.trials[event["trial"]]
        trial.attempts = event["attempt"]
        trial.group = event["group"]

    def _on_epoch(self, event: Mapping[str, Any]) -> None:
        trial = self.trials[event["trial"]]
        trial.epochs.append(event["metrics"])
        trial.decisions.append(Decision(event["decision"]))
        trial.seconds += event["metrics"].get("epoch_seconds", 0.0)
        if event["checkpoint"]:
            trial.checkpoints[event["epoch"]] = event["checkpoint"]
        if trial.decisions[-1] in OUTCOME_OF:
            trial.outcome = OUTCOME_OF[trial.decisions[-1]]

    def _on_restart(self, event: Mapping[str, Any]) -> None:
        self.trials[event["trial"]].restarts = event["restarts"]

    def _on_micro_batch(self, event: Mapping[str, Any]) -> None:
        trial = self.trials[event["trial"]]
        trial.config = {**trial.config, "accumulate": event["accumulate"]}
        trial.halvings.append((event["epoch"], event["accumulate"]))

    def _on_outcome(self, event: Mapping[str, Any]) -> None:
        trial = self.trials[event["trial"]]
        trial.outcome, trial.message, trial.outcome_recorded = Outcome(event["outcome"]), event["message"], True

    def _on_dropped(self, event: Mapping[str, Any]) -> None:
        self.trials[event["trial"]].checkpoints.pop(event["epoch"], None)

    def _on_test(self, event: Mapping[str, Any]) -> None:
        trial = self.trials[event["trial"]]
        trial.test, trial.test_openings = event["metrics"], event["opening"]

    # What follows.

    @property
    def budget(self) -> int:
        """Trials in all; a grid may have fewer points than were asked for."""
        if self.searcher != "grid":
            return self.num_trials
        if self._grid_size is None:
            self._grid_size = sum(1 for _ in allowed_grid(self.space, self.allowed))
        return min(self.num_trials, self._grid_size)

    def unfinished(self) -> list[TrialRecord]:
        return [trial for trial in self.trials.values() if trial.outcome is None]

    def is_over(self) -> bool:
        return len(self.trials) >= self.budget and not self.unfinished()

    def remaining(self) -> int:
        """Trials that still need a worker group: unfinished ones and those not sampled yet."""
        return len(self.unfinished()) + max(0, self.budget - len(self.trials))

    def next_number(self, running: Iterable[int]) -> int | None:
        """The trial to start now: an unfinished one that is not running, else a new one, else None."""
        busy = set(running)
        waiting = [trial.number for trial in self.unfinished() if trial.number not in busy]
        if waiting:
            return min(waiting)
        return len(self.trials) if len(self.trials) < self.budget else None

    def sample(self, number: int) -> dict[str, Any]:
        """The params of a new trial."""
        tried = self.trials.values() if self.searcher == "tpe" else ()
        history = [
            Observation(
                params=trial.params,
                values=trial.scores if trial.outcome is not Outcome.DIVERGED else (),
                ended=trial.outcome is not None,
                completed=trial.outcome is Outcome.COMPLETED,
            )
            for trial in tried
        ]
        return sample(self.space, self.searcher, self.seed, number, history, self.allowed)

    def assignment(self, number: int) -> Assignment:
        """Where a trial goes on: after its newest checkpoint, or from the start."""
        trial = self.trials[number]
        epoch, address = trial.checkpoint or (0, None)
        return Assignment(number, epoch, address, trial.attempts + 1, trial.restarts)

    def after_epoch(
        self, number: int, epoch: int, metrics: Mapping[str, Any], checkpoint: str | None
    ) -> tuple[Decision, list[Event]]:
        """What follows `epoch` of a trial, and the events that record it.

        An epoch that the journal has already (it is run again after a restart) gets the decision that it had, and no
        event; so nothing is counted twice.
        """
        trial = self.trials[number]
        if epoch <= trial.epoch:
            return trial.decisions[epoch - 1], []
        if epoch != trial.epoch + 1:
            raise AssertionError(f"trial {number} answered epoch {epoch} after epoch {trial.epoch}")
        decision = Decision.CONTINUE
        epochs = trial.config["epochs"]
        if epoch >= epochs:
            decision = Decision.COMPLETE
        elif self.scheduler and epoch in self.scheduler.rungs(epochs):
            name, score = self.metric.name, self.metric.score
            others = [t.epochs[epoch - 1] for t in self.trials.values() if t is not trial and t.epoch >= epoch]
            if not self.scheduler.goes_on(score(metrics[name]), [score(known[name]) for known in others]):
                decision = Decision.STOP
        events: list[Event] = [
            {
                "kind": "epoch",
                "trial": number,
                "epoch": epoch,
                "metrics": dict(metrics),
                "decision": str(decision),
                "checkpoint": checkpoint,
            }
        ]
        if decision in OUTCOME_OF:
            events.append(outcome_event(number, OUTCOME_OF[decision]))
        return decision, events

    def after_loss(self, number: int, reason: str) -> list[Event]:
        """A trial lost its workers: it starts again from its checkpoint, or has failed if that happened too often."""
        trial = self.trials[number]
        restarts = trial.restarts + 1
        events: list[Event] = [{"kind": "restart", "trial": number, "restarts": restarts, "epoch": trial.epoch}]
        if restarts >= MAX_RESTARTS:
            events.append(outcome_event(number, Outcome.FAILED, f"its workers were lost {restarts} times: {reason}"))
        return events

    def after_out_of_memory(self, number: int, workers: int, message: str) -> list[Event]:
        """A trial that may halve its micro-batches goes on from its checkpoint with such; any other has ended."""
        trial = self.trials[number]
        config = TrainConfig.from_dict(trial.config)
        accumulate = None
        if config.auto_micro_batch:
            accumulate = more_accumulation(config.batch_size // workers, config.accumulate)
        if accumulate is None:
            return [outcome_event(number, Outcome.OUT_OF_MEMORY, message)]
        # Where batch normalisation sees other batches from now on, the figures are to say so.
        epoch = trial.checkpoint[0] if trial.checkpoint else 0
        told = {"trial": number, "epoch": epoch, "accumulate": accumulate, "message": message}
        return [{"kind": "micro_batch", **told}]

    def repairs(self) -> list[Event]:
        """Outcome events that a crash cut off after the epoch event that implies them."""
        return [
            outcome_event(trial.number, trial.outcome, trial.message)
            for trial in self.trials.values()
            if trial.outcome is not None and not trial.outcome_recorded
        ]

    def ranking(self, trials: Iterable[TrialRecord] | None = None) -> list[TrialRecord]:
        """Of all trials or some, best first.

        Trials that ran to their last epoch, then the others by how far they came, then by value.
        """

        def key(trial: TrialRecord) -> tuple[Any, ...]:
            value = trial.value if trial.outcome is not Outcome.DIVERGED else None
            share = trial.epoch / trial.config["epochs"]
            return (
                trial.outcome is not Outcome.COMPLETED,
                -share,
                -(self.metric.score(value) if value is not None else float("-inf")),
                trial.number,
            )

        return sorted(self.trials.values() if trials is None else trials, key=key)

    def superfluous_checkpoints(self) -> list[Event]:
        """`dropped` events: all but the newest of a trial; of finished trials only the best keep theirs.

        Where nothing is selected (no validation images) every completed trial keeps its last one.
        """
        holders = [trial for trial in self.trials.values() if trial.checkpoints]
        finished = self.ranking(trial for trial in holders if trial.outcome is not None)
        selected = any(trial.value is not None for trial in holders)
        kept = finished[: self.keep_checkpoints] if selected else finished
        keepers = {trial.number for trial in kept} | {trial.number for trial in holders if trial.outcome is None}
        dropped: list[Event] = []
        for trial in holders:
            newest = trial.checkpoint
            for epoch, address in trial.checkpoints.items():
                if trial.number not in keepers or (newest is not None and epoch != newest[0]):
                    dropped.append({"kind": "dropped", "trial": trial.number, "epoch": epoch, "checkpoint": address})
        return dropped


def outcome_event(number: int, outcome: Outcome, message: str = "") -> Event:
    return {"kind": "outcome", "trial": number, "outcome": str(outcome), "message": message}

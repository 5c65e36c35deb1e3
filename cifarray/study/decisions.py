"""What follows in a study: pure functions of its state, which return the events that record it (and what they decide).

The caller writes them to the journal and then applies them. Not here: what starts next (`StudyState.next`, `sample`),
the rules of a scheduler (`schedulers`), of faults (`faults`).
"""

from collections.abc import Collection, Mapping
from typing import Any

from cifarray.config import TrainConfig
from cifarray.study.events import (
    AuditStarted,
    CheckpointDropped,
    CheckpointLost,
    CheckpointStored,
    EpochEnded,
    Event,
    MicroBatchHalved,
    TrialEnded,
    TrialReopened,
    WorkersRestarted,
)
from cifarray.study.faults import End, Fault, Losses, Pause, Retry, TrialFault, decide
from cifarray.study.schedulers.scheduler import paused
from cifarray.study.state import StudyState
from cifarray.study.time_budget import is_reached, why_it_pauses
from cifarray.study.trial_record import OUTCOME_OF, Decision, Outcome
from cifarray.training.batches import smaller_micro_batches


def after_epoch(
    state: StudyState,
    number: int,
    epoch: int,
    metrics: Mapping[str, Any],
    checkpoint: str | None,
    precision: str = "",
    remark: str = "",
    running: Collection[int] = (),
) -> tuple[Decision, list[Event]]:
    """What follows `epoch` of a trial, and the events that record it, with what its workers say of it.

    Where the budget of time is reached the trial pauses, if it has a checkpoint to go on from. running: numbers of the
    trials that run, that one may be among them.

    An epoch that the journal has already (it is run again after a restart) gets the decision that it had, and no event
    but of a checkpoint that there was not; so nothing is counted twice. A trial that was told to pause there and runs
    was told to go on since; so was one that was stopped there and is audited.
    """
    trial = state.trials[number]
    if epoch <= trial.epoch:
        recorded = trial.decisions[epoch - 1]
        goes_on = recorded is Decision.PAUSE or (recorded is Decision.STOP and trial.given_up_after is not None)
        is_news = checkpoint is not None and epoch not in trial.checkpoints
        stored = [CheckpointStored(trial=number, epoch=epoch, checkpoint=str(checkpoint))] if is_news else []
        return Decision.CONTINUE if goes_on else recorded, [*stored]
    if epoch != trial.epoch + 1:
        raise AssertionError(f"trial {number} answered epoch {epoch} after epoch {trial.epoch}")
    decision, reason, out_of_time = Decision.COMPLETE, "", False
    if epoch < trial.config["epochs"]:
        done = trial.with_epoch(metrics)
        decision = Decision.CONTINUE
        if trial.given_up_after is None:
            decision, reason = state.scheduler.after_epoch(state.as_searched(), done)
        if decision is Decision.CONTINUE and checkpoint is not None and (why := why_it_pauses(state, done, running)):
            decision, reason, out_of_time = Decision.PAUSE, why, True
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
            out_of_time=out_of_time,
        )
    ]
    if decision in OUTCOME_OF:
        events.append(TrialEnded(trial=number, outcome=OUTCOME_OF[decision], message=reason))
    return decision, events


def after_restarts(state: StudyState, number: int, losses: Losses) -> list[Event]:
    """What is to be recorded where a trial's workers were restarted in its group."""
    trial = state.trials[number]
    if losses.total <= trial.restarts:
        return []
    return [
        WorkersRestarted(
            trial=number,
            restarts=losses.total,
            epoch=trial.epoch,
            reason=losses.message,
            fault=losses.fault or "",
            deaths=losses.deaths,
        )
    ]


def after_fault(
    state: StudyState, number: int, fault: Fault, message: str, losses: Losses | None = None, workers: int = 1
) -> tuple[list[Event], str]:
    """What follows a fault of a trial that is not over: it goes on from a checkpoint, or has ended, or the study
    pauses. Returns the events that record it, and why the study pauses, empty if it does not.

    losses: of its workers before this one, as far as its group knows.
    """
    trial = state.trials[number]
    restarts, deaths = trial.restarts, trial.deaths
    if losses is not None and losses.total >= restarts:
        restarts, deaths = losses.total, losses.deaths
    in_a_row = state.dead_nodes_in_a_row if fault is Fault.NODE_DIED else state.losses_in_a_row
    accumulate = None
    if fault is Fault.OUT_OF_MEMORY:
        accumulate = smaller_micro_batches(TrainConfig.from_dict(trial.config), workers)
    alike = state.failures_alike(message) if fault is Fault.RAISED and trial.epoch == 0 else 0
    verdict = decide(TrialFault(fault, message, restarts, deaths, in_a_row, alike, accumulate))
    events: list[Event] = []
    if verdict.restarts > trial.restarts:
        events.append(
            WorkersRestarted(
                trial=number,
                restarts=verdict.restarts,
                epoch=trial.epoch,
                reason=message,
                fault=fault,
                deaths=deaths + (fault is Fault.WORKERS_DIED),
            )
        )
    newest, address = trial.checkpoint or (0, "")
    match verdict:
        case End(outcome, why):
            events.append(TrialEnded(trial=number, outcome=outcome, message=why))
        case Retry(older=True) if newest:
            events.append(CheckpointLost(trial=number, epoch=newest, checkpoint=address, message=message))
        case Retry(accumulate=int(fewer)):
            # Where batch normalisation sees other batches from now on, the figures are to say so.
            events.append(MicroBatchHalved(trial=number, epoch=newest, accumulate=fewer, message=message))
    match verdict:
        case Pause(reason) | End(pause=reason):
            return events, reason
    return events, ""


def closings(state: StudyState, running: Collection[int]) -> list[TrialEnded]:
    """Ends of paused trials, where nothing will go on any more: all has been spent, or nothing runs or is to start.

    What waits for a larger budget of time goes on.
    """
    if is_reached(state, running):
        return []
    if running and not state.is_spent(running):
        return []
    return [
        TrialEnded(
            trial=trial.number,
            outcome=Outcome.STOPPED,
            message=f"paused after epoch {trial.epoch} of {trial.config['epochs']}, others were given preference",
        )
        for trial in paused(state.as_searched(), running)
    ]


def reopenings(state: StudyState) -> list[Event]:
    """Of all trials that failed: they may be tried again."""
    return [TrialReopened(trial=trial.number) for trial in state.ended if trial.outcome is Outcome.FAILED]


def audit(state: StudyState) -> list[Event]:
    """The beginning of an audit of early stopping, where one is due."""
    chosen, candidates = state.to_audit()
    return [AuditStarted(trials=chosen, given_up=candidates)] if chosen else []


def repairs(state: StudyState) -> list[Event]:
    """The missing `TrialEnded` of trials whose last epoch is recorded: a crash came between the two."""
    return [
        TrialEnded(trial=trial.number, outcome=trial.outcome, message=trial.message)
        for trial in state.ended
        if trial.outcome is not None and not trial.outcome_recorded
    ]


def superfluous_checkpoints(state: StudyState) -> list[CheckpointDropped]:
    """All but the newest of a trial, or the newest two while it runs; of ended trials only the best keep theirs.

    Where nothing is selected (no validation images) every ended trial keeps its last one.
    """
    given_up = state.standings.not_kept(state.keep_checkpoints)
    dropped = []
    for number in state.standings.superfluous(state.keep_checkpoints):
        trial = state.trials[number]
        needed = [] if number in given_up else sorted(trial.checkpoints)[-trial.checkpoints_needed :]
        dropped += [
            CheckpointDropped(trial=number, epoch=epoch, checkpoint=address)
            for epoch, address in trial.checkpoints.items()
            if epoch not in needed
        ]
    return dropped

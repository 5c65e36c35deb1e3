"""A study carried out by one group and a curve for each trial: the decisions alone, event by event."""

from collections.abc import Callable
from typing import Any

from histories import started

from cifarray.study import decisions
from cifarray.study.events import Event, TrialEnded, TrialSampled
from cifarray.study.state import StudyState
from cifarray.study.trial_record import Decision, Outcome

Curve = Callable[[dict[str, Any], int], float | None]
"""The metric of a point after an epoch; None where it diverges in that epoch."""


def carry_out(state: StudyState, curve: Curve, macs: Callable[[dict[str, Any]], int] = lambda params: 1):
    """Runs what is left of a study to its end, an epoch as many seconds as its network has `macs`. Yields every event
    when it is in the state."""

    def record(*events: Event):
        for event in events:
            state.apply(event)
            yield event

    while not state.is_over():
        yield from record(*decisions.audit(state))
        assignment = state.next(running=[])
        if assignment is None:
            closings = decisions.closings(state, running=[])
            assert closings, "nothing runs, nothing is started, and it is not over"
            yield from record(*closings)
            continue
        number = assignment.number
        if number not in state.trials:
            params = state.sample(number) if assignment.params is None else dict(assignment.params)
            config = state.space.config(params).to_dict()
            yield from record(TrialSampled(trial=number, params=params, config=config, num_params=1, macs=macs(params)))
        yield from record(started(number, assignment.epoch, attempt=assignment.attempt))
        yield from _stay(state, number, assignment.epoch, curve, record)


def _stay(state, number, epoch, curve, record):
    """Until the trial leaves its group."""
    decision, params = Decision.CONTINUE, dict(state.trials[number].params)
    while decision is Decision.CONTINUE:
        epoch += 1
        value = curve(params, epoch)
        if value is None:
            yield from record(TrialEnded(trial=number, outcome=Outcome.DIVERGED, message="the loss is nan"))
            return
        metrics = {"epoch": epoch, state.metric.name: value, "epoch_seconds": float(state.trials[number].macs)}
        decision, events = decisions.after_epoch(state, number, epoch, metrics, f"/{number}/{epoch}")
        yield from record(*events)

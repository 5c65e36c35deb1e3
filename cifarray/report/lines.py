"""The study while it runs where no table can be redrawn (job logs, pipes, simple terminals): a plain line an event.

Here too: what is said of an event in words. Not here: the table (`live`).
"""

import time
from collections.abc import Mapping
from typing import Any

from cifarray.report.leaderboard import describe_params
from cifarray.report.progress import Progress, clock, say_left
from cifarray.study.events import (
    AuditStarted,
    CheckpointLost,
    EpochEnded,
    Event,
    GroupChanged,
    MicroBatchHalved,
    TrialEnded,
    TrialReopened,
    TrialStarted,
    WorkersRestarted,
)
from cifarray.study.faults import Fault, last_line
from cifarray.study.trial_record import Decision, Metric
from cifarray.training.tasks.kinds import Kind, kind_of


class LineView(Progress):
    """One line per event."""

    def event(self, event: Event) -> None:
        super().event(event)
        text = self._describe(event)
        if text:
            self.say(f"[{clock(time.monotonic() - self.began)}] {text}")

    def _describe(self, event: Event) -> str:
        """What there is to say of an event; empty for nothing."""
        assert self.state is not None
        match event:
            case GroupChanged(group=group, event=change, reason=reason) if change != "closed":
                said = {"started": "starting", "ready": f"ready after {reason}"}
                return f"worker group {group.rsplit('-', 1)[-1]} {said.get(change, f'replaced: {last_line(reason)}')}"
            case TrialStarted(trial=number):
                after = f" after epoch {event.epoch}" if event.epoch else ""
                why = f" ({event.reason})" if event.reason else ""
                return f"trial {number} starts{after}: {describe_params(self.state.trials[number])}{why}"
            case EpochEnded(trial=number):
                epochs = self.state.trials[number].config["epochs"]
                metrics = describe_metrics(event.metrics, self.state.metric, kind_of(self.state.space.base))
                # What stops a trial is said with its end.
                why = f" ({event.reason})" if event.reason and event.decision is Decision.CONTINUE else ""
                if event.decision is Decision.PAUSE:
                    why = f" (pauses{f': {event.reason}' if event.reason else ''})"
                remark = f"; {event.remark}" if event.remark else ""
                return f"trial {number} epoch {event.epoch}/{epochs}: {metrics}{why}{remark}"
            case TrialEnded():
                left = self.left(just_ended=event.trial)
                tail = f" ({say_left(left)})" if left and left.high >= 1 else ""
                # All of a traceback is in a file of its own, once for all trials that had it.
                message = f": {last_line(event.message)}" if event.message else ""
                return f"trial {event.trial} {event.outcome}{message}{tail}"
        return describe_mishap(event)


def describe_mishap(event: Event) -> str:
    """Of an event after which a trial goes on otherwise than it did; empty for the others."""
    match event:
        case WorkersRestarted():
            why = f"; {last_line(event.reason)}" if event.reason else ""
            lost = "its node" if event.fault == Fault.NODE_DIED else "its workers"
            return f"trial {event.trial} lost {lost} ({event.restarts}{why}): goes on from its checkpoint"
        case CheckpointLost():
            return f"trial {event.trial} goes on from before epoch {event.epoch}: {event.message}"
        case AuditStarted():
            chosen = ", ".join(map(str, event.trials))
            return f"audit of early stopping: of {len(event.given_up)} given up, by chance, run to their end: {chosen}"
        case TrialReopened():
            return f"trial {event.trial} failed before and is tried again"
        case MicroBatchHalved():
            return (
                f"trial {event.trial} is out of memory: goes on after epoch {event.epoch} with accumulate "
                f"{event.accumulate}; batch normalisation, where there is some, sees smaller batches from now on"
            )
    return ""


def describe_metrics(metrics: Mapping[str, Any], metric: Metric, kind: Kind) -> str:
    """The telling ones of an epoch's metrics, in a line."""
    parts = [f"train loss {metrics['train_loss']:.3f}"] if "train_loss" in metrics else []
    if metric.name in metrics:
        parts.append(f"{metric.label} {metric.show(metrics[metric.name])}")
    parts += kind.details(metrics)
    if "images_per_second" in metrics:
        parts.append(f"{metrics['images_per_second']:,.0f} images/s")
    if "teacher_seconds" in metrics:
        share = metrics["teacher_seconds"] / metrics["epoch_seconds"]
        parts.append(f"the teacher takes {100 * share:.0f} % of the time")
    return ", ".join(parts)

"""The study while it runs: a live table on a terminal, one plain line per event elsewhere (job logs, pipes).

Both hear the journal's events and read the study's state; neither decides anything.
"""

import threading
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from cifarray.report.leaderboard import describe_params
from cifarray.report.stages import stage
from cifarray.study.events import (
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
from cifarray.study.faults import Fault
from cifarray.study.samplers import shortage
from cifarray.study.state import StudyState
from cifarray.study.study import Study
from cifarray.study.trial_record import Decision, Metric, Outcome, TrialRecord
from cifarray.training.tasks.kinds import Kind, kind_of

SHOWN_ENDED = 8


class Progress:
    """What both views know: the running trials and how long the rest will take."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.state: StudyState | None = None
        self.running: set[int] = set()
        self.groups_starting: dict[str, float] = {}
        self.groups_ready = 0
        self.began = time.monotonic()

    def stage(self, doing: str) -> AbstractContextManager[None]:
        """What is done before the study starts."""
        return stage(self.console, doing)

    def start(self, study: Study, state: StudyState, worker: str) -> None:
        """worker: what one takes, `1 CPU + 1 GPU`."""
        self.state, self.began = state, time.monotonic()
        workers = f"{study.workers} DDP worker{'s' if study.workers > 1 else ''}"
        ended = sum(trial.outcome is not None for trial in state.trials.values())
        self.console.print(
            f"study {study.name}: {state.budget} trials, {workers} × ({worker}) each; results in {study.address}",
            highlight=False,
            soft_wrap=True,
        )
        fewer = shortage(state.budget, study.num_trials)
        if fewer:
            self.console.print(fewer, highlight=False, soft_wrap=True)
        if state.trials:
            self.console.print(f"going on: {ended} trials are done, {state.remaining()} remain", highlight=False)

    def event(self, event: Event) -> None:
        """Keep up with one event of the journal."""
        match event:
            case TrialStarted(trial=trial):
                self.running.add(trial)
            case TrialEnded(trial=trial):
                self.running.discard(trial)
            case GroupChanged(group=group, event="started"):
                self.groups_starting[group] = time.monotonic()
            case GroupChanged(group=group, event="ready"):
                self.groups_starting.pop(group, None)
                self.groups_ready += 1
            case GroupChanged(group=group):
                if self.groups_starting.pop(group, None) is None:
                    self.groups_ready -= 1

    def stop(self) -> None: ...

    def seconds_left(self, just_ended: int | None = None) -> float | None:
        """An estimate from the epochs done so far; trials that are stopped early make it shorter. None at first.

        just_ended: a trial whose end the state does not know yet; a view hears of events before they take effect.
        """
        assert self.state is not None
        state = self.state
        if not state.epochs_done:
            return None
        unfinished = list(state.unfinished.values())
        going = [trial for trial in unfinished if trial.number != just_ended]
        per_epoch = state.seconds_trained / state.epochs_done
        if state.ended:
            usual = (state.epochs_done - sum(trial.epoch for trial in unfinished)) / len(state.ended)
        else:
            usual = max((trial.config["epochs"] for trial in unfinished), default=0)
        todo = sum(max(0.0, trial.config["epochs"] - trial.epoch) for trial in going)
        new = state.budget - len(state.trials)
        todo += usual * new
        # When a trial has just ended, the next one is not running yet.
        at_once = min(max(len(self.running), self.groups_ready), len(going) + new)
        return per_epoch * todo / max(1, at_once)


class LineView(Progress):
    """One line per event."""

    def say(self, text: str) -> None:
        self.console.print(
            f"[{clock(time.monotonic() - self.began)}] {text}", markup=False, highlight=False, soft_wrap=True
        )

    def event(self, event: Event) -> None:
        super().event(event)
        text = self._describe(event)
        if text:
            self.say(text)

    def _describe(self, event: Event) -> str:
        """What there is to say of an event; empty for nothing."""
        assert self.state is not None
        match event:
            case GroupChanged(group=group, event=change, reason=reason) if change != "closed":
                said = {"started": "starting", "ready": f"ready after {reason}"}
                return f"worker group {group.rsplit('-', 1)[-1]} {said.get(change, f'replaced: {last_line(reason)}')}"
            case TrialStarted(trial=number):
                after = f" after epoch {event.epoch}" if event.epoch else ""
                return f"trial {number} starts{after}: {describe_params(self.state.trials[number])}"
            case EpochEnded(trial=number):
                epochs = self.state.trials[number].config["epochs"]
                metrics = describe_metrics(event.metrics, self.state.metric, kind_of(self.state.space.base))
                # What stops a trial is said with its end.
                why = f" ({event.reason})" if event.reason and event.decision is Decision.CONTINUE else ""
                remark = f"; {event.remark}" if event.remark else ""
                return f"trial {number} epoch {event.epoch}/{epochs}: {metrics}{why}{remark}"
            case WorkersRestarted():
                why = f"; {last_line(event.reason)}" if event.reason else ""
                lost = "its node" if event.fault == Fault.NODE_DIED else "its workers"
                return f"trial {event.trial} lost {lost} ({event.restarts}{why}): goes on from its checkpoint"
            case CheckpointLost():
                return f"trial {event.trial} goes on from before epoch {event.epoch}: {event.message}"
            case TrialReopened():
                return f"trial {event.trial} failed before and is tried again"
            case MicroBatchHalved():
                return describe_micro_batch(event)
            case TrialEnded():
                left = self.seconds_left(just_ended=event.trial)
                tail = f" (about {clock(left)} left)" if left and left >= 1 else ""
                # All of a traceback is in a file of its own, once for all trials that had it.
                message = f": {last_line(event.message)}" if event.message else ""
                return f"trial {event.trial} {event.outcome}{message}{tail}"
        return ""


class TableView(Progress):
    """A table that is redrawn in place."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._live: Live | None = None
        self._lock = threading.Lock()

    def start(self, study: Study, state: StudyState, worker: str) -> None:
        super().start(study, state, worker)
        self._live = Live(
            console=self.console, get_renderable=self.draw, refresh_per_second=4, transient=True, redirect_stderr=False
        )
        self._live.start()

    def event(self, event: Event) -> None:
        with self._lock:
            super().event(event)
        match event:
            case TrialEnded(outcome=Outcome.FAILED | Outcome.OUT_OF_MEMORY):
                text = f"trial {event.trial} {event.outcome}: {last_line(event.message)}"
                self.console.print(text, markup=False, highlight=False, soft_wrap=True)
            case MicroBatchHalved():
                self.console.print(describe_micro_batch(event), markup=False, highlight=False, soft_wrap=True)
            case EpochEnded(remark=remark) if remark:
                self.console.print(f"trial {event.trial}: {remark}", markup=False, highlight=False, soft_wrap=True)

    def stop(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def draw(self) -> RenderableType:
        """The table as of now, and its summary. Only after `start`."""
        assert self.state is not None
        with self._lock:
            running = sorted(self.running)
            starting = dict(self.groups_starting)
        trials, ended = self.state.trials, self.state.ended
        drawn = Table(box=None, padding=(0, 2), header_style="bold")
        for heading in ("trial", "state", "epoch", self.state.metric.label, "images/s"):
            drawn.add_column(heading, justify="left" if heading == "state" else "right", no_wrap=True)
        drawn.add_column("what varies", overflow="ellipsis", no_wrap=True)
        for trial in ended[-SHOWN_ENDED:]:
            self._add(drawn, trial, str(trial.outcome), "dim")
        for number in running:
            if number in trials:
                self._add(drawn, trials[number], "running", "")
        best = self.state.best()
        left = self.seconds_left()
        summary = [f"{len(ended)}/{self.state.budget} trials done", f"{len(running)} running"]
        if starting:
            waited = time.monotonic() - min(starting.values())
            summary.append(f"{len(starting)} worker group{'s' if len(starting) > 1 else ''} starting ({waited:.0f} s)")
        if best is not None:
            summary.append(f"best {self.state.metric.show(best.value)} (trial {best.number})")
        summary.append(f"{clock(time.monotonic() - self.began)} so far")
        if left is not None:
            summary.append(f"about {clock(left)} left")
        return Group(drawn, Text("  " + " · ".join(summary), style="bold"))

    def _add(self, drawn: Table, trial: TrialRecord, state: str, style: str) -> None:
        metrics = trial.epochs[-1] if trial.epochs else {}
        speed = metrics.get("images_per_second")
        drawn.add_row(
            str(trial.number),
            state,
            f"{trial.epoch}/{trial.config['epochs']}",
            trial.metric.show(trial.value),
            f"{speed:,.0f}" if speed else "–",
            describe_params(trial),
            style=style,
        )


def describe_micro_batch(event: MicroBatchHalved) -> str:
    """What `auto_micro_batch` has done, and what follows from it."""
    return (
        f"trial {event.trial} is out of memory: goes on after epoch {event.epoch} with accumulate "
        f"{event.accumulate}; batch normalisation, where there is some, sees smaller batches from now on"
    )


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


def clock(seconds: float) -> str:
    """62 seconds as 1:02; an hour and more as 1:01:02."""
    whole = int(seconds)
    hours, minutes = whole // 3600, whole // 60 % 60
    return f"{hours}:{minutes:02d}:{whole % 60:02d}" if hours else f"{minutes}:{whole % 60:02d}"


def last_line(text: str) -> str:
    """Of a traceback, what it says."""
    return text.strip().splitlines()[-1].strip() if text.strip() else ""

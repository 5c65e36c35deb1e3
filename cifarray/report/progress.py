"""What every view of a running study knows: which trials and worker groups there are now, and how long it still takes.

A view hears the journal's events and reads the study's state; it decides nothing. Not here: the views (`live`,
`lines`).
"""

import math
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager

from rich.console import Console

from cifarray.report.audit import audit_rule
from cifarray.report.budget import is_unlimited, remaining, rule, so_far, trials_in_all
from cifarray.report.sentences import say
from cifarray.report.stages import stage
from cifarray.report.warm_start import learnt
from cifarray.study.events import EpochEnded, Event, GroupChanged, TrialEnded, TrialStarted
from cifarray.study.forecast import Forecast, Interval, Pace
from cifarray.study.samplers import shortage
from cifarray.study.state import StudyState
from cifarray.study.study import Study
from cifarray.study.time_budget import UNLIMITED
from cifarray.study.trial_record import Decision, TrialRecord

AskPaces = Callable[[Iterable[str]], Mapping[int, Pace]]
"""What the workers of the groups with these names are at, by trial, as far as they told; costs a message each."""


def no_paces(groups: Iterable[str]) -> dict[int, Pace]:
    return {}


class Progress:
    """The running trials and how long the rest will take."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.state: StudyState | None = None
        self.running: dict[int, str] = {}
        """By number, the names of the worker groups that the running trials are in."""
        self.groups_starting: dict[str, float] = {}
        self.groups_ready = 0
        self.began = time.monotonic()
        self._heard: dict[int, float] = {}
        """When a running trial's present epoch began."""
        self._took: dict[int, tuple[int, float]] = {}
        """By number, the last epoch that was told and its seconds: a view hears of events before they take effect."""
        self._forecast: Forecast | None = None

    def stage(self, doing: str) -> AbstractContextManager[None]:
        """What is done before the study starts."""
        return stage(self.console, doing)

    def start(self, study: Study, state: StudyState, worker: str, ask_paces: AskPaces = no_paces) -> None:
        """worker: what one takes, `1 CPU + 1 GPU`."""
        self.state, self.began = state, time.monotonic()
        workers = f"{study.workers} DDP worker{'s' if study.workers > 1 else ''}"
        ended = sum(trial.outcome is not None for trial in state.trials.values())
        self.say(f"study {study.name}: {trials_in_all(state.budget)}, {workers} × ({worker}) each")
        self.say(f"results in {study.address}")
        if state.time_budget is not None:
            spent = f"; {so_far(state, state.time_budget)}" if state.trials else ""
            self.say(f"{rule(state.time_budget)}{spent}")
        if audited := audit_rule(study):
            self.say(audited)
        for event in state.learnt_from:
            self.say(learnt(event))
        fewer = None if study.num_trials >= UNLIMITED else shortage(state.budget, study.num_trials)
        if fewer:
            self.say(fewer)
        if state.trials:
            rest = remaining(state)[0] if is_unlimited(state) else f"{state.remaining()} remain"
            self.say(f"going on: {ended} trials are done, {rest}")

    def say(self, text: str) -> None:
        say(self.console, text)

    def event(self, event: Event) -> None:
        """Keep up with one event of the journal."""
        match event:
            case TrialStarted(trial=trial, group=group):
                self.running[trial] = group
                self._heard[trial] = time.monotonic()
            case EpochEnded(trial=trial):
                self._heard[trial] = time.monotonic()
                self._took[trial] = event.epoch, event.metrics.get("epoch_seconds", 0.0)
                if event.decision is Decision.PAUSE:
                    self._left(trial)
            case TrialEnded(trial=trial):
                self._left(trial)
            case GroupChanged(group=group, event="started"):
                self.groups_starting[group] = time.monotonic()
            case GroupChanged(group=group, event="ready"):
                self.groups_starting.pop(group, None)
                self.groups_ready += 1
            case GroupChanged(group=group):
                if self.groups_starting.pop(group, None) is None:
                    self.groups_ready -= 1

    def _left(self, trial: int) -> None:
        """Its group."""
        self.running.pop(trial, None)
        self._heard.pop(trial, None)

    def stopping(self, text: str) -> None:
        """Somebody wants the end; text: what is waited for."""
        self.say(text)

    def stop(self) -> None: ...

    def left(self, paces: Mapping[int, Pace] | None = None, just_ended: int | None = None) -> Interval | None:
        """How many seconds the study still takes; None at first. just_ended: as `event` heard it now."""
        assert self.state is not None
        if self._forecast is None:
            self._forecast = Forecast(self.state)
        now = time.monotonic()
        waited = {trial: now - since for trial, since in self._heard.items()}
        # When a trial has just ended, the next one is not running yet.
        at_once = max(len(self.running), self.groups_ready)
        ended = None if just_ended is None else (just_ended, self._seconds(self.state.trials[just_ended]))
        return self._forecast.left(at_once, paces, waited, ended)

    def _seconds(self, trial: TrialRecord) -> float:
        """That its epochs took, with the last one, which the state may not know yet."""
        epoch, seconds = self._took.get(trial.number, (0, 0.0))
        return trial.seconds + (seconds if epoch > trial.epoch else 0.0)


def say_left(left: Interval) -> str:
    """`4–7 min left`: rounded outwards, in the unit of the larger."""
    _, unit, step, name = next(row for row in _UNITS if left.high <= row[0])
    low = math.floor(left.low / unit / step) * step
    high = max(step, math.ceil(left.high / unit / step) * step)
    if low == 0:
        return f"at most {high} {name} left"
    return f"{low}–{high} {name} left" if high - low > step else f"about {high} {name} left"


_UNITS = ((90.0, 1.0, 5, "s"), (7200.0, 60.0, 1, "min"), (259200.0, 3600.0, 1, "h"), (math.inf, 86400.0, 1, "days"))
"""Up to how many seconds a time is said in a unit of so many seconds, in steps of how many of it, and its name."""


def clock(seconds: float) -> str:
    """62 seconds as 1:02; an hour and more as 1:01:02."""
    whole = int(seconds)
    hours, minutes = whole // 3600, whole // 60 % 60
    return f"{hours}:{minutes:02d}:{whole % 60:02d}" if hours else f"{minutes}:{whole % 60:02d}"

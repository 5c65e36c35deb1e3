"""How long a study still takes, from what its trials have taken so far: a range, since nobody knows who is stopped.

Pure functions of a state and of seconds. Not here: a clock, how a range is said (`cifarray.report.progress`).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from cifarray.study.state import StudyState
from cifarray.study.trial_record import TrialRecord

LIKELY = 1.28
"""Standard deviations around the mean that hold 80 % of a normal distribution."""


@dataclass(frozen=True)
class Pace:
    """How far the workers of a trial are within an epoch (from 1): `step` of `steps` are done, of so many images each.

    images_per_second: of all ranks, of late; 0 where nothing was measured yet.
    """

    trial: int
    epoch: int
    step: int
    steps: int
    batch_size: int
    images_per_second: float = 0.0

    def since(self, epoch: int) -> float:
        """Epochs done since `epoch`; more than 1 where the next one is trained already and its checkpoint is being
        written, negative where epochs are done again."""
        return self.epoch - 1 + self.step / self.steps - epoch

    @property
    def epoch_seconds(self) -> float | None:
        """How long an epoch takes at this speed, its evaluation aside."""
        return self.steps * self.batch_size / self.images_per_second if self.images_per_second else None


@dataclass(frozen=True)
class Interval:
    """Seconds: at least and at most, as far as can be told."""

    low: float
    high: float


@dataclass(frozen=True)
class _Sample:
    """Mean and spread of some numbers (Welford 1962, "Note on a method for calculating corrected sums")."""

    n: int = 0
    mean: float = 0.0
    squares: float = 0.0

    def with_value(self, value: float) -> "_Sample":
        n = self.n + 1
        mean = self.mean + (value - self.mean) / n
        return _Sample(n, mean, self.squares + (value - self.mean) * (value - mean))

    def deviation(self, alike: bool) -> float:
        """Of the sample; one value tells nothing of the others unless they are alike, and they may be half as much."""
        if self.n > 1:
            return math.sqrt(self.squares / (self.n - 1))
        return 0.0 if alike else self.mean / 2


class Forecast:
    """Of one study. What ended trials took is added up once, so that it costs the same after a thousand of them."""

    def __init__(self, state: StudyState) -> None:
        self._state = state
        self._ended = _Sample()
        """Seconds that the ended trials took."""
        self._counted = 0

    def left(
        self,
        at_once: int,
        paces: Mapping[int, Pace] | None = None,
        waited: Mapping[int, float] | None = None,
        just_ended: tuple[int, float] | None = None,
    ) -> Interval | None:
        """None before anything is known of the speed.

        at_once: trials that run side by side. paces: of running trials, by number, where their workers told it; waited:
        seconds since their last epoch, where they did not. just_ended: a trial whose end the state does not know yet,
        and how many seconds it took.
        """
        most = self._time_left(max(1, at_once), waited or {})
        found = self._left(at_once, paces or {}, waited or {}, just_ended)
        if most is None:
            return found
        return Interval(min(found.low, most), min(found.high, most)) if found is not None else Interval(0.0, most)

    def _time_left(self, at_once: int, waited: Mapping[int, float]) -> float | None:
        """Until the budget of time is spent where `at_once` trials run; None where there is no such budget."""
        budget = self._state.time_budget
        if budget is None:
            return None
        return max(0.0, budget.of_groups - self._state.spent.seconds - sum(waited.values())) / at_once

    def _left(
        self,
        at_once: int,
        paces: Mapping[int, Pace],
        waited: Mapping[int, float],
        just_ended: tuple[int, float] | None,
    ) -> Interval | None:
        """Until all trials are done."""
        state = self._state
        share = state.share_spent(())
        # After it there is an audit of early stopping, of so many trials.
        if share is not None and share < 1:
            return self._rest_after(share, max(1, at_once))
        self._count_ended()
        shortest = longest = self._ended
        if just_ended is not None and just_ended[0] in state.unfinished:
            shortest = longest = self._ended.with_value(just_ended[1])
        low: list[float] = []
        high: list[float] = []
        for trial in list(state.unfinished.values()):
            if just_ended is not None and trial.number == just_ended[0]:
                continue
            seconds = self._epoch_seconds(trial, paces.get(trial.number))
            if seconds is None:
                if not shortest.n:
                    return None
                # Of such a trial no more is known than of one that is not there yet.
                seconds = longest.mean / trial.config["epochs"]
            epochs = trial.config["epochs"]
            soonest = trial.epoch if trial.is_paused else state.scheduler.soonest_end(trial.epoch, epochs)
            if trial.given_up_after is not None:
                soonest = epochs
            done = trial.epoch + _share(trial, seconds, paces.get(trial.number), waited.get(trial.number, 0.0))
            low.append(max(0.0, soonest - done) * seconds)
            high.append(max(0.0, epochs - done) * seconds)
            shortest, longest = shortest.with_value(soonest * seconds), longest.with_value(epochs * seconds)
        new = 0 if state.is_spent(()) else max(0, state.budget - len(state.trials))
        if not shortest.n:
            return None
        return self._together(low, high, new, shortest, longest, max(1, at_once))

    def _rest_after(self, share: float, at_once: int) -> Interval | None:
        """Where an amount of work is done, whatever trials do it: the rest takes as long for what it is as what was
        done did, but for how different trials are."""
        sample = _Sample()
        for trial in list(self._state.trials.values()):
            if trial.epoch and trial.seconds:
                sample = sample.with_value(trial.seconds / trial.epoch / max(1, trial.macs))
        if not sample.n or not share:
            return None
        rest = self._state.seconds_trained * max(0.0, 1 - share) / share
        doubt = LIKELY * sample.deviation(alike=True) / sample.mean / math.sqrt(sample.n)
        return Interval(rest * max(0.0, 1 - doubt) / at_once, rest * (1 + doubt) / at_once)

    def _together(
        self, low: list[float], high: list[float], new: int, shortest: _Sample, longest: _Sample, at_once: int
    ) -> Interval:
        """low, high: seconds that the trials of now still take; shortest, longest: what the trials so far take in all,
        from which those of the `new` ones follow."""
        if not new and len(low) <= at_once:
            return Interval(max(low, default=0.0), max(high, default=0.0))
        alike = set(self._state.space.domains) <= {"seed"}
        # The sum of `new` further values of a sample whose mean is itself uncertain.
        doubt = LIKELY * math.sqrt(new + new**2 / longest.n)
        at_least = sum(low) + max(0.0, new * shortest.mean - doubt * shortest.deviation(alike))
        at_most = sum(high) + new * longest.mean + doubt * longest.deviation(alike)
        one_more = longest.mean + LIKELY * longest.deviation(alike) if new else 0.0
        last = max([*high, one_more])
        slots = min(at_once, len(low) + new)
        # Graham 1966: in whatever order, the last one begins before the others have shared out their work evenly.
        latest = at_most / slots + (1 - 1 / slots) * last
        return Interval(min(latest, max(at_least / slots, max(low, default=0.0))), latest)

    def _count_ended(self) -> None:
        ended = self._state.ended
        if len(ended) < self._counted:
            # Failed trials were opened again.
            self._ended, self._counted = _Sample(), 0
        for trial in ended[self._counted :]:
            if trial.epoch:
                self._ended = self._ended.with_value(trial.seconds)
        self._counted = len(ended)

    def _epoch_seconds(self, trial: TrialRecord, pace: Pace | None) -> float | None:
        if trial.epoch and trial.seconds:
            return trial.seconds / trial.epoch
        measured = pace.epoch_seconds if pace is not None else None
        if measured is None and self._state.epochs_done and self._state.seconds_trained:
            return self._state.seconds_trained / self._state.epochs_done
        return measured


def share_done(trial: TrialRecord, pace: Pace | None) -> float:
    """Of all its epochs, 0..1."""
    within = pace.since(trial.epoch) if pace is not None and pace.epoch > trial.epoch else 0.0
    return float(min(1.0, (trial.epoch + within) / trial.config["epochs"]))


def _share(trial: TrialRecord, seconds: float, pace: Pace | None, waited: float) -> float:
    """What is done of the trial after its last epoch, in epochs."""
    if pace is not None and pace.epoch > trial.epoch:
        return pace.since(trial.epoch)
    return min(1.0, waited / seconds) if seconds else 0.0

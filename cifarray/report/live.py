"""The study while it runs, on a terminal: a table that is redrawn in place, and below it the study as a whole.

Whatever is said meanwhile goes above it. Not here: what it knows (`progress`), where no table can be drawn (`lines`).
"""

import sys
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence

from rich.console import Console, ConsoleRenderable, Group, RenderableType
from rich.control import Control
from rich.live import Live
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from cifarray.report import columns
from cifarray.report.budget import is_unlimited, so_far
from cifarray.report.columns import Column
from cifarray.report.leaderboard import describe_params, param_columns
from cifarray.report.lines import LineView, describe_mishap
from cifarray.report.progress import AskPaces, Progress, clock, no_paces, say_left
from cifarray.study.events import EpochEnded, Event, TrialEnded
from cifarray.study.faults import last_line
from cifarray.study.forecast import Pace, share_done
from cifarray.study.state import StudyState
from cifarray.study.study import Study
from cifarray.study.trial_record import Outcome, TrialRecord

SHOWN_ENDED = 8
ASK_SECONDS = 1.0
"""How often the workers whose trials are shown are asked how far they are."""
BAR_WIDTH = 24
STEP, SPEED = "step", "images/s"
"""Headings of the columns that go first where there is no room."""
KEPT_LINES = 6
"""Of what was said above the table, so many are said again when a terminal that changes its size has been cleared."""


def view_for(console: Console) -> Progress:
    """The table where one can be redrawn; `TERM=dumb` is a terminal too, and cannot."""
    return TableView(console) if console.is_interactive and not console.is_dumb_terminal else LineView(console)


class TableView(Progress):
    """A table that is redrawn in place."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self.paces: Mapping[int, Pace] = {}
        """By trial, as the workers of those that are shown told it last."""
        self._shown: Sequence[int] = ()
        """Running trials that were drawn last."""
        self._live: _Live | None = None
        self._lock = threading.Lock()
        self._ask_paces = no_paces
        self._stopped = threading.Event()
        self._asking: threading.Thread | None = None
        self._stopping = ""

    def start(self, study: Study, state: StudyState, worker: str, ask_paces: AskPaces = no_paces) -> None:
        self._live = _Live(
            console=self.console,
            get_renderable=self.draw,
            refresh_per_second=4,
            transient=True,
            # Python's warnings go above the table; where errors go elsewhere, they stay there.
            redirect_stderr=sys.stderr is not None and sys.stderr.isatty(),
        )
        self._live.start()
        super().start(study, state, worker)
        if ask_paces is not no_paces:
            self._asking = threading.Thread(target=self._ask, args=(ask_paces,), daemon=True)
            self._asking.start()

    def event(self, event: Event) -> None:
        with self._lock:
            super().event(event)
        match event:
            case TrialEnded(outcome=Outcome.FAILED | Outcome.OUT_OF_MEMORY):
                self.say(f"trial {event.trial} {event.outcome}: {last_line(event.message)}")
            case EpochEnded(remark=remark) if remark:
                self.say(f"trial {event.trial}: {remark}")
            case _ if mishap := describe_mishap(event):
                self.say(mishap)

    def stopping(self, text: str) -> None:
        live = self._live
        if live is None:
            self.say(text)
        else:
            # Below the table, where eyes are; when that is gone it is said once more.
            self._stopping = text
            live.refresh()

    def stop(self) -> None:
        self._stopped.set()
        if self._asking is not None:
            # Ray is about to go; asked afterwards, it would start another one.
            self._asking.join(timeout=2.0)
            self._asking = None
        if self._live is not None:
            self._live.stop()
            self._live = None
            if self._stopping:
                self.say(self._stopping)

    def draw(self) -> RenderableType:
        """The table as of now, and the study below it, no larger than the terminal."""
        if self.state is None:
            return ""
        with self._lock:
            running = sorted(number for number in self.running if number in self.state.trials)
            starting = dict(self.groups_starting)
        width, height = self.console.size
        below = self._study_lines(running, starting)
        room = height - 3 - sum(len(text.wrap(self.console, width - 2)) for text in below)
        table = self._table(running, max(2, room), width) if running or self.state.ended else Text(end="")
        return Group(table, *(Padding(line, (0, 1)) for line in (self._with_bar(below[0], running, width), *below[1:])))

    def _with_bar(self, text: Text, running: Sequence[int], width: int) -> RenderableType:
        """With the study's share that is done in front of it, if there is room."""
        state = self.state
        assert state is not None
        room = min(BAR_WIDTH, width - text.cell_len - 4)
        if room < 8:
            return text
        share = state.share_spent(())
        if share is None:
            shares = [share_done(state.trials[number], self.paces.get(number)) for number in running]
            share = (len(state.ended) + sum(shares)) / max(1, state.budget)
        if state.time_budget is not None:
            share = max(share, state.spent.seconds / state.time_budget.of_groups)
        line = Table.grid(padding=(0, 2, 0, 0))
        line.add_row(ProgressBar(1.0, min(1.0, share), width=room), text)
        return line

    def _table(self, running: Sequence[int], room: int, width: int) -> RenderableType:
        """As many of the running trials, and then of those that ended last, as there are lines."""
        assert self.state is not None
        trials, ended = self.state.trials, self.state.ended
        drawn, left_out = self._fitted([*ended[-SHOWN_ENDED:], *map(trials.__getitem__, running)], width - 2)
        room -= columns.heading_lines(drawn) + bool(left_out)
        if len(running) <= room:
            shown, last = running, ended[-min(SHOWN_ENDED, room - len(running)) :] if len(running) < room else []
        else:
            shown, last = running[: max(1, room - 1)], []
        self._shown = shown
        drawn, left_out = self._fitted([*last, *map(trials.__getitem__, shown)], width - 2)
        styles = ["dim"] * len(last) + [""] * len(shown)
        notes = []
        if len(shown) < len(running):
            notes.append(f"and {len(running) - len(shown)} more that run")
        if fields := [column for column in left_out if column.heading not in (STEP, SPEED)]:
            notes.append(f"no room for {len(fields)} more that {'vary' if len(fields) > 1 else 'varies'}")
        table = Padding(columns.draw(drawn, width - 2, styles), (0, 1))
        return Group(table, Text(f" {'; '.join(notes)}", style="dim", no_wrap=True)) if notes else table

    def _fitted(self, trials: Sequence[TrialRecord], width: int) -> tuple[list[Column], list[Column]]:
        assert self.state is not None
        paces = [self._pace(trial) for trial in trials]
        shares = [
            f" +{100 * pace.since(trial.epoch):.0f} %" if pace else ""
            for trial, pace in zip(trials, paces, strict=True)
        ]
        speeds = [_speed(trial, pace) for trial, pace in zip(trials, paces, strict=True)]
        table = [
            Column("trial", [str(trial.number) for trial in trials]),
            Column("state", [self._standing(trial) for trial in trials], left=True),
            Column(
                "epoch",
                [f"{trial.epoch}/{trial.config['epochs']}{share}" for trial, share in zip(trials, shares, strict=True)],
                left=True,
            ),
            Column(STEP, [f"{pace.step}/{pace.steps}" if pace else "–" for pace in paces], spare=1000),
            Column(self.state.metric.label, [trial.metric.show(trial.value) for trial in trials]),
            Column(SPEED, [f"{speed:,.0f}" if speed else "–" for speed in speeds], spare=999),
            *param_columns([trial.params for trial in trials], self.state.space),
        ]
        return columns.fitting(table, width)

    def _study_lines(self, running: Sequence[int], starting: Mapping[str, float]) -> list[Text]:
        """What is to be said of the study as a whole."""
        state = self.state
        assert state is not None
        share = state.share_spent(())
        done = f"{len(state.ended)} of {state.budget} trials done"
        if is_unlimited(state):
            done = f"{len(state.ended)} trials done"
        elif share is not None:
            done = f"{100 * min(1.0, share):.0f} % done by {len(state.trials)} trials"
        paused = sum(trial.is_paused for trial in list(state.unfinished.values()))
        parts = [done, *([f"{paused} paused"] if paused else []), f"{len(running)} running"]
        parts.append(f"{clock(time.monotonic() - self.began)} so far")
        if state.time_budget is not None:
            parts.append(so_far(state, state.time_budget))
        left = self.left(self.paces)
        if left is not None and (running or not state.is_over()):
            parts.append(say_left(left))
        lines = [Text(" · ".join(parts), style="bold")]
        speed = sum(pace.images_per_second for number in running if (pace := self._pace(state.trials[number])))
        more = [f"{speed:,.0f} images/s"] if speed else []
        if starting:
            waited = time.monotonic() - min(starting.values())
            more.append(f"{len(starting)} worker group{'s' if len(starting) > 1 else ''} starting ({waited:.0f} s)")
        if more:
            lines.append(Text(" · ".join(more)))
        lines += self._best(running)
        if self._stopping:
            lines.append(Text(self._stopping, style="bold yellow"))
        return lines

    def _best(self, running: Sequence[int]) -> list[Text]:
        """The best so far, running ones included, and what it is."""
        state = self.state
        assert state is not None
        first = state.best()
        if first is None:
            return []
        candidates = [first, *(state.trials[number] for number in running if state.trials[number].score is not None)]
        best = max(candidates, key=lambda trial: trial.score if trial.score is not None else float("-inf"))
        line = (
            f"best so far {best.metric.show(best.value)}: trial {best.number} after epoch {best.epoch} of "
            f"{best.config['epochs']}, {self._standing(best)}"
        )
        if best is not first and first.outcome is Outcome.COMPLETED:
            line += f"; of the completed {first.metric.show(first.value)}: trial {first.number}"
        return [Text(line), Text(describe_params(best))]

    def _standing(self, trial: TrialRecord) -> str:
        if trial.outcome is not None or trial.is_paused:
            return trial.standing
        return "running" if trial.number in self.running else "waiting"

    def _pace(self, trial: TrialRecord) -> Pace | None:
        """Of its present epoch, as far as it was told."""
        pace = self.paces.get(trial.number)
        is_present = trial.number in self.running and trial.outcome is None
        return pace if pace is not None and is_present and pace.epoch > trial.epoch else None

    def _ask(self, ask_paces: AskPaces) -> None:
        """In a thread of its own: a Ray that hangs must not keep the table."""
        while not self._stopped.wait(ASK_SECONDS):
            with self._lock:
                groups = [self.running[number] for number in self._shown if number in self.running]
            self.paces = dict(ask_paces(groups))


def _speed(trial: TrialRecord, pace: Pace | None) -> float | None:
    """Images per second: of late, else of its last epoch."""
    if pace is not None and pace.images_per_second:
        return pace.images_per_second
    return trial.epochs[-1].get("images_per_second") if trial.epochs else None


class _Live(Live):
    """Clears a terminal whose size has changed: what was drawn before is broken into other lines there."""

    def __init__(self, **options: object) -> None:
        super().__init__(**options)  # type: ignore[arg-type]
        self._size = self.console.size
        self._said: deque[ConsoleRenderable] = deque(maxlen=KEPT_LINES)

    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        processed = super().process_renderables(renderables)
        before, self._size = self._size, self.console.size
        if before != self._size:
            processed = [Control.clear(), Control.home(), *self._said, *processed[1:]]
        self._said.extend(said for said in renderables if not isinstance(said, Control))
        return processed

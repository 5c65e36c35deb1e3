"""The end of a driver: reports and the journal's last event, as far as the disk allows, and what it leaves on disk.

Not here: what is shown to the user then (`cifarray.report.last_screen`).
"""

import logging
import threading
from functools import partial
from typing import Literal

from cifarray import storage
from cifarray.data.split_sizes import split_sizes
from cifarray.engine.checkpoints import sweep
from cifarray.errors import PausedError
from cifarray.journal.journal import Journal
from cifarray.report.failures import write_failures
from cifarray.report.leaderboard import write_reports
from cifarray.report.page.at_end import write_at_end
from cifarray.study.champion import name_winner
from cifarray.study.events import CheckpointDropped, DriverEnded, WinnerNamed
from cifarray.study.state import StudyState
from cifarray.study.study import Study

Reason = Literal["finished", "interrupted", "paused", "error"]
"""Why a driver ends."""

log = logging.getLogger(__name__)


class LastWord:
    """Writes the reports and ends the journal, as far as the disk allows; what went wrong before counts more."""

    def __init__(self, study: Study, state: StudyState, journal: Journal) -> None:
        self._study, self._state, self._journal = study, state, journal
        self._said = threading.Lock()

    def say(self, reason: Reason, message: str = "") -> list[str]:
        """Once, by whichever thread comes first. Returns the reports."""
        reports: list[str] = []
        if not self._said.acquire(blocking=False):
            return reports
        try:
            reports = write_reports(self._state, self._study.folder)
            reports += write_failures(self._state, self._study.folder)
            if reason == "finished":
                reports += write_at_end(self._journal.events, self._study.folder, partial(held_out, self._study))
        except OSError as error:
            log.warning("the leaderboard cannot be written (%s)", error)
        winner = self._winner() if reason == "finished" else []
        try:
            self._journal.append([*winner, DriverEnded(reason=reason, message=message, artifacts=tuple(reports))])
        except PausedError as error:
            log.warning("%s", error)
        return reports

    def _winner(self) -> list[WinnerNamed]:
        found = name_winner(self._state, self._journal.events, self._study.register)
        return [] if found is None else [found]


def held_out(study: Study) -> int:
    """How many images the study holds out; its data were opened when it began."""
    # Late: it brings torch along.
    from cifarray.data import open_store

    data = study.space.base.data
    total = len(open_store(data.source, "train", data.image_size).labels)
    return split_sizes(total, data.validation, data.limit)[1]


def sweep_up(study: Study, journal: Journal) -> None:
    """At the end, when no worker writes any more. In a bucket another head may go on meanwhile, so that there only what
    the journal has given up is deleted, once the copy says so too."""
    # Of the journal: an interrupt may have come before the driver's own state had what is written there.
    state = study.new_state()
    state.replay(journal.events)
    dropped = {event.checkpoint for event in journal.events if isinstance(event, CheckpointDropped)}

    def sweep_up() -> None:
        try:
            sweep(study.address, state, among=dropped if journal.is_copied else None)
        except storage.StorageError as error:
            log.warning("what a killed driver may have left is not swept up: %s", error)

    journal.when_kept(sweep_up)

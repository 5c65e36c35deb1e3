"""Addresses in a journal: relative to the study, so that one that is copied, moved or set aside keeps to its own files.

In memory all are whole. Not here: how an event is written (`events`), what is at an address (`cifarray.storage`).
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from cifarray import places, storage
from cifarray.study.events import Event, StudyStarted


class Addresses:
    """Of the study whose journal is in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = str(folder)
        """Of its reports, on the driver's disk."""
        self.study = places.address(folder) or self.folder
        """Where its checkpoints are."""
        self._before = self.study

    def shortened(self, event: Event) -> Event:
        """As it is written."""
        return self._changed(event, lambda address, base: address.removeprefix(f"{base}/"))

    def whole(self, event: Event) -> Event:
        """As it is meant here. Older journals hold whole addresses, of where the study was when it began."""
        if isinstance(event, StudyStarted):
            self._before = storage.join(event.storage, event.name)
        return self._changed(event, self._rebased)

    def _rebased(self, address: str, base: str) -> str:
        inside = address.removeprefix(f"{self._before}/")
        is_whole = inside.startswith("/") or "://" in inside
        return inside if is_whole else storage.join(base, inside)

    def _changed(self, event: Event, change: Callable[[str, str], str]) -> Event:
        values = vars(event)
        changes: dict[str, Any] = {}
        if values.get("checkpoint"):
            changes["checkpoint"] = change(values["checkpoint"], self.study)
        if values.get("artifacts"):
            changes["artifacts"] = tuple(change(path, self.folder) for path in values["artifacts"])
        return replace(event, **changes) if changes else event

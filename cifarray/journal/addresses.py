"""Addresses in a journal: relative to the study, so that one that is copied, moved or set aside keeps to its own files.

In memory all are whole. Not here: how an event is written (`events`), what is at an address (`cifarray.storage`).
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cifarray import places, storage
from cifarray.study.events import Event

_CHECKPOINT = re.compile(r"[^/]+/epoch-\d+\.pt$")
_REPORT = re.compile(r"[^/]+$")
"""What an address is inside of its study."""


class Addresses:
    """Of the study whose journal is in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = str(folder)
        """Of its reports, on the driver's disk."""
        self.study = places.address(folder) or self.folder
        """Where its checkpoints are."""

    def shortened(self, event: Event) -> Event:
        """As it is written."""
        return self._changed(event, lambda address, base, inside: address.removeprefix(f"{base}/"))

    def whole(self, event: Event) -> Event:
        """As it is meant here. Older journals hold whole addresses, of where the study was then."""
        return self._changed(event, _rebased)

    def checkpoint(self, address: str) -> str:
        """As it is meant here, of an address as it is written."""
        return _rebased(address, self.study, _CHECKPOINT)

    def _changed(self, event: Event, change: Callable[[str, str, re.Pattern[str]], str]) -> Event:
        values = vars(event)
        changes: dict[str, Any] = {}
        if values.get("checkpoint"):
            changes["checkpoint"] = change(values["checkpoint"], self.study, _CHECKPOINT)
        if values.get("artifacts"):
            changes["artifacts"] = tuple(change(path, self.folder, _REPORT) for path in values["artifacts"])
        if not changes:
            return event
        # As `replace` does, at a third of its time, which is much of what reading a million epochs takes.
        changed = object.__new__(type(event))
        vars(changed).update(values, **changes)
        return changed


def _rebased(address: str, base: str, inside: re.Pattern[str]) -> str:
    if not address.startswith("/") and "://" not in address:
        return storage.join(base, address)
    place = inside.search(address)
    return storage.join(base, place[0]) if place else address

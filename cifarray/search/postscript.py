"""What is found out about a study after it has ended: one more event in its journal, which tracking sends on.

Not here: what such an event says (`lesion`, `cifarray.cli.ablating`), what becomes of it (`cifarray.tracking.changes`).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cifarray.search.journal import Journal, StudyRunningError
from cifarray.search.study_folder import last_of_driver
from cifarray.tracking import Tracking


def open_ended(folder: Path) -> Journal:
    """The journal in `folder`, to append to after its driver has ended.

    Raises StudyRunningError if a driver of this machine has it open and, for a study in an object store, if the last
    driver did not end it: that may live on another machine, and would stop at an event that is not its own.
    """
    journal = Journal(folder)
    last = last_of_driver(journal.events)
    if journal.is_copied and last is not None and last["kind"] == "driver":
        journal.close()
        raise StudyRunningError(
            f"study {folder.name!r} runs on another machine, or was killed: wait for its end, or run it again first"
        )
    return journal


def append_to_ended(folder: Path, event: Mapping[str, Any], tracking_uri: str) -> str:
    """Appends to the journal in `folder` and waits for MLflow; returns what tracking has to say, mostly nothing."""
    try:
        journal = open_ended(folder)
    except StudyRunningError:
        return (
            "the study is running, or was killed and is to be run again first, "
            "so MLflow hears of this only if the same is asked again when it has ended"
        )
    try:
        tracking = Tracking(journal.path, tracking_uri)
        journal.append([event])
        tracking.wake()
        return tracking.finish(timeout=30.0).message
    finally:
        journal.close()

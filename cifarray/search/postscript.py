"""What is found out about a study after it has ended: one more event in its journal, which tracking sends on.

Not here: what such an event says (`lesion`, `cifarray.cli.ablating`), what becomes of it (`cifarray.tracking.changes`).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cifarray.search.journal import Journal, StudyRunningError
from cifarray.tracking import Tracking


def append_to_ended(folder: Path, event: Mapping[str, Any], tracking_uri: str) -> str:
    """Appends to the journal in `folder` and waits for MLflow; returns what tracking has to say, mostly nothing."""
    try:
        journal = Journal(folder)
    except StudyRunningError:
        return "the study is running, so MLflow hears of this only if the same is asked again when it has ended"
    try:
        tracking = Tracking(journal.path, tracking_uri)
        journal.append([event])
        tracking.wake()
        return tracking.finish(timeout=30.0).message
    finally:
        journal.close()

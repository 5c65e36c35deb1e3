"""What is found out about a study after it has ended: one more event in its journal, which tracking sends on.

Not here: what such an event says (`cifarray.examine`, `cifarray.ablation`), what becomes of it (`changes`).
"""

from pathlib import Path

from cifarray.journal.folder import open_ended
from cifarray.journal.journal import StudyRunningError
from cifarray.study.events import Event
from cifarray.tracking.process import Tracking


def append_to_ended(folder: Path, event: Event, tracking_uri: str) -> str:
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

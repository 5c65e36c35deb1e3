"""The page that a study makes of itself at its end, as long as that takes a second or two.

Not here: the champion before its images, which takes longer (`cifarray.examine.report`).
"""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from cifarray.study.events import Event

PAGE = "report.html"
"""In the study's folder."""
MOST_EVENTS = 5_000
"""Of a journal; longer ones are for `jobs/report.py`."""

log = logging.getLogger(__name__)


def write_at_end(events: Sequence[Event], folder: Path, held_out: Callable[[], int]) -> list[str]:
    """PAGE in `folder`, and its path; nothing for a long study. What goes wrong is only logged.

    held_out: how many images the study's metric was measured on.
    """
    path = folder / PAGE
    if len(events) > MOST_EVENTS:
        # One of an earlier, shorter end would say what is not so any more.
        path.unlink(missing_ok=True)
        return []
    try:
        # Late: it takes a second, which studies that are refused or interrupted do without.
        from cifarray.report.page import document
        from cifarray.report.page.told import tell

        told = tell(events, folder)
        told.validation_images = held_out() or None
        return [str(document.write([told], path))]
    except Exception as error:
        log.warning(
            "the report page cannot be made (%s: %s): jobs/report.py tries it again", type(error).__name__, error
        )
        return []

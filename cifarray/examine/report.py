"""The report of one study or of several: read, look at the champions, write the page, tell MLflow.

Not here: the page (`cifarray.report.page`), what is typed (`cifarray.cli.report`).
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from cifarray.errors import StudyError
from cifarray.examine.champion import examine_champion, known_held_out
from cifarray.examine.progress import Tell, tell_nobody
from cifarray.journal import targets
from cifarray.report.page import document
from cifarray.report.page.at_end import PAGE
from cifarray.report.page.champion import Examined
from cifarray.report.page.told import read
from cifarray.study.events import StudyReported
from cifarray.tracking.ended import append_to_ended


def run_report(
    names: Sequence[str],
    where: str,
    tracking_uri: str,
    price: float | None = None,
    look: bool = True,
    tell: Tell = tell_nobody,
) -> Iterator[str | Path]:
    """Yields what is worth saying, and at last the page's path.

    names: studies as `targets.find` takes them, side by side; the page is in the folder of the first. price: of a
    worker-hour. look: at the champions' validation images. The page of a single study goes to MLflow as well.
    Raises StudyError if a name is no study, or one is named twice.
    """
    folders = [targets.find(name, where)[0] for name in names]
    twice = next((folder.name for place, folder in enumerate(folders) if folder in folders[:place]), None)
    if twice is not None:
        raise StudyError(f"study {twice!r} is named twice: name each study once")
    studies = [read(folder) for folder in folders]
    examined: dict[str, Examined | str] = {}
    for told in studies:
        if look:
            examined[told.name] = examine_champion(told, tell)
        told.validation_images = told.validation_images or known_held_out(told)
    others = [told.name for told in studies[1:]]
    path = folders[0] / ("-".join(["report", "with", *others]) + ".html" if others else PAGE)
    document.write(studies, path, examined, price)
    if not others:
        message = append_to_ended(folders[0], StudyReported(metrics={}, artifacts=(str(path),)), tracking_uri)
        if message:
            yield message
    yield path

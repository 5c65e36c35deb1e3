"""What of a study is refused once its data are open, before anything is written.

Not here: parts of a study that cannot work together (`cifarray.study.study`), batches without images
(`cifarray.study.images`), what never fits on the cluster (`capacity`), networks that cannot be or are too large
(`cifarray.space.sizes`).
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from cifarray.errors import StudyError
from cifarray.study.events import EarlierTrials, StudyStarted
from cifarray.study.state import StudyState

if TYPE_CHECKING:
    from cifarray.data import ImageStore


def refuse_observations_of_other_images(earlier: Iterable[EarlierTrials], store: "ImageStore") -> None:
    """Raises StudyError if a study that is to be learnt from has seen other images."""
    for event in earlier:
        if event.data_sha256 != store.sha256:
            there = f"sha256 {event.data_sha256[:12]}… there" if event.data_sha256 else "there its journal names none"
            raise StudyError(
                f"study {event.study!r} has seen other images than those of {store.source} ({there}, "
                f"{store.sha256[:12]}… here), and its trials say nothing of a search on these: leave it out of "
                "--warm-start, or name its images with --data"
            )


def refuse_other_images(started: StudyStarted, store: "ImageStore", state: StudyState) -> None:
    """Raises StudyError if a study whose trials have seen other images is to go on: they could not be compared."""
    if state.trials and started.data_sha256 not in ("", store.sha256):
        raise StudyError(
            f"the images of {store.source} are not those that study {started.name!r} began with "
            f"(sha256 {started.data_sha256[:12]}… then, {store.sha256[:12]}… now): bring them back, choose another "
            "--name, or start anew with --fresh"
        )

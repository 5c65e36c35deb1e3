"""What of a study is refused once its data are open, before anything is written.

Not here: parts of a study that cannot work together (`cifarray.study.study`), batches without images
(`cifarray.study.images`), what never fits on the cluster (`capacity`), networks that cannot be or are too large
(`cifarray.space.sizes`).
"""

from typing import TYPE_CHECKING

from cifarray.errors import StudyError
from cifarray.study.events import StudyStarted
from cifarray.study.state import StudyState

if TYPE_CHECKING:
    from cifarray.data import ImageStore


def refuse_other_images(started: StudyStarted, store: "ImageStore", state: StudyState) -> None:
    """Raises StudyError if a study whose trials have seen other images is to go on: they could not be compared."""
    if state.trials and started.data_sha256 not in ("", store.sha256):
        raise StudyError(
            f"the images of {store.source} are not those that study {started.name!r} began with "
            f"(sha256 {started.data_sha256[:12]}… then, {store.sha256[:12]}… now): bring them back, choose another "
            "--name, or start anew with --fresh"
        )

"""Whether there are images enough for what a space may ask for, known from their number alone.

Not here: which images there are (`cifarray.data`).
"""

from cifarray.errors import StudyError
from cifarray.space.rules import IMAGES
from cifarray.space.space import RECIPE, SearchSpace
from cifarray.training.batches import steps_of


def refuse_batches_without_images(space: SearchSpace, num_images: int) -> None:
    """Raises StudyError for a corner of the space that trains with no batch; `num_images` are those of its base's data.

    A recipe is named where there are several.
    """
    for corner in space.corners_of(IMAGES):
        config = space.config(corner)
        if config.data.source != space.base.data.source:
            continue
        try:
            steps_of(config, num_images)
        except ValueError as error:
            name = f"{corner[RECIPE]}: " if RECIPE in corner else ""
            raise StudyError(f"{name}{error}") from None

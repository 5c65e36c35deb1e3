"""What of a study is refused once its data are open, before anything is written.

Not here: parts of a study that cannot work together (`cifarray.study.study`), what never fits on the cluster
(`capacity`), networks that cannot be or are too large (`cifarray.space.sizes`).
"""

from torch import Tensor

from cifarray.data import split_indices
from cifarray.errors import StudyError
from cifarray.space.space import SearchSpace
from cifarray.training.batches import count_steps


def refuse_batches_without_images(space: SearchSpace, labels: Tensor) -> None:
    """Raises StudyError for a recipe whose batches are larger than the data: it would be trained with none."""
    for name, config in space.recipes.items():
        train_rows, _ = split_indices(labels, config.data.validation, config.data.limit)
        try:
            count_steps(len(train_rows), config.batch_size)
        except ValueError as error:
            raise StudyError(f"{name}: {error}") from None

"""What of a study is refused, in one sentence, before anything starts: parts that cannot work together.

Not here: what never fits on the cluster (`plan`), networks that cannot be or are too large (`sizes`).
"""

from typing import TYPE_CHECKING

from torch import Tensor

from cifarray.data import split_indices
from cifarray.models import check_init, check_options, check_stochastic_depth
from cifarray.search.plan import StudyError
from cifarray.search.space import SearchSpace
from cifarray.training import METRICS, check_batch
from cifarray.training.batches import count_steps

if TYPE_CHECKING:
    from cifarray.search.study import Study

NAME_RULE = "letters, digits, '-', '_' and '.'"


def check_study(study: "Study") -> None:
    """Looks at the study alone, at every corner of its space. Raises ValueError."""
    if not study.name or not all(c.isalnum() or c in "-_." for c in study.name) or study.name.startswith("."):
        raise ValueError(f"study name {study.name!r} is not valid: use {NAME_RULE}, not starting with a dot")
    for what in ("num_trials", "workers"):
        if getattr(study, what) < 1:
            raise ValueError(f"{what.removeprefix('num_')} {getattr(study, what)} is too few: choose 1 or more")
    if study.concurrent is not None and study.concurrent < 1:
        raise ValueError(f"concurrent {study.concurrent} is too few: choose 1 or more, or auto")
    if study.scheduler and study.space.base.data.validation == 0:
        raise ValueError(
            "data.validation 0 leaves nothing to compare trials by: set --scheduler none, or hold images out"
        )
    if study.searcher == "grid":
        next(study.space.grid())
    for corner in study.space.start_corners():
        config = study.space.config(corner)
        name, options, init = config.model.name, config.model.options, config.init
        check_options(name, options)
        check_init(name, options, init.weights, init.zero_gamma)
        check_stochastic_depth(name, options, config.stochastic_depth)
    paths = ["recipe", "batch_size", "accumulate", "data.grid", "sync_batch_norm"]
    configs = [study.space.config(corner) for corner in study.space.corners(paths)]
    for size, accumulate in sorted({(config.batch_size, config.accumulate) for config in configs}):
        check_batch(size, study.workers, accumulate)
    if study.gpus_per_worker == 0 and any(config.sync_batch_norm for config in configs):
        raise ValueError("sync_batch_norm works on GPUs only and gpus_per_worker is 0: set sync_batch_norm to false")
    for grid in sorted({config.data.grid for config in configs}):
        known = [f"val_{name}" for name in METRICS[grid]]
        if study.metric.name not in known:
            raise ValueError(f"metric {study.metric.name!r} is not measured here: choose one of {', '.join(known)}")


def refuse_batches_without_images(space: SearchSpace, labels: Tensor) -> None:
    """Raises StudyError for a recipe whose batches are larger than the data: it would be trained with none."""
    for name, config in space.recipes.items():
        train_rows, _ = split_indices(labels, config.data.validation, config.data.limit)
        try:
            count_steps(len(train_rows), config.batch_size)
        except ValueError as error:
            raise StudyError(f"{name}: {error}") from None

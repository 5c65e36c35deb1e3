"""Which rows are in a batch, which of them a rank takes, and in how many micro-batches.

A batch is a stretch of the epoch's order whatever the number of workers; each worker takes an equal part of it and may
take that in equal micro-batches, one after the other.
Not here: the epoch's order (`cifarray.data.splits`).
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from cifarray.data.split_sizes import split_sizes

if TYPE_CHECKING:
    from torch import Tensor

    from cifarray.config import TrainConfig


def check_batch(batch_size: int, num_workers: int, accumulate: int = 1) -> None:
    """Raises ValueError unless the global batch can be shared out evenly, and each worker's part again."""
    if batch_size % num_workers:
        below = batch_size // num_workers * num_workers
        sizes = [str(size) for size in (below, below + num_workers) if size > 0]
        raise ValueError(
            f"batch_size {batch_size} is not divisible by {num_workers} workers: choose {' or '.join(sizes)}, "
            f"or set workers to {_nearest_divisors(batch_size, num_workers)}"
        )
    share = batch_size // num_workers
    if share % accumulate:
        raise ValueError(
            f"accumulate {accumulate} does not divide the {share} images of a batch that each worker takes "
            f"(batch_size {batch_size}, workers {num_workers}): choose {_nearest_divisors(share, accumulate)}"
        )


def count_steps(num_images: int, batch_size: int) -> int:
    """Batches of an epoch. The incomplete last one is dropped; each epoch's order drops other images.

    Raises ValueError if there is not one whole batch.
    """
    if num_images < batch_size:
        raise ValueError(
            f"batch_size {batch_size} is more than the {num_images} training images: choose at most {num_images}, "
            "or raise data.limit"
        )
    return num_images // batch_size


def steps_of(config: "TrainConfig", num_images: int) -> int:
    """Batches of an epoch where the data has `num_images` to train on and to hold out.

    Raises SplitError or ValueError if there is none.
    """
    num_train, _ = split_of(config.data.model_dump(), num_images)
    return count_steps(num_train, config.batch_size)


def split_of(data: Mapping[str, Any], num_images: int) -> tuple[int, int]:
    """Images (to train on, held out) of `num_images`, for a config's part `data` as a dict. Raises SplitError."""
    return split_sizes(num_images, data["validation"], data["limit"])


def batch_rows(order: "Tensor", step: int, batch_size: int) -> "Tensor":
    """The rows (batch_size,) of batch `step` (from 0) of the epoch's order (N,), on all ranks together."""
    return order[step * batch_size : (step + 1) * batch_size]


def rank_shares(batch_size: int, rank: int, world_size: int, accumulate: int = 1) -> list[slice]:
    """The parts of a batch that a rank takes, in the order in which they go through the network."""
    share = batch_size // world_size
    size = share // accumulate
    return [slice(start, start + size) for start in range(rank * share, (rank + 1) * share, size)]


def more_accumulation(share: int, accumulate: int) -> int | None:
    """The least number of equal micro-batches of at most half the size; None where they would be single images.

    share: images of a batch that each worker takes. A single image is no batch for batch normalisation.
    """
    counts = range(2 * accumulate, share // 2 + 1)
    return next((count for count in counts if share % count == 0), None)


def smaller_micro_batches(config: "TrainConfig", num_workers: int) -> int | None:
    """How many micro-batches a training that is out of memory may try next; None if it may not, or they are as small as
    can be."""
    if not config.auto_micro_batch:
        return None
    return more_accumulation(config.batch_size // num_workers, config.accumulate)


def _nearest_divisors(number: int, wrong: int) -> str:
    divisors = [count for count in range(1, number + 1) if number % count == 0]
    fewer = [str(count) for count in divisors if count < wrong][-1:]
    more = [str(count) for count in divisors if count > wrong][:1]
    return " or ".join(fewer + more)

"""Which rows are in a batch, and which of them a rank takes.

A batch is a stretch of the epoch's order whatever the number of workers; each worker takes an equal part of it.
Not here: the epoch's order (`cifarray.data.splits`).
"""

from torch import Tensor


def check_batch(batch_size: int, num_workers: int) -> None:
    """Raises ValueError unless the global batch can be shared out evenly."""
    if batch_size % num_workers == 0:
        return
    below = batch_size // num_workers * num_workers
    sizes = [str(size) for size in (below, below + num_workers) if size > 0]
    divisors = [count for count in range(1, batch_size + 1) if batch_size % count == 0]
    fewer = [str(count) for count in divisors if count < num_workers][-1:]
    more = [str(count) for count in divisors if count > num_workers][:1]
    raise ValueError(
        f"batch_size {batch_size} is not divisible by {num_workers} workers: choose {' or '.join(sizes)}, "
        f"or set workers to {' or '.join(fewer + more)}"
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


def rank_rows(order: Tensor, step: int, batch_size: int, rank: int, world_size: int) -> Tensor:
    """The rows (batch_size / world_size,) that a rank takes of batch `step` (from 0) of the epoch's order (N,)."""
    share = batch_size // world_size
    start = step * batch_size + rank * share
    return order[start : start + share]

"""Which rows are in a batch, and how the batch is shared out."""

import pytest
import torch

from cifarray.training.batches import check_batch, count_steps, rank_rows


@pytest.mark.parametrize("num_workers", [1, 2, 4, 128])
def test_a_batch_that_divides_evenly_is_accepted(num_workers: int) -> None:
    check_batch(128, num_workers)


@pytest.mark.parametrize(
    ("batch_size", "num_workers", "message"),
    [
        (128, 3, "batch_size 128 is not divisible by 3 workers: choose 126 or 129, or set workers to 2 or 4"),
        (100, 8, "batch_size 100 is not divisible by 8 workers: choose 96 or 104, or set workers to 5 or 10"),
        (2, 4, "batch_size 2 is not divisible by 4 workers: choose 4, or set workers to 2"),
    ],
)
def test_the_refusal_names_the_nearest_choices(batch_size: int, num_workers: int, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        check_batch(batch_size, num_workers)


def test_the_incomplete_last_batch_is_dropped() -> None:
    assert count_steps(45_000, 128) == 351
    assert count_steps(128, 128) == 1


def test_fewer_images_than_a_batch_are_refused() -> None:
    with pytest.raises(ValueError, match="batch_size 128 is more than the 100 training images: choose at most 100"):
        count_steps(100, 128)


@pytest.mark.parametrize("world_size", [1, 2, 4])
def test_the_number_of_workers_does_not_change_a_batch(world_size: int) -> None:
    order = torch.randperm(50)
    for step in range(3):
        parts = [rank_rows(order, step, 16, rank, world_size) for rank in range(world_size)]
        assert torch.cat(parts).equal(order[16 * step : 16 * (step + 1)])

"""Which rows are in a batch, and how the batch is shared out."""

import pytest
import torch

from cifarray.training.batches import batch_rows, check_batch, count_steps, more_accumulation, rank_shares


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


@pytest.mark.parametrize("accumulate", [1, 2, 4])
@pytest.mark.parametrize("world_size", [1, 2, 4])
def test_neither_workers_nor_micro_batches_change_a_batch(world_size: int, accumulate: int) -> None:
    order = torch.randperm(50)
    for step in range(3):
        rows = batch_rows(order, step, 16)
        assert rows.equal(order[16 * step : 16 * (step + 1)])
        shares = [rank_shares(16, rank, world_size, accumulate) for rank in range(world_size)]
        assert all(len(parts) == accumulate for parts in shares)
        assert {len(rows[part]) for parts in shares for part in parts} == {16 // world_size // accumulate}
        assert torch.cat([rows[part] for parts in shares for part in parts]).equal(rows)


def test_micro_batches_that_do_not_divide_a_workers_part_are_refused() -> None:
    message = (
        r"^accumulate 3 does not divide the 64 images of a batch that each worker takes "
        r"\(batch_size 128, workers 2\): choose 2 or 4$"
    )
    with pytest.raises(ValueError, match=message):
        check_batch(128, 2, 3)
    check_batch(128, 2, 4)


@pytest.mark.parametrize(
    ("share", "now", "then"),
    [(64, 1, 2), (64, 16, 32), (64, 32, None), (1, 1, None), (15, 1, 3), (15, 3, None), (7, 1, None), (2, 1, None)],
)
def test_micro_batches_shrink_to_half_or_the_next_size_that_divides_but_not_to_single_images(
    share: int, now: int, then: int | None
) -> None:
    assert more_accumulation(share, now) == then

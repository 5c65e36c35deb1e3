"""2 × 2 grids: which images, where they stand, what is true of them."""

import pytest
import torch

from cifarray.data import grid_members, multi_hot, tile
from cifarray.data.grids import quarter_numbers

ROWS = torch.arange(0, 3000, 3)
POOL = torch.arange(0, 3000)


def test_a_picture_is_its_row_and_three_of_the_pool() -> None:
    pool = torch.arange(100, 200)
    members = grid_members(torch.tensor([105, 110]), pool, seed=0, epoch=1)
    assert members.shape == (2, 4)
    assert members[:, 0].tolist() == [105, 110]
    assert ((members >= 100) & (members < 200)).all()


def test_pictures_are_a_function_of_seed_epoch_and_row_alone() -> None:
    whole = grid_members(ROWS, POOL, 3, 1)
    assert grid_members(ROWS.flip(0)[:10], POOL, 3, 1).equal(whole.flip(0)[:10])
    assert not grid_members(ROWS, POOL, 3, 2).equal(whole)
    assert not grid_members(ROWS, POOL, 4, 1).equal(whole)


def test_labels_are_there_as_often_as_four_independent_draws_make_them() -> None:
    """1 - 0.9⁴ = 0.3439 with ten classes of equal size; a class that is there twice counts once."""
    labels = (POOL % 10)[grid_members(POOL, POOL, 0, 1)]
    shares = multi_hot(labels, 10).mean(0)
    assert shares.mean().item() == pytest.approx(0.3439, abs=0.01)


def test_multi_hot_is_one_where_any_of_the_four_is() -> None:
    assert multi_hot(torch.tensor([[1, 3, 3, 0]]), 5).tolist() == [[1, 1, 0, 1, 0]]


def test_quarters_stand_in_reading_order() -> None:
    quarters = torch.arange(4).reshape(4, 1, 1, 1).expand(4, 1, 2, 2)
    assert tile(quarters)[0, 0].tolist() == [[0, 0, 1, 1], [0, 0, 1, 1], [2, 2, 3, 3], [2, 2, 3, 3]]
    two = torch.arange(8).reshape(8, 1, 1, 1).expand(8, 1, 2, 2)
    assert tile(two)[1, 0, 0, 0] == 4


def test_each_quarter_has_draws_of_its_own() -> None:
    numbers = quarter_numbers(torch.tensor([0, 1, 7]))
    assert numbers.tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 28, 29, 30, 31]

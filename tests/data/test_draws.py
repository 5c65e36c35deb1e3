"""Draws are a published generator's numbers and depend on nothing but their arguments."""

import pytest
import torch

from cifarray.data.draws import _GOLDEN, Drawn, _mix, below, draw, uniform

GOLDEN = 0x9E3779B97F4A7C15
MASK = 2**64 - 1


def splitmix64(state: int) -> int:
    """Sebastiano Vigna's public-domain splitmix64.c, in whole numbers without a size."""
    z = state & MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def test_the_hash_gives_the_published_outputs_of_splitmix64_for_seed_1234567() -> None:
    states = 1234567 + torch.arange(1, 4) * _GOLDEN
    outputs = [value & MASK for value in _mix(states).tolist()]
    assert outputs == [6457827717110365317, 3203168211198807973, 9817491932198370423]


def test_torch_and_whole_numbers_agree_on_rows_of_any_size() -> None:
    rows = torch.cat([torch.arange(100), torch.tensor([2**31, 2**40, 2**62])])
    key = _mix(torch.tensor([0]))  # any key: the draw's own is a hash of text
    torch_values = _mix(rows * _GOLDEN + key).tolist()
    assert [value & MASK for value in torch_values] == [splitmix64(row * GOLDEN + key.item()) for row in rows.tolist()]


def test_a_draw_is_the_same_in_another_batch_and_among_more_columns() -> None:
    rows = torch.tensor([7, 3, 3, 90_000])
    alone = torch.cat([draw("test", 1, 2, row[None], 2) for row in rows])
    assert torch.equal(draw("test", 1, 2, rows, 5)[:, :2], alone)


def test_purpose_seed_epoch_row_and_column_all_change_the_draw() -> None:
    rows = torch.arange(1000)
    draws = torch.cat(
        [draw(*which, rows, 3).flatten() for which in (("a", 0, 0), ("b", 0, 0), ("a", 1, 0), ("a", 0, 1), ("a", 1, 1))]
    )
    # 15,000 numbers of 32 bits: 0.03 pairs are expected to be equal by chance.
    assert len(draws.unique()) >= len(draws) - 1


def test_scaled_draws_are_uniform_and_inside_their_range() -> None:
    values = below(draw("test", 0, 0, torch.arange(90_000), 1), 9)[:, 0]
    counts = values.bincount(minlength=9).double()
    assert len(counts) == 9
    chi_squared = ((counts - 10_000) ** 2 / 10_000).sum()
    assert chi_squared < 26.1  # the 99.9th percentile for 8 degrees of freedom


def test_uniform_numbers_are_strictly_between_the_ends_with_all_32_bits() -> None:
    values = uniform(torch.tensor([0, 1, 2**31, 2**32 - 1]), 0, 1)
    assert values.tolist() == [0.5 / 2**32, 1.5 / 2**32, 0.5 + 0.5 / 2**32, 1 - 0.5 / 2**32]
    assert uniform(torch.tensor([2**31]), -1, 3).item() == 1 + 2 / 2**32


@pytest.mark.parametrize("num_rows", [None, 500])
def test_draws_of_all_rows_at_once_are_those_of_each_batch(num_rows: int | None) -> None:
    drawn, rows = Drawn("test", 3, num_rows), torch.tensor([7, 3, 3, 499])
    for seed, epoch in ((5, 1), (5, 2), (5, 1), (6, 1)):
        assert drawn(seed, epoch, rows).equal(draw("test", seed, epoch, rows, 3))


def test_an_epoch_is_drawn_in_the_memory_of_the_one_before() -> None:
    """What was recorded once reads that memory, and not what it was asked for then."""
    drawn = Drawn("test", 1, 500)
    drawn(5, 1, torch.tensor([0]))
    memory = drawn._table
    drawn.begin_epoch(5, 2)
    assert drawn._table is memory
    assert memory is not None
    assert memory.equal(draw("test", 5, 2, torch.arange(500), 1))

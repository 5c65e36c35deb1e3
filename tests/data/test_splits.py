"""Splits are stratified, fixed and nested; an epoch's order is a function of seed and epoch."""

import pytest
import torch

from cifarray.data import DataError, epoch_order, split_indices
from cifarray.data.splits import stratified_rows

BALANCED = torch.arange(50_000) % 10
SKEWED = torch.repeat_interleave(torch.arange(12), torch.tensor([3000, 700, 120, 1, 1, 1, 2, 5, 9, 33, 4, 1]))


def test_the_default_split_of_cifar_holds_out_500_images_of_each_class() -> None:
    train, validation = split_indices(BALANCED, 0.1, None)
    assert BALANCED[validation].bincount().tolist() == [500] * 10
    assert BALANCED[train].bincount().tolist() == [4500] * 10


def test_every_row_is_in_exactly_one_part() -> None:
    train, validation = split_indices(SKEWED, 0.2, None)
    assert torch.cat([train, validation]).sort().values.tolist() == list(range(len(SKEWED)))
    assert train.dtype == validation.dtype == torch.int64


def test_the_split_is_the_same_at_every_call_and_not_a_stretch_of_rows() -> None:
    first, second = split_indices(BALANCED, 0.1, None), split_indices(BALANCED, 0.1, None)
    assert torch.equal(first[1], second[1])
    assert first[1][:10].tolist() != list(range(10))
    assert 20_000 < first[1].double().mean() < 30_000


@pytest.mark.parametrize(("validation", "held_out"), [(0, 0), (0.0, 0), (0.5, 25_000), (1, 1), (1000.0, 1000)])
def test_validation_is_a_fraction_below_one_and_a_number_from_one_on(validation: float, held_out: int) -> None:
    train, rows = split_indices(BALANCED, validation, None)
    assert (len(train), len(rows)) == (50_000 - held_out, held_out)


def test_a_fraction_above_zero_holds_out_at_least_one_image() -> None:
    assert len(split_indices(torch.zeros(4, dtype=torch.int64), 0.01, None)[1]) == 1


@pytest.mark.parametrize("labels", [BALANCED[:3000], SKEWED], ids=["balanced", "skewed"])
def test_every_prefix_of_a_stratified_order_is_less_than_one_from_each_class_share(labels: torch.Tensor) -> None:
    order = stratified_rows(labels, len(labels), "test")
    counts = torch.nn.functional.one_hot(labels[order]).cumsum(0).double()
    shares = torch.arange(1, len(labels) + 1)[:, None] * labels.bincount() / len(labels)
    assert (counts - shares).abs().max() < 1


@pytest.mark.parametrize("labels", [BALANCED, SKEWED], ids=["balanced", "skewed"])
def test_limits_are_stratified_nested_and_leave_validation_alone(labels: torch.Tensor) -> None:
    everything, validation = split_indices(labels, 0.1, None)
    inner, same = split_indices(labels, 0.1, 1000)
    outer, _ = split_indices(labels, 0.1, 2000)
    assert torch.equal(validation, same)
    assert (len(inner), len(outer)) == (1000, 2000)
    assert set(inner.tolist()) < set(outer.tolist()) < set(everything.tolist())
    shares = 1000 * labels[everything].bincount(minlength=12) / len(everything)
    assert (labels[inner].bincount(minlength=12) - shares).abs().max() < 1


def test_a_limit_above_what_is_left_takes_all_of_it() -> None:
    assert len(split_indices(BALANCED, 0.1, 1_000_000)[0]) == 45_000


def test_holding_out_everything_is_refused_with_the_largest_possible_number() -> None:
    with pytest.raises(
        DataError, match=r"data.validation 100 leaves none of 100 images to train on: choose at most 99"
    ):
        split_indices(torch.zeros(100, dtype=torch.int64), 100, None)


def test_an_epoch_visits_each_row_once_in_an_order_of_its_own() -> None:
    indices = torch.arange(0, 9000, 3)
    orders = [epoch_order(indices, seed, epoch) for seed, epoch in ((0, 0), (0, 1), (1, 0))]
    for order in orders:
        assert torch.equal(order.sort().values, indices)
        assert not torch.equal(order, indices)
    # Of 3,000 positions, one is expected to hold the same row in two random orders.
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert (orders[one] == orders[other]).sum() < 10
    assert torch.equal(epoch_order(indices, 0, 1), orders[1])


def test_the_order_of_a_subset_is_that_of_the_whole_with_the_others_left_out() -> None:
    whole = epoch_order(torch.arange(1000), 0, 3)
    assert torch.equal(epoch_order(torch.arange(0, 1000, 7), 0, 3), whole[whole % 7 == 0])

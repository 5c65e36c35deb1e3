"""Points as numbers: every point from a share of each domain and back, and what is alike is near."""

import math
import random

import pytest

from cifarray.config import TrainConfig
from cifarray.space.domains import Range, cases, choice, integers, log_uniform, uniform
from cifarray.space.features import Features, nearest, value_at
from cifarray.space.space import SearchSpace

DOMAINS = {
    "optimizer.lr": log_uniform(0.01, 1.0),
    "batch_size": choice(128, 32, 64),
    "model.depth": integers(10, 13),
    "schedule.name": choice("multistep", "cosine", "one_cycle"),
    "schedule.gamma": uniform(0.1, 0.3).when("schedule.name", "multistep"),
    "optimizer.weight_decay": cases("schedule.name", {"cosine": uniform(0.0, 1.0), "one_cycle": choice(0.1, 0.2)}),
}
SPACE = SearchSpace("toy", TrainConfig(), DOMAINS)
FEATURES = Features(SPACE.tree)
POINT = {
    "optimizer.lr": 0.1,
    "batch_size": 64,
    "model.depth": 10,
    "schedule.name": "cosine",
    "optimizer.weight_decay": 0.75,
}


def test_features_are_on_the_unit_interval_and_in_the_order_of_the_domains():
    """Of a range of whole numbers each has an equal part, here a quarter; of what does not vary there the centre."""
    lr, batch, depth, words, gamma, cosine, one_cycle = (0.5,), (0.5,), (1 / 8,), (0, 0.7, 0), (0.5,), (0.75,), (0.5,)
    assert FEATURES.num_features == 9
    assert FEATURES.of(POINT) == pytest.approx([*lr, *batch, *depth, *words, *gamma, *cosine, *one_cycle])


def test_words_that_do_not_vary_are_as_far_from_each_other_word():
    space = SearchSpace(
        "toy",
        TrainConfig(),
        {"batch_size": choice(32, 64), "schedule.name": choice("multistep", "cosine").when("batch_size", 32)},
    )
    inactive = Features(space.tree).of({"batch_size": 64})[1:]
    assert inactive == [0.35, 0.35]
    words = [Features(space.tree).of({"batch_size": 32, "schedule.name": name})[1:] for name in ("multistep", "cosine")]
    assert math.dist(*words) == pytest.approx(0.7 * math.sqrt(2))
    assert len({math.dist(inactive, word) for word in words}) == 1


def test_every_point_is_found_again_from_its_shares():
    source = random.Random(0)
    for _ in range(200):
        point = SPACE.tree.point(lambda name, domain: domain.draw(source))
        again = FEATURES.point(FEATURES.shares(point))
        assert again.keys() == point.keys()
        assert {k: v for k, v in again.items() if not isinstance(v, float)} == {
            k: v for k, v in point.items() if not isinstance(v, float)
        }
        assert again["optimizer.lr"] == pytest.approx(point["optimizer.lr"])


@pytest.mark.parametrize(
    ("domain", "shares", "values"),
    [
        (choice("a", "b", "c", "d"), [0.0, 0.24, 0.26, 0.99, 1.0], ["a", "a", "b", "d", "d"]),
        (integers(3, 6), [0.0, 0.24, 0.26, 0.74, 0.76, 1.0], [3, 3, 4, 5, 6, 6]),
        (uniform(2.0, 4.0), [0.0, 0.5, 1.0], [2.0, 3.0, 4.0]),
        (log_uniform(0.01, 1.0), [0.0, 0.5, 1.0], [0.01, 0.1, 1.0]),
        (Range(1, 8, log=True, integer=True), [0.0, 1.0], [1, 8]),
    ],
)
def test_equal_shares_are_equal_parts_of_a_domain(domain, shares, values):
    assert [value_at(domain, share) for share in shares] == pytest.approx(values)


@pytest.mark.parametrize(
    ("domain", "value", "found"),
    [
        (log_uniform(0.01, 1.0), 0.1, 0.1),
        (log_uniform(0.01, 1.0), 5.0, 1.0),
        (uniform(0.1, 0.3), None, 0.2),
        (integers(10, 28), 9, 10),
        (choice(16, 22, 28), 23, 22),
        (choice("multistep", "cosine"), "cosine", "cosine"),
        (choice("multistep", "cosine"), "exponential", "multistep"),
        (choice(True, False), False, False),
        (choice(1, True), True, True),
        (choice((0.3, 0.6), (0.5,)), [0.5], (0.5,)),
    ],
)
def test_the_nearest_value_of_a_domain(domain, value, found):
    nearest_value = nearest(domain, value)
    assert nearest_value == pytest.approx(found) if isinstance(found, float) else nearest_value == found
    assert type(nearest_value) is type(found)

"""The points of a space: counted, by number, and all of them once, whatever hangs on what."""

import itertools
import random

import pytest

from cifarray.config import TrainConfig
from cifarray.space.domains import Range, cases, choice, integers, uniform
from cifarray.space.space import SearchSpace


def tree_of(domains, base=None):
    return SearchSpace("toy", base or TrainConfig(), domains).tree


CONDITIONAL = {
    "schedule.name": choice("multistep", "cosine", "one_cycle"),
    "epochs": choice(5, 6),
    "schedule.gamma": choice(0.1, 0.2, 0.3).when("schedule.name", "multistep"),
    "schedule.warmup": choice(0.0, 0.1).when("schedule.name", "multistep", "cosine"),
    "optimizer.lr": cases("schedule.name", {"multistep": choice(0.1), "one_cycle": choice(0.2, 0.4)}),
    "seed": choice(0, 1).when("schedule.warmup", 0.1),
}


def written_out():
    """The points of CONDITIONAL, by plain loops."""
    for name, epochs in itertools.product(("multistep", "cosine", "one_cycle"), (5, 6)):
        point = {"schedule.name": name, "epochs": epochs}
        for gamma in (0.1, 0.2, 0.3) if name == "multistep" else (None,):
            for warmup in (0.0, 0.1) if name != "one_cycle" else (None,):
                for lr in {"multistep": (0.1,), "cosine": (None,), "one_cycle": (0.2, 0.4)}[name]:
                    for seed in (0, 1) if warmup == 0.1 else (None,):
                        rest = {"schedule.gamma": gamma, "schedule.warmup": warmup, "optimizer.lr": lr, "seed": seed}
                        yield point | {path: value for path, value in rest.items() if value is not None}


def test_points_are_counted_and_numbered_as_loops_would_visit_them():
    points = list(written_out())
    tree = tree_of(CONDITIONAL)
    assert tree.num_points() == len(points) == 28
    assert [tree.point_at(number) for number in range(28)] == points


def test_what_hangs_on_a_field_that_does_not_vary_is_there_or_not():
    domains = {"schedule.gamma": choice(0.1, 0.2).when("schedule.name", "multistep"), "epochs": choice(1, 2, 3)}
    step = TrainConfig.from_dict({"schedule": {"name": "multistep"}})
    assert tree_of(domains).num_points() == 3
    assert tree_of(domains, step).num_points() == 6
    assert tree_of(domains, step).point_at(4) == {"schedule.gamma": 0.2, "epochs": 2}


def test_integers_are_finitely_many_and_numbers_are_not():
    assert tree_of({"epochs": integers(3, 7), "batch_size": choice(32, 64)}).num_points() == 10
    assert tree_of({"epochs": Range(1, 64, True, True)}).num_points() == 64
    assert tree_of({"optimizer.lr": uniform(0.1, 0.2), "batch_size": choice(32, 64)}).num_points() is None


def test_one_branch_with_infinitely_many_points_is_enough():
    domains = {
        "schedule.name": choice("multistep", "one_cycle"),
        "schedule.pct_start": uniform(0.1, 0.4).when("schedule.name", "one_cycle"),
    }
    assert tree_of(domains).num_points() is None
    assert tree_of({**domains, "schedule.name": choice("multistep", "cosine")}).num_points() == 2


def test_nothing_that_varies_is_one_point():
    assert tree_of({}).num_points() == 1
    assert tree_of({}).point_at(0) == {}


def test_a_point_far_into_a_grid_is_found_without_those_before_it():
    """20 fields of 10 values: the digits of the number, the first field the slowest."""
    names = [f"model.option{number}" for number in range(20)]
    tree = tree_of({name: choice(*range(10)) for name in names})
    assert tree.num_points() == 10**20
    assert list(tree.point_at(98765432109876543210).values()) == [int(digit) for digit in "98765432109876543210"]


@pytest.mark.parametrize("seed", range(20))
def test_drawn_points_are_among_those_that_are_numbered(seed):
    tree = tree_of(CONDITIONAL)
    source = random.Random(seed)
    drawn = tree.point(lambda name, domain: domain.draw(source))
    assert drawn in [tree.point_at(number) for number in range(28)]

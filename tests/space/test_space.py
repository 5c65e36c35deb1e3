"""Domains, the search space, and how both are typed on the command line."""

import json
import random

import pytest

from cifarray.config import TrainConfig
from cifarray.fields import difference
from cifarray.space.domains import (
    Range,
    cases,
    choice,
    integers,
    log_uniform,
    parse_assignment,
    parse_domain,
    parse_value,
    uniform,
)
from cifarray.space.space import SearchSpace


def make_space(**domains):
    return SearchSpace("toy", TrainConfig(), {path.replace("__", "."): domain for path, domain in domains.items()})


@pytest.mark.parametrize(
    "domain", [uniform(0.1, 0.2), log_uniform(1e-4, 1e-1), integers(2, 9), Range(1, 64, True, True)]
)
def test_drawn_values_stay_in_range(domain):
    source = random.Random(0)
    drawn = [domain.draw(source) for _ in range(500)]
    assert all(domain.low <= value <= domain.high for value in drawn)
    assert len(set(drawn)) > 5


def test_log_uniform_spends_as_much_on_each_decade():
    source = random.Random(0)
    domain = log_uniform(1e-4, 1e-1)
    drawn = [domain.draw(source) for _ in range(3000)]
    for low in (1e-4, 1e-3, 1e-2):
        share = sum(low <= value < 10 * low for value in drawn) / len(drawn)
        assert share == pytest.approx(1 / 3, abs=0.04)


def test_a_value_that_is_there_twice_is_refused():
    with pytest.raises(ValueError, match=r"\{1, 2, 1\} has 1 twice: give each value once"):
        choice(1, 2, 1)
    assert choice(1, 1.0, True, "1").values == (1, 1.0, True, "1")


def test_a_path_that_does_not_exist_is_refused_where_the_space_is_made():
    with pytest.raises(ValueError, match=r"optimizer\.learning_rate is not a field"):
        make_space(optimizer__learning_rate=uniform(0.1, 0.2))


def test_a_range_whose_end_breaks_a_rule_is_refused():
    with pytest.raises(ValueError, match="label_smoothing"):
        make_space(label_smoothing=uniform(0.5, 1.5))


def test_pinning_a_field_removes_its_domain():
    space = make_space(model__depth=choice(16, 28), optimizer__lr=log_uniform(0.01, 0.1)).pin({"model.depth": 10})
    assert list(space.domains) == ["optimizer.lr"]
    assert space.base.model.options["depth"] == 10


def test_grid_lists_every_combination_once():
    space = make_space(model__depth=choice(16, 28), batch_size=choice(64, 128, 256))
    points = list(space.grid())
    assert len(points) == space.grid_size() == 6
    assert len({tuple(point.values()) for point in points}) == 6


def test_a_grid_over_a_range_names_the_remedy():
    with pytest.raises(ValueError, match="--space optimizer.lr=a,b,c"):
        list(make_space(optimizer__lr=uniform(0.1, 0.2)).grid())


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("4", 4),
        ("0.5", 0.5),
        ("1e-3", 1e-3),
        ("true", True),
        ("none", None),
        ("cosine", "cosine"),
        ("[0.3,0.6]", (0.3, 0.6)),
    ],
)
def test_values_are_read_as_they_look(text, value):
    assert parse_value(text) == value
    assert type(parse_value(text)) is type(value)


@pytest.mark.parametrize(
    ("text", "replaced", "domain"),
    [
        ("1,2", None, choice(1, 2)),
        ("[0.5],[0.3,0.6]", None, choice((0.5,), (0.3, 0.6))),
        ("multistep,cosine", None, choice("multistep", "cosine")),
        ("0.1..0.2", None, uniform(0.1, 0.2)),
        ("1..8", None, integers(1, 8)),
        ("0.01..1:log", None, log_uniform(0.01, 1)),
        ("0.01..1", log_uniform(0.1, 0.2), log_uniform(0.01, 1)),
        ("0.01..1:linear", log_uniform(0.1, 0.2), uniform(0.01, 1)),
        ("0..1", uniform(0.2, 0.3), uniform(0, 1)),
    ],
)
def test_domains_are_read_from_the_command_line(text, replaced, domain):
    assert parse_domain(text, replaced) == domain


@pytest.mark.parametrize("text", ["a..b", "1..2:cubic", "3..1", "0..1:log"])
def test_a_range_that_is_none_is_refused(text):
    with pytest.raises(ValueError, match=r"range|low"):
        parse_domain(text)


@pytest.mark.parametrize("text", ["depth", "=3", "depth="])
def test_an_assignment_needs_both_sides(text):
    with pytest.raises(ValueError, match="field=value"):
        parse_assignment(text)


def test_a_space_survives_the_journal():
    space = make_space(model__depth=choice(16, 28), optimizer__lr=log_uniform(0.01, 0.1))
    assert SearchSpace.from_dict("toy", space.to_dict()) == space


def test_difference_names_what_changed():
    old, new = make_space(batch_size=choice(64)).to_dict(), make_space(batch_size=choice(128)).to_dict()
    assert difference(old, new) == ["domains.batch_size.values: (64,) → (128,)"]


SCHEDULES = {
    "schedule.name": choice("multistep", "one_cycle"),
    "schedule.gamma": choice(0.1, 0.2).when("schedule.name", "multistep"),
    "schedule.pct_start": uniform(0.2, 0.4).when("schedule.name", "one_cycle"),
    "optimizer.lr": cases("schedule.name", {"multistep": choice(0.1), "one_cycle": choice(0.2, 0.4)}),
}


def test_a_field_on_a_condition_varies_only_where_it_holds():
    space = SearchSpace("toy", TrainConfig(), SCHEDULES)
    source = random.Random(0)
    for _ in range(50):
        point = space.tree.point(lambda name, domain: domain.draw(source))
        own, other = "schedule.gamma", "schedule.pct_start"
        if point["schedule.name"] == "one_cycle":
            own, other = other, own
        assert own in point
        assert other not in point
        assert point["optimizer.lr"] in ((0.1,) if point["schedule.name"] == "multistep" else (0.2, 0.4))


def test_the_corners_of_a_space_with_conditions_are_its_branches():
    corners = list(SearchSpace("toy", TrainConfig(), SCHEDULES).corners(list(SCHEDULES)))
    multistep = [corner for corner in corners if corner["schedule.name"] == "multistep"]
    one_cycle = [corner for corner in corners if corner["schedule.name"] == "one_cycle"]
    assert len(multistep) == 2
    assert len(one_cycle) == 2 * 2
    assert all(corner.keys() == {"schedule.name", "schedule.gamma", "optimizer.lr"} for corner in multistep)


def test_other_fields_stay_at_the_first_value_of_theirs():
    corners = list(make_space(epochs=choice(3, 4), batch_size=choice(64, 128)).corners(["batch_size"]))
    assert corners == [{"epochs": 3, "batch_size": 64}, {"epochs": 3, "batch_size": 128}]


def test_what_is_pinned_and_what_is_varied_must_only_go_together_at_last():
    """The crop is larger than the base's images, and not larger than those of the space that comes out."""
    space = make_space(epochs=choice(1, 2)).changed({"data.crop_size": 48, "data.image_size": 64}, {})
    space = space.changed({"data.crop_size": None}, {"data.image_size": choice(32, 64)})
    assert list(space.domains) == ["epochs", "data.image_size"]


def test_pinning_the_field_of_a_condition_leaves_its_branch():
    space = SearchSpace("toy", TrainConfig(), SCHEDULES).pin({"schedule.name": "one_cycle"})
    assert list(space.domains) == ["schedule.pct_start", "optimizer.lr"]
    point = space.tree.point(lambda name, domain: domain.corners()[0])
    assert point == {"schedule.pct_start": 0.2, "optimizer.lr": 0.2}


def test_a_replaced_domain_keeps_its_condition():
    assert parse_domain("0.3,0.5", SCHEDULES["schedule.gamma"]) == choice(0.3, 0.5).when("schedule.name", "multistep")


def test_a_condition_on_what_comes_later_is_refused():
    with pytest.raises(ValueError, match="model.kind is neither a domain before it nor a field"):
        make_space(schedule__gamma=choice(0.1).when("model.kind", "d"))


def test_a_space_with_conditions_recipes_and_limits_survives_the_journal():
    recipes = {"short": TrainConfig(epochs=1), "long": TrainConfig(epochs=9)}
    domains = {"recipe": choice("short", "long"), **SCHEDULES}
    space = SearchSpace("toy", TrainConfig(), domains, recipes, max_params=10, max_macs=20)
    journal = json.loads(json.dumps(space.to_dict()))
    assert SearchSpace.from_dict("toy", journal) == space


def test_a_recipe_is_a_whole_config_and_pins_reach_it():
    recipes = {"short": TrainConfig(epochs=1, batch_size=32), "long": TrainConfig(epochs=9)}
    space = SearchSpace("toy", TrainConfig(), {"recipe": choice("short", "long"), "seed": choice(0, 1)}, recipes)
    config = space.pin({"data.limit": 500}).config({"recipe": "short", "seed": 1})
    assert (config.epochs, config.batch_size, config.seed, config.data.limit) == (1, 32, 1, 500)


def test_a_recipe_that_is_not_there_is_refused():
    recipes = {"short": TrainConfig(epochs=1)}
    with pytest.raises(ValueError, match="recipe 'shrt' is not one of this space's: choose short"):
        SearchSpace("toy", TrainConfig(), {"recipe": choice("shrt", "short")}, recipes)


def test_pinning_takes_away_what_hangs_on_what_it_takes_away():
    domains = {
        "schedule.name": choice("multistep", "cosine"),
        "schedule.warmup": choice(0.0, 0.1).when("schedule.name", "cosine"),
        "schedule.gamma": choice(0.1, 0.2).when("schedule.warmup", 0.0),
    }
    space = SearchSpace("toy", TrainConfig(), domains).pin({"schedule.name": "multistep"})
    assert list(space.domains) == []

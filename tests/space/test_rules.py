"""Every end of every domain is checked, and those combinations of ends that a rule reads together."""

import ast
import inspect
import itertools
import random

import pytest

from cifarray import config as config_file
from cifarray import recipes
from cifarray.config import TrainConfig, override
from cifarray.space.domains import choice, integers, uniform
from cifarray.space.rules import CONFIG, parts, products
from cifarray.space.space import SearchSpace
from search_spaces import tricks

PREFIXES = {"TrainConfig": ""} | {
    field.annotation.__name__: f"{path}."
    for path, field in TrainConfig.model_fields.items()
    if isinstance(field.annotation, type) and issubclass(field.annotation, config_file.Part)
}
"""Where each part of the config is in it."""


def fields_read(node):
    """`self.a.b` in a piece of source, as `a.b`."""
    read = set()
    for each in ast.walk(node):
        parents, inner = [], each
        while isinstance(inner, ast.Attribute):
            parents.append(inner.attr)
            inner = inner.value
        if isinstance(inner, ast.Name) and inner.id == "self" and parents:
            read.add(".".join(reversed(parents)))
    return {path for path in read if not any(other.startswith(f"{path}.") for other in read)}


def statements_of_validators():
    """Each statement of a validator of a whole part, with the fields that it reads; of a loop over a written list, each
    turn."""
    for part in ast.parse(inspect.getsource(config_file)).body:
        if not isinstance(part, ast.ClassDef):
            continue
        for method in part.body:
            if isinstance(method, ast.FunctionDef) and "model_validator" in ast.dump(ast.List(method.decorator_list)):
                for statement in method.body:
                    looped = isinstance(statement, ast.For) and isinstance(statement.iter, ast.Tuple)
                    for turn in statement.iter.elts if looped else [statement]:
                        yield part.name, {PREFIXES[part.name] + path for path in fields_read(turn)}


def test_what_a_validator_reads_together_is_declared():
    read = [fields for _, fields in statements_of_validators()]
    assert {"schedule.name", "schedule.milestones", "schedule.warmup"} in read, "the source is not read as it should be"
    for fields in read:
        assert len(fields) < 2 or any(fields <= set(rule) for rule in CONFIG), f"{fields} are no rule of CONFIG"


VALUES = {
    "data.image_size": (32, 64),
    "data.crop_size": (None, 24, 48),
    "data.grid": (1, 2),
    "mixup": (0.0, 0.2),
    "cutmix": (0.0, 1.0),
    "optimizer.name": ("sgd", "adam"),
    "optimizer.nesterov": (False, True),
    "optimizer.momentum": (0.0, 0.9),
    "schedule.name": ("multistep", "cosine"),
    "schedule.milestones": ((0.3, 0.6), (0.5,)),
    "schedule.warmup": (0.0, 0.1, 0.4),
    "label_smoothing": (0.0, 0.1, 1.0),
}
"""Values of which some do not go together, and one that none goes with."""


def is_valid(make, *arguments):
    try:
        make(*arguments)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize("seed", range(150))
def test_a_space_is_refused_exactly_where_one_of_all_its_points_is(seed):
    source = random.Random(seed)
    # Few values each, or nearly every space would have a point that cannot be.
    names = source.sample(list(VALUES), 6)
    values = {name: source.sample(VALUES[name], min(len(VALUES[name]), source.choice((1, 1, 2)))) for name in names}
    points = [dict(zip(values, point, strict=True)) for point in itertools.product(*values.values())]
    expected = all(is_valid(override, TrainConfig(), point) for point in points)
    domains = {name: choice(*each) for name, each in values.items()}
    assert is_valid(SearchSpace, "toy", TrainConfig(), domains) == expected


@pytest.mark.parametrize("path", ["optimizer.lr", "optimizer.weight_decay"])
@pytest.mark.parametrize("end", [0, 1])
def test_either_end_of_every_domain_is_reached_in_a_space_of_half_a_million_corners(path, end):
    recipe = "wide_resnet_16_8"
    space = tricks.space(recipe, recipes.get(recipe))
    ends = [0.1, 0.1]
    ends[end] = -0.1
    with pytest.raises(ValueError, match=rf"{path} -0\.1 is not valid"):
        space.vary({path: choice(*dict.fromkeys(ends))})


def test_an_end_that_breaks_a_rule_in_one_recipe_is_refused():
    """Warm-up reaches past the first milestone of one of them."""
    early = TrainConfig.from_dict({"schedule": {"name": "multistep", "milestones": (0.1,)}})
    both = {"early": early, "late": override(early, {"schedule.milestones": (0.5,)})}
    domains = {"recipe": choice("late", "early"), "schedule.warmup": choice(0.0, 0.2)}
    with pytest.raises(ValueError, match=r"schedule.warmup 0.2 reaches past the first milestone 0.1"):
        SearchSpace("toy", both["late"], domains, both)


def test_an_end_that_is_only_there_on_a_condition_is_reached():
    domains = {
        "schedule.name": choice("cosine", "multistep"),
        "schedule.warmup": choice(0.0, 0.4).when("schedule.name", "multistep"),
    }
    with pytest.raises(ValueError, match=r"schedule.warmup 0.4 reaches past"):
        SearchSpace("toy", TrainConfig(), domains)


@pytest.mark.parametrize(
    ("domain", "wrong"), [(uniform(0.5, 20.0), "neither a fraction nor a number"), (uniform(1.0, 9.0), "neither")]
)
def test_a_range_whose_ends_keep_a_rule_and_whose_inside_does_not_is_refused(domain, wrong):
    """Below 1 data.validation is a fraction; from 1 on a whole number of images."""
    with pytest.raises(ValueError, match=wrong):
        SearchSpace("toy", TrainConfig(), {"data.validation": domain})


def test_all_integers_of_a_short_range_are_looked_at_and_the_ends_of_a_long_one():
    assert integers(10, 16).probes() == (10, 11, 12, 13, 14, 15, 16)
    long = integers(1, 10_000).probes()
    assert (long[0], long[-1]) == (1, 10_000)
    assert len(long) < 100


def test_fields_without_a_common_rule_are_not_multiplied():
    names = [f"model.option{number}" for number in range(3)]
    rules = (("model.",), ("epochs", "seed"))
    assert parts(rules[0], ["seed", *names]) == names
    together = list(products(rules, ["seed", *names]))
    assert together == [[names[0]], [names[1]], [names[2]], ["seed"], names]

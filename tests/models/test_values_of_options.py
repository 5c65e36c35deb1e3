"""The rules that are known without torch are the builders': both refuse the same values, in the same words."""

import inspect
import random
from collections.abc import Callable
from importlib import import_module
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest
import torch
from zoo import SMALL

from cifarray import recipes
from cifarray.models import networks, rules
from cifarray.models.families import FAMILIES, check_options, options_of
from cifarray.models.torchvision_names import torchvision_names

NO_FLAG = [1, 0, "true", None]
NO_SHARE = [1, 1.0, 1.5, -0.1, "0.3", None, True, float("nan")]
NO_WORD = ["paperr", "", None, 1, True, ["paper"]]
NO_COUNT = [0, -1, 1.5, 4.0, "4", None, True, [4]]
NO_DEPTH = [*NO_COUNT, 9, 1.5e9, float("inf")]

# A member of each family, and values that its options may not have, one at a time.
WRONG: list[tuple[str, dict[str, Any], dict[str, list[Any]]]] = [
    ("linear", {}, {"side": NO_COUNT}),
    ("alexnet", {"size": "small"}, {"size": NO_WORD}),
    (
        "resnet13",
        {},
        {
            "blocks": [[], [0], [1.5], [1, 1, 1, 1, 1], [True], ["2"], 2, "2", None],
            "stem": ["5x5", *NO_WORD],
            "max_pool": NO_FLAG,
        },
    ),
    ("plain_cnn", {"depth": 8}, {"depth": NO_DEPTH, "norm": NO_WORD, "variant": NO_WORD}),
    *(
        (
            name,
            {"depth": 8},
            {
                "depth": [*NO_DEPTH, 11, 1001],
                "bottleneck": [*NO_FLAG, True],  # of a depth of 8 there is none
                "shortcut": ["C", "a", *NO_WORD],
                "norm": NO_WORD,
                "variant": NO_WORD,
            },
        )
        for name in ("resnet", "preact_resnet")
    ),
    ("resnet", {"depth": 11, "bottleneck": True}, {"bottleneck": [False], "depth": [8, 12]}),
    (
        "stochastic_depth_resnet",
        {"depth": 8},
        {"depth": NO_DEPTH, "death_rate": NO_SHARE, "mode": ["log", *NO_WORD]},
    ),
    (
        "wide_resnet",
        {"depth": 10, "widen_factor": 1},
        {"depth": NO_DEPTH, "widen_factor": NO_COUNT, "dropout": NO_SHARE, "variant": NO_WORD},
    ),
    (
        "densenet",
        {"depth": 7, "growth_rate": 2},
        {
            "depth": NO_DEPTH,
            "growth_rate": NO_COUNT,
            "bottleneck": [*NO_FLAG, True],
            "compression": [0, -1, 1.01, "0.5", None, True, float("inf"), float("nan"), 10**400],
            "dropout": NO_SHARE,
            "memory_efficient": NO_FLAG,
        },
    ),
    (
        "pyramidnet",
        {"depth": 8, "alpha": 4},
        {
            "depth": NO_DEPTH,
            "alpha": [0, -1, "48", None, True, float("inf"), float("nan"), 10**400],
            "bottleneck": [*NO_FLAG, True],
            "widening": ["exponential", *NO_WORD],
            "block": ["e", "D", *NO_WORD],
            "shortcut": ["A", *NO_WORD],
            "variant": ["post", *NO_WORD],  # which leaves a block out, of one
        },
    ),
    ("pyramidnet", {"depth": 8, "alpha": 2.0, "widening": "multiplicative"}, {"alpha": [1, 0.5, -2]}),
    (
        "imagenet_resnet",
        {"depth": 26, "base_width": 2},
        {
            "depth": [18, 34, "50", None, True],
            "tweak": ["e", "B", "", 1, True],
            "stem": ["imagnet", *NO_WORD],
            "base_width": [*NO_COUNT, 1, 3, 65],
        },
    ),
    (
        "torchvision",
        {"arch": "mobilenet_v2"},
        {"arch": ["mobilnet_v2", "", None, 3, ["vgg11"]], "resize": [7, 0, -1, 32.0, "32", True, [32]]},
    ),
]
# Values that some or all members of a family may have.
RIGHT: dict[str, list[Any]] = {
    "side": [1, 32],
    "blocks": [[1], [1.0, 2], (2, 2, 1, 1)],
    "depth": [7, 8, 10, 11, 14, 16, 20, 26],
    "growth_rate": [1, 4],
    "compression": [0.5, 1, 1.0],
    "dropout": [0, 0.3],
    "death_rate": [0, 0.5],
    "widen_factor": [1, 2],
    "alpha": [0.5, 1, 4, 4.75],
    "base_width": [2, 4],
    "resize": [None, 8, 32],
    "arch": ["squeezenet1_1", "mobilenet_v2"],
    "tweak": [None],
}


def builder_of(name: str) -> Callable[..., Any]:
    family = FAMILIES[name]
    assert isinstance(family, str)
    file, function = family.split(".")
    builder: Callable[..., Any] = getattr(import_module(f"cifarray.models.{file}"), function)
    return builder


def choices(name: str) -> dict[str, tuple[Any, ...]]:
    """Of a family's options that are one of some values, those values, as the builder's types say."""
    found = {}
    for option, kind in get_type_hints(builder_of(name)).items():
        for part in (kind, *get_args(kind)):
            if get_origin(part) is Literal:
                found[option] = get_args(part)
        if kind is bool:
            found[option] = (False, True)
    return found


def refusal(ask: Callable[[], object]) -> str | None:
    try:
        ask()
    except ValueError as error:
        return str(error)
    return None


@pytest.fixture
def unasked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Builders are called without what `build` asks before."""
    monkeypatch.setattr(networks, "check_options", lambda name, options: None)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_rule_takes_the_options_of_the_builder(name: str) -> None:
    rule = getattr(rules, builder_of(name).__name__)
    assert list(inspect.signature(rule).parameters) == list(options_of(name))


def test_every_option_of_every_family_has_wrong_values() -> None:
    covered = {(name, option) for name, _, wrong in WRONG for option in wrong}
    assert covered == {(name, option) for name in FAMILIES for option in options_of(name)}


@pytest.mark.usefixtures("unasked")
@pytest.mark.parametrize(
    ("name", "options", "wrong"), WRONG, ids=[f"{name} {number}" for number, (name, _, _) in enumerate(WRONG)]
)
def test_wrong_values_are_refused_by_rule_and_builder_in_the_same_words(
    name: str, options: dict[str, Any], wrong: dict[str, list[Any]]
) -> None:
    check_options(name, options)
    networks.sketch(name, 10, options)
    for option, values in wrong.items():
        for value in values:
            given = {**options, option: value}
            said = refusal(lambda given=given: check_options(name, given))
            assert said is not None, f"{name} takes {option} {value!r}"
            assert said.startswith("model."), said
            assert refusal(lambda given=given: builder_of(name)(10, **given)) == said


@pytest.mark.usefixtures("unasked")
@pytest.mark.parametrize("name", FAMILIES)
def test_the_rules_accept_what_the_builder_builds_and_no_more(name: str) -> None:
    """Whatever the combination: of right values, with a wrong one now and then."""
    wrong: dict[str, list[Any]] = {}
    for family, _, values in WRONG:
        if family == name:
            wrong = {**values, **wrong}
    source = random.Random(name)
    right = {**{option: RIGHT[option] for option in wrong if option in RIGHT}, **choices(name)}
    right["tweak"] = [*right.get("tweak", []), None]
    accepted = 0
    for _ in range(120):
        given = {}
        for option, default in options_of(name).items():
            if default is inspect.Parameter.empty or source.random() < 0.6:
                given[option] = source.choice(right[option])
        if source.random() < 0.3:
            option = source.choice(list(wrong))
            given[option] = source.choice(wrong[option])
        said = refusal(lambda given=given: check_options(name, given))
        assert refusal(lambda given=given: networks.sketch(name, 10, given)) == said, given
        accepted += said is None
    assert 10 < accepted < 120


@pytest.mark.parametrize("name", FAMILIES)
def test_every_choice_that_the_types_name_is_one(name: str) -> None:
    member = next(options for family, options, _ in WRONG if family == name)
    for option, values in choices(name).items():
        for value in values:
            if (option, value) not in {("bottleneck", True), ("variant", "post")} and option != "depth":
                check_options(name, {**member, option: value})


@pytest.mark.parametrize("name", SMALL)
def test_the_zoo_is_accepted(name: str) -> None:
    options = dict(SMALL[name])
    check_options(options.pop("name"), options)


@pytest.mark.usefixtures("unasked")
@pytest.mark.parametrize("name", recipes.RECIPES)
def test_recipes_are_accepted_by_rule_and_builder(name: str) -> None:
    model = recipes.get(name).model
    check_options(model.name, model.options)
    assert next(networks.sketch(model.name, 10, model.options).parameters()).device == torch.device("meta")


def test_torchvisions_names_are_read_in_its_source() -> None:
    from torchvision import models

    assert list(torchvision_names()) == models.list_models(module=models)

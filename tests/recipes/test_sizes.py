"""The recipes' recorded sizes are those of their networks."""

import pytest

from cifarray.models import measure
from cifarray.recipes import RECIPES
from cifarray.recipes.sizes import SIZES

A_THOUSAND_LAYERS = "preact_resnet_1001"
NAMES = [pytest.param(name, marks=[pytest.mark.nightly] if name == A_THOUSAND_LAYERS else []) for name in RECIPES]


@pytest.mark.parametrize("name", NAMES)
def test_the_recorded_size_is_the_networks(name: str) -> None:
    config = RECIPES[name]()
    size = measure(config.model.name, 10, config.data.input_size, config.model.options)
    line = f'"{name}": ({size.num_params:_}, {size.macs:_}),'
    assert SIZES.get(name) == (size.num_params, size.macs), f"the line in cifarray/recipes/sizes.py is {line}"


def test_no_size_is_left_of_a_recipe_that_is_gone() -> None:
    assert SIZES.keys() == RECIPES.keys()

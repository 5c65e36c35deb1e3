"""The space of a comparison: recipes × seeds, all with the same data, and a linear classifier beside them."""

import hashlib
from collections.abc import Sequence

from cifarray import recipes
from cifarray.config import override
from cifarray.search.domains import Choice, choice
from cifarray.search.plan import StudyError
from cifarray.search.space import RECIPE, SearchSpace

BASELINE = "linear"
"""The recipe that stands in every comparison."""
LONGEST_NAME = 60
SHARED = ("data.source", "data.limit", "data.validation", "data.image_size", "data.grid")
"""Fields that the baseline takes from the others; the rest of its recipe stays."""


def comparison_space(names: Sequence[str], final: bool, seeds: int, first_seed: int) -> SearchSpace:
    """Named after its recipes. All are compared on one validation split.

    final: each is trained on as many images as its published figure, on all where none is stated.
    Raises ValueError for an unknown recipe, or for recipes of single images and of grids together.
    """
    configs = {name: recipes.get(name) for name in names}
    if len({config.data.grid for config in configs.values()}) > 1:
        raise StudyError("recipes of single images and of 2 × 2 grids cannot be compared: name only one kind")
    if final:
        on_all = [name for name in names if recipes.find(name).published.train_images != 45_000]
        configs |= {name: override(configs[name], {"data.validation": 0}) for name in on_all}
    elif len({config.data.validation for config in configs.values()}) > 1:
        configs = {name: override(config, {"data.validation": 0.1}) for name, config in configs.items()}
    name = "-".join(["compare", *(["final"] if final else []), *(name.replace("_", "-") for name in names)])
    if len(name) > LONGEST_NAME:
        kind = "compare-final" if final else "compare"
        name = f"{kind}-{len(names)}-recipes-{hashlib.sha256(name.encode()).hexdigest()[:6]}"
    domains = {"seed": choice(*range(first_seed, first_seed + seeds)), RECIPE: choice(*names)}
    return SearchSpace(name, configs[names[0]], domains, configs)


def beside_baseline(space: SearchSpace) -> SearchSpace:
    """The space with the baseline as one more recipe, which takes the data of the others and nothing else."""
    if BASELINE in space.recipes:
        return space
    base = space.base
    shared = {path: getattr(base.data, path.removeprefix("data.")) for path in SHARED}
    linear = override(recipes.get(BASELINE), shared)
    names = space.domains[RECIPE]
    assert isinstance(names, Choice)
    return SearchSpace(
        space.name,
        base,
        {**space.domains, RECIPE: choice(*names.values, BASELINE)},
        {**space.recipes, BASELINE: linear},
        space.max_params,
        space.max_macs,
    )

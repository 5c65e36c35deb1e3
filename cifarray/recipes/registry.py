"""What a recipe is: a function that returns a train config, with what was published for it.

Here: the decorator and the registry that it fills. Not here: any recipe.
"""

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from cifarray.config import TrainConfig


@dataclass(frozen=True)
class Published:
    """A figure that somebody published, and on what.

    error: top-1 error in % on the test split of `dataset`; None if there is none for this training run.
    params: parameters as printed there. train_images: how many it was trained on; None where that is not stated.
    """

    source: str
    error: float | None = None
    params: str = ""
    dataset: Literal["cifar10", "cifar100", "imagenet", ""] = "cifar10"
    train_images: int | None = None
    note: str = ""


@dataclass(frozen=True)
class Recipe:
    """Called without arguments it returns its train config; vary that with `config.override`."""

    name: str
    make: Callable[[], TrainConfig]
    published: Published

    def __call__(self) -> TrainConfig:
        return self.make()

    @property
    def __doc__(self) -> str | None:  # type: ignore[override]
        return self.make.__doc__


RECIPES: dict[str, Recipe] = {}


def recipe(published: Published) -> Callable[[Callable[[], TrainConfig]], Recipe]:
    """Registers a function under its name."""

    def register(make: Callable[[], TrainConfig]) -> Recipe:
        RECIPES[make.__name__] = Recipe(make.__name__, make, published)
        return RECIPES[make.__name__]

    return register


def find(name: str) -> Recipe:
    """Raises ValueError for a name that is not one, with the nearest."""
    if name not in RECIPES:
        similar = difflib.get_close_matches(name, RECIPES, n=3, cutoff=0.4) or ["wide_resnet_fast"]
        raise ValueError(
            f"recipe {name!r} is not known: choose {' or '.join(similar)}, or one that jobs/train.py --list shows"
        )
    return RECIPES[name]


def get(name: str) -> TrainConfig:
    """The train config of a recipe. Raises ValueError for a name that is not one."""
    return find(name)()

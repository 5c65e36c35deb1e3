"""Training runs with a name and a source (paper or post), with the figures published there.

A recipe is called without arguments and returns a train config; vary it with `config.override`. One file per kind of
network; what is not stated in a source, and so is ours, is said in the recipe's docstring. Where nothing else is said a
tenth of the training images is held out, as every search does; `data.validation=0` trains on all, as most papers do for
the figures they report. Not here: what a search varies (`search_spaces/`).
"""

from cifarray.recipes import (
    alexnets,
    densenets,
    fast,
    imagenet_resnets,
    pyramidnets,
    resnet13s,
    resnets,
    wide_resnets,
)
from cifarray.recipes.registry import RECIPES, Published, Recipe, find, get

__all__ = [
    "RECIPES",
    "Published",
    "Recipe",
    "alexnets",
    "densenets",
    "fast",
    "find",
    "get",
    "imagenet_resnets",
    "pyramidnets",
    "resnet13s",
    "resnets",
    "wide_resnets",
]


def __getattr__(name: str) -> Recipe:
    """`recipes.wide_resnet_28_10()`: every recipe by its name."""
    if name in RECIPES:
        return RECIPES[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

"""What is trained: one file per family, built by name.

Here: what the other rooms use of it. What needs torch is imported when it is first asked for: a study's plan is made
without. Not here: trained weights, losses, training (`cifarray.training`).
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from cifarray.models.checks import check_init, check_stochastic_depth
from cifarray.models.families import FAMILIES, check_options
from cifarray.models.small import smallest

if TYPE_CHECKING:
    from cifarray.models.blocks import ResidualBlock, residual_blocks
    from cifarray.models.initial_weights import initialise
    from cifarray.models.networks import ModelSize, build, count_params, measure, seed_shared_draws
    from cifarray.models.stochastic_depth import drop_branches

__all__ = [
    "FAMILIES",
    "ModelSize",
    "ResidualBlock",
    "build",
    "check_init",
    "check_options",
    "check_stochastic_depth",
    "count_params",
    "drop_branches",
    "initialise",
    "measure",
    "residual_blocks",
    "seed_shared_draws",
    "smallest",
]

_FILES = {
    "blocks": ("ResidualBlock", "residual_blocks"),
    "initial_weights": ("initialise",),
    "networks": ("ModelSize", "build", "count_params", "measure", "seed_shared_draws"),
    "stochastic_depth": ("drop_branches",),
}
"""What needs torch, by its file. No file is called as what is in it: once imported, it would be found in its place."""


def __getattr__(name: str) -> Any:
    for file, names in _FILES.items():
        if name in names:
            return getattr(import_module(f"cifarray.models.{file}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

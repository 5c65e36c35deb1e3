"""What a network can be given, before it is built in earnest; torch is imported only where a sketch of it is needed.

Not here: whether its options make a network (its builder), whether there are such options (`families`).
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from cifarray.models.families import branches_end_in_norm

if TYPE_CHECKING:
    from cifarray.models.initial_weights import Scheme


def check_init(name: str, options: Mapping[str, Any], weights: "Scheme", zero_gamma: bool) -> None:
    """Raises ValueError as `initialise` of that network would; nothing is allocated."""
    # Weights can be drawn in every network.
    if zero_gamma and not branches_end_in_norm(name, options):
        from cifarray.models.initial_weights import initialise
        from cifarray.models.networks import sketch

        initialise(sketch(name, 10, options), weights, zero_gamma)


def check_stochastic_depth(name: str, options: Mapping[str, Any], rate: float) -> None:
    """Raises ValueError as `drop_branches` of that network would, or `build`; nothing is allocated."""
    if rate > 0:
        from cifarray.models.networks import sketch
        from cifarray.models.stochastic_depth import drop_branches

        drop_branches(sketch(name, 10, options), rate)

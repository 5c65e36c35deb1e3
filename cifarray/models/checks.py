"""What a network can be given, before it is built in earnest; without torch, but for families that are not ours.

Not here: whether there are such options and whether they make a network (`families`).
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from cifarray.models.branches import (
    RESIDUAL,
    branches_end_in_norm,
    drops_by_itself,
    no_branch_to_drop,
    no_norm_to_zero,
)
from cifarray.models.families import check_options, written_in

if TYPE_CHECKING:
    from cifarray.models.initial_weights import Scheme


def check_init(name: str, options: Mapping[str, Any], weights: "Scheme", zero_gamma: bool) -> None:
    """Raises ValueError as `initialise` of that network would, or `build`; nothing is allocated."""
    # Weights can be drawn in every network.
    if not zero_gamma or branches_end_in_norm(name, options):
        return
    check_options(name, options)
    if (written := written_in(name)) is not None:
        raise no_norm_to_zero(written.kind, name in RESIDUAL)
    from cifarray.models.initial_weights import initialise
    from cifarray.models.networks import sketch

    initialise(sketch(name, 10, options), weights, zero_gamma)


def check_stochastic_depth(name: str, options: Mapping[str, Any], rate: float) -> None:
    """Raises ValueError as `drop_branches` of that network would, or `build`; nothing is allocated."""
    if rate == 0:
        return
    check_options(name, options)
    if (written := written_in(name)) is None:
        from cifarray.models.networks import sketch
        from cifarray.models.stochastic_depth import drop_branches

        drop_branches(sketch(name, 10, options), rate)
    elif name == "stochastic_depth_resnet":
        raise drops_by_itself(rate)
    elif name not in RESIDUAL:
        raise no_branch_to_drop(written.kind, rate)

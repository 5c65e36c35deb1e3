"""Which families have residual branches, and how these end, known without torch; and what is said of one without.

Not here: the branches themselves (`blocks`), what is done where they end (`initial_weights`, `stochastic_depth`).
"""

from collections.abc import Mapping
from typing import Any

NORM_ENDED = ("resnet", "resnet13", "stochastic_depth_resnet", "imagenet_resnet")
"""Families whose residual branches all end in a norm."""
NORM_ENDED_PYRAMIDS = ("c", "d")
"""`model.block` of the pyramids whose branches do."""
RESIDUAL = (*NORM_ENDED, "preact_resnet", "wide_resnet", "pyramidnet")
"""Families of residual blocks."""


def branches_end_in_norm(name: str, options: Mapping[str, Any]) -> bool:
    """Whether that is certain without building the network."""
    return name in NORM_ENDED or (name == "pyramidnet" and options.get("block", "d") in NORM_ENDED_PYRAMIDS)


def no_norm_to_zero(kind: str, has_blocks: bool) -> ValueError:
    """init.zero_gamma for a network, of a class called `kind`, whose branches do not end in a norm or are not there."""
    remedy = (
        "set it to false, or choose a resnet, resnet13, stochastic_depth_resnet, imagenet_resnet, or a pyramidnet with "
        "model.block c or d"
    )
    if has_blocks:
        # The norm before would not do: γ = β = 0 in front of a ReLU give zeros, and zero gradients, for ever.
        return ValueError(
            f"init.zero_gamma true needs residual branches that end in a norm, and those of {kind} end in a "
            f"convolution after a ReLU, where γ = 0 gets no gradient and stays: {remedy}"
        )
    return ValueError(f"init.zero_gamma true needs residual blocks, and {kind} has none that are known here: {remedy}")


def no_branch_to_drop(kind: str, rate: float) -> ValueError:
    """stochastic_depth for a network, of a class called `kind`, without residual blocks."""
    return ValueError(
        f"stochastic_depth {rate} needs residual blocks, and {kind} has none that are known here: set it to 0, or "
        "choose a resnet, preact_resnet, wide_resnet, pyramidnet, resnet13 or imagenet_resnet"
    )


def drops_by_itself(rate: float) -> ValueError:
    """stochastic_depth for the family that has its own."""
    return ValueError(
        f"stochastic_depth {rate} is not for stochastic_depth_resnet, which has its own: set it to 0 and "
        "model.death_rate to the rate, or choose resnet"
    )

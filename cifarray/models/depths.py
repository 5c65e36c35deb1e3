"""Which depths the families have, known without torch: a study is refused, and a range of depths made one of those that
are networks, before anything is built.

Not here: the other options of a family (`rules`).
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from cifarray.models.options import check_depth, check_flag


class Depths(NamedTuple):
    """step · n + offset, from `least` on."""

    step: int
    offset: int
    least: int

    def within(self, low: float, high: float) -> list[int]:
        """All from `low` to `high`, rising."""
        return [depth for depth in range(self.least, int(high) + 1, self.step) if depth >= low]

    def __str__(self) -> str:
        return f"{self.step}n + {self.offset}"


WIDE = Depths(6, 4, 10)
"""Wide ResNets: three groups of blocks with two convolutions, a stem, and a 1×1 for each group."""
BASIC, BOTTLENECK = Depths(6, 2, 8), Depths(9, 2, 11)
"""Three stages of residual blocks with two convolutions, or with three, a stem and a linear layer."""
DENSE, DENSE_BOTTLENECK = Depths(3, 4, 7), Depths(6, 4, 10)
"""Three dense blocks, two transitions, a stem and a linear layer."""
IMAGENET_BLOCKS = {26: (2, 2, 2, 2), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
"""Bottlenecks of each of the four stages; 26 is not in the papers, but small enough for CIFAR on few cores."""

DECIDING = ("model.name", "model.bottleneck", "model.variant")
"""Fields on which it hangs which depths there are."""


def depths_of(name: str, options: Mapping[str, Any]) -> Depths | None:
    """The depths of a family with such options; None where they follow no rule, or there is none for it."""
    bottleneck = options.get("bottleneck", False) is True
    match name:
        case "wide_resnet":
            return WIDE
        case "densenet":
            return DENSE_BOTTLENECK if bottleneck else DENSE
        case "plain_cnn" | "stochastic_depth_resnet":
            return BASIC
        case "resnet" | "preact_resnet" | "pyramidnet":
            depths = BOTTLENECK if bottleneck else BASIC
            # The post's variant has one block less per stage.
            spared = name == "pyramidnet" and options.get("variant") == "post"
            return depths._replace(least=depths.least + depths.step) if spared else depths
    return None


def depths_within(name: str, options: Mapping[str, Any], low: float, high: float) -> list[int] | None:
    """All depths from `low` to `high`; None where nothing is known of the family's."""
    if name == "imagenet_resnet":
        return [depth for depth in IMAGENET_BLOCKS if low <= depth <= high]
    depths = depths_of(name, options)
    return None if depths is None else depths.within(low, high)


def check_residual_depth(depth: object, bottleneck: bool) -> int:
    """Blocks per stage. Raises ValueError."""
    if check_flag("bottleneck", bottleneck):
        return check_depth(depth, *BOTTLENECK)
    fits = isinstance(depth, int) and depth > 11 and (depth - BOTTLENECK.offset) % BOTTLENECK.step == 0
    return check_depth(depth, *BASIC, f", or model.bottleneck=true for {depth}" if fits else "")

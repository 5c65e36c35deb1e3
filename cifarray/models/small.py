"""The smallest network of a family, for trying out what is done with all of them.

Not here: the smallest one of a search space (`cifarray.space.sizes`).
"""

from collections.abc import Mapping
from typing import Any

from cifarray.models.depths import IMAGENET_BLOCKS, depths_of
from cifarray.models.families import check_options

NARROW = {"widen_factor": 1, "growth_rate": 4, "alpha": 4, "base_width": 4}
"""Of the options that say how wide a family's networks are, small values that each family allows."""


def smallest(name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Options of a small network of the same kind: as deep and as wide as the family's rules ask for, else as given.

    Families whose size no option says, such as torchvision's, stay as they are. Raises ValueError as `check_options`.
    """
    check_options(name, options)
    depths = depths_of(name, options)
    small: dict[str, Any] = {option: value for option, value in NARROW.items() if option in options}
    if depths is not None and "depth" in options:
        small["depth"] = depths.least
    elif name == "imagenet_resnet":
        small |= {"depth": min(IMAGENET_BLOCKS), "base_width": NARROW["base_width"]}
    elif name == "resnet13":
        small["blocks"] = [1]
    shrunk = {**options, **small}
    check_options(name, shrunk)
    return shrunk

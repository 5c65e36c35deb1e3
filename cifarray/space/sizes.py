"""Parameters and MACs of the networks of a search space, counted on the meta device before anything is trained.

Here: that every corner of a space is a network, and that some point of it is within the space's limits.
"""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from cifarray.config import DataConfig
from cifarray.errors import StudyError
from cifarray.space.space import SearchSpace

if TYPE_CHECKING:
    from cifarray.models import ModelSize


class Sizes:
    """Counts, each network once."""

    def __init__(self, space: SearchSpace, num_classes: int) -> None:
        self.space, self.num_classes = space, num_classes
        self._known: dict[str, ModelSize] = {}

    def of(self, config: Mapping[str, Any]) -> "ModelSize":
        """Of a train config, as a dict. Raises StudyError for a network that cannot be."""
        # Late: it brings torch along, which nobody needs to read or write what varies.
        from cifarray.models import measure

        side = DataConfig(**config["data"]).input_size
        key = json.dumps([config["model"], side], sort_keys=True)
        if key not in self._known:
            try:
                self._known[key] = measure(config["model"]["name"], self.num_classes, side, _options(config))
            except ValueError as error:
                raise StudyError(str(error)) from None
        return self._known[key]

    def allowed(self, params: dict[str, Any]) -> bool:
        """Whether a point's network is within the space's limits."""
        if self.space.max_params is None and self.space.max_macs is None:
            return True
        size = self.of(self.space.config(params).to_dict())
        return self.space.allows(size.num_params, size.macs)

    def check_corners(self) -> None:
        """Builds every corner's network. Raises StudyError if one cannot be, or if none is within the limits.

        Only the smallest of each kind takes an image, to see whether there are networks for its size and within the
        limits: counting multiply-adds takes several times as long as building.
        """
        from cifarray.models import count_params

        configs = [self.space.config(corner).to_dict() for corner in self.space.model_corners()]
        try:
            configs.sort(key=lambda config: count_params(config["model"]["name"], self.num_classes, _options(config)))
        except ValueError as error:
            raise StudyError(str(error)) from None
        kinds = {(c["model"]["name"], c["model"].get("arch"), c["model"].get("resize")): c for c in reversed(configs)}
        for config in kinds.values():
            self.of(config)
        sizes = (self.of(config) for config in configs)
        smallest = next(sizes)
        if self.space.allows(smallest.num_params, smallest.macs):
            return
        if any(self.space.allows(size.num_params, size.macs) for size in sizes):
            return
        limits = [(self.space.max_params, "max_params"), (self.space.max_macs, "max_macs")]
        given = " and ".join(f"{name} {limit:,}" for limit, name in limits if limit is not None)
        raise StudyError(
            f"no network of the space {self.space.name!r} is within {given}: the smallest of its corners has "
            f"{smallest.num_params:,} parameters and {smallest.macs:,} MACs; raise the limit, or add smaller values to "
            "the domains"
        )


def _options(config: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in config["model"].items() if name != "name"}

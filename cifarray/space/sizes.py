"""Parameters and MACs of the networks of a search space, counted on the meta device before anything is trained.

Here: that every corner of a space is a network, what is said of one that is none, and that some point of the space is
within its limits.
"""

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from cifarray.config import DataConfig
from cifarray.errors import StudyError
from cifarray.space.domains import Range
from cifarray.space.rules import NETWORK, parts
from cifarray.space.space import RECIPE, SearchSpace

if TYPE_CHECKING:
    from cifarray.models import ModelSize

MAX_NAMED = 8
"""Values that a sentence names."""
DECIDING = (RECIPE, "model.", "data.image_size", "data.crop_size", "data.grid")
"""Fields of a point on which its network's size hangs."""


class Sizes:
    """Counts, each network once."""

    def __init__(self, space: SearchSpace, num_classes: int) -> None:
        self.space, self.num_classes = space, num_classes
        self._sizes: dict[str, ModelSize] = {}
        self._params: dict[str, int] = {}
        """Parameters alone, which are counted in a fraction of the time."""
        self._allowed: dict[str, bool] = {}

    def of(self, config: Mapping[str, Any]) -> "ModelSize":
        """Of a train config, as a dict. Raises StudyError for a network that cannot be."""
        # Late: it brings torch along, which nobody needs to read or write what varies.
        from cifarray.models import measure

        side = DataConfig(**config["data"]).input_size
        key = json.dumps([config["model"], side], sort_keys=True)
        if key not in self._sizes:
            try:
                self._sizes[key] = measure(config["model"]["name"], self.num_classes, side, _options(config))
            except ValueError as error:
                raise StudyError(str(error)) from None
        return self._sizes[key]

    def params_of(self, config: Mapping[str, Any]) -> int:
        """Of a train config, as a dict. Raises StudyError for options that make no network, whatever its images."""
        from cifarray.models import count_params

        key = json.dumps(config["model"], sort_keys=True)
        if key not in self._params:
            try:
                self._params[key] = count_params(config["model"]["name"], self.num_classes, _options(config))
            except ValueError as error:
                raise StudyError(str(error)) from None
        return self._params[key]

    def allowed(self, params: dict[str, Any]) -> bool:
        """Whether a point's network is within the space's limits."""
        if not self.space.is_limited:
            return True
        key = json.dumps({path: params[path] for path in parts(DECIDING, params)})
        if key not in self._allowed:
            self._allowed[key] = self._is_within(self.space.config(params).to_dict())
        return self._allowed[key]

    def check_networks(self) -> list[dict[str, Any]]:
        """Builds every corner's network, on any number of classes; their configs, the smallest first.

        Raises StudyError if one cannot be.
        """
        corners = list(self.space.corners_of(NETWORK))
        for corner in corners:
            try:
                self.params_of(self.space.config(corner).to_dict())
            except StudyError as error:
                raise with_what_works(self.space, corner, error, self._is_network) from None
        configs = [self.space.config(corner).to_dict() for corner in corners]
        networks = {json.dumps(config["model"], sort_keys=True): config for config in configs}
        return sorted(networks.values(), key=self.params_of)

    def _is_network(self, params: Mapping[str, Any]) -> bool:
        try:
            self.params_of(self.space.config(params).to_dict())
        except ValueError:
            return False
        return True

    def check_corners(self) -> None:
        """As `check_networks`; raises StudyError also if none is within the limits, or takes the images.

        Only the smallest of each kind takes an image, to see whether there are networks for its size and within the
        limits: counting multiply-adds takes several times as long as building.
        """
        configs = self.check_networks()
        kinds = {(c["model"]["name"], c["model"].get("arch"), c["model"].get("resize")): c for c in reversed(configs)}
        for config in kinds.values():
            self.of(config)
        if any(self._is_within(config) for config in configs):
            return
        smallest = self.of(configs[0])
        limits = [(self.space.max_params, "max_params"), (self.space.max_macs, "max_macs")]
        given = " and ".join(f"{name} {limit:,}" for limit, name in limits if limit is not None)
        raise StudyError(
            f"no network of the space {self.space.name!r} is within {given}: the smallest of its corners has "
            f"{smallest.num_params:,} parameters and {smallest.macs:,} MACs; raise the limit, or add smaller values to "
            "the domains"
        )

    def _is_within(self, config: Mapping[str, Any]) -> bool:
        if self.space.max_macs is None:
            return self.space.allows(self.params_of(config), 0)
        size = self.of(config)
        return self.space.allows(size.num_params, size.macs)


def with_what_works(
    space: SearchSpace, corner: Mapping[str, Any], error: ValueError, is_network: Callable[[Mapping[str, Any]], bool]
) -> ValueError:
    """An error of a point inside of a range, with the range and the values that it might have instead.

    is_network: whether a point is one.
    """
    for path in parts(NETWORK[0], corner):
        _, domain = space.tree.domain_at(path, corner) or ("", None)
        if not isinstance(domain, Range) or corner[path] in domain.corners():
            continue
        works = [value for value in domain.probes() if is_network({**corner, path: value})]
        if len(works) > 1 and domain.integer:
            values = ",".join(map(str, works[:MAX_NAMED]))
            return StudyError(
                f"not all of {path} {domain} makes a network ({error}): name values that do, --space {path}={values}"
            )
    return error


def _options(config: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in config["model"].items() if name != "name"}

"""A network layer by layer: its lines add up to what is counted of the whole."""

from itertools import pairwise
from typing import Any

import pytest

from cifarray.models import measure
from cifarray.models.layers import layers
from tests.models.zoo import SMALL


@pytest.mark.parametrize("name", SMALL)
def test_the_leaves_add_up_to_the_network(name: str) -> None:
    options: dict[str, Any] = dict(SMALL[name])
    family = options.pop("name")
    found = layers(family, 10, 64, options)
    size = measure(family, 10, 64, options)
    leaves = [layer for layer in found if layer.is_leaf]
    for counted in ([found[0]], leaves):
        assert sum(layer.num_params for layer in counted) == size.num_params
        assert sum(layer.macs for layer in counted) == size.macs
    assert found[0].shape == (10,)


def test_modules_come_in_the_order_of_the_forward_pass_with_what_comes_out() -> None:
    found = layers("wide_resnet", 10, 32, {"depth": 10, "widen_factor": 1})
    leaves = [(layer.name, layer.shape, layer.num_params) for layer in found if layer.is_leaf and layer.num_params]
    assert leaves[:4] == [
        ("stem", (16, 32, 32), 3 * 16 * 9),
        ("bn1", (16, 32, 32), 2 * 16),
        ("conv1", (16, 32, 32), 16 * 16 * 9),
        ("bn2", (16, 32, 32), 2 * 16),
    ]
    assert leaves[-1] == ("classifier", (10,), 64 * 10 + 10)
    depths = [layer.depth for layer in found]
    assert depths[0] == 0
    assert all(after - before <= 1 for before, after in pairwise(depths))

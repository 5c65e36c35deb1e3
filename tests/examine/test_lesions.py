"""Lesions: what a network computes while one residual branch is silent."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from cifarray.examine.lesions import lesions, silent
from cifarray.models import build, residual_blocks

FAMILIES = [
    ("resnet", {"depth": 14}, 6),
    ("preact_resnet", {"depth": 20, "bottleneck": True}, 6),
    ("wide_resnet", {"depth": 16, "widen_factor": 2}, 6),
    ("pyramidnet", {"depth": 14, "alpha": 12}, 6),
    ("stochastic_depth_resnet", {"depth": 14}, 6),
]


@pytest.mark.parametrize(("name", "options", "count"), FAMILIES)
def test_a_silent_block_is_its_shortcut(name: str, options: dict[str, int], count: int) -> None:
    torch.manual_seed(0)
    network = build(name, **options).eval()
    blocks = residual_blocks(network)
    assert len(blocks) == count
    assert [index for index, (_, block) in enumerate(blocks, start=1) if block.downsamples] == [3, 5]
    images = torch.randn(2, 3, 32, 32)
    seen = {}
    _, block = blocks[1]
    block.register_forward_hook(lambda module, inputs, output: seen.update(x=inputs[0], y=output))
    intact = network(images)
    with silent(block):
        assert not network(images).equal(intact)
        x = seen["x"]
        # The second block keeps its shape; only the pyramid widens there, with zeros. Post-activation ends in a ReLU.
        padded = F.pad(x, (0, 0, 0, 0, 0, seen["y"].shape[1] - x.shape[1]))
        torch.testing.assert_close(seen["y"], F.relu(padded) if name in POST else padded)
    assert network(images).equal(intact)


POST = ("resnet", "stochastic_depth_resnet")


def test_lesions_go_through_the_blocks_in_order_and_leave_the_network_whole() -> None:
    network = build("wide_resnet", depth=10, widen_factor=1).eval()
    images = torch.randn(4, 3, 32, 32)
    intact = network(images)
    found = list(lesions(network, lambda: network(images).sum().item()))
    assert [each.index for each in found] == [1, 2, 3]
    assert [each.downsamples for each in found] == [False, True, True]
    assert len({each.error for each in found}) == 3
    assert network(images).equal(intact)


def test_a_network_without_blocks_has_no_lesions() -> None:
    assert list(lesions(nn.Linear(2, 2), lambda: 0.0)) == []

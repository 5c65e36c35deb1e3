"""Stochastic depth: what is dropped, when, and what it leaves behind."""

import pytest
import torch
import torch.nn.functional as F

from cifarray.models import build, seed_shared_draws
from cifarray.models.stochastic_depth_resnet import StochasticBlock, StochasticDepthResNet


def network_of(depth: int = 14, **options: object) -> StochasticDepthResNet:
    torch.manual_seed(0)
    network = build("stochastic_depth_resnet", depth=depth, **options)
    assert isinstance(network, StochasticDepthResNet)
    return network


def test_survival_falls_linearly_to_one_less_the_death_rate() -> None:
    """§3, equation 4 with p_L = 0.5: block l of 54 survives with 1 - l/54 · 0.5."""
    survivals = network_of(110).survivals
    assert len(survivals) == 54
    assert survivals[0].item() == pytest.approx(1 - 0.5 / 54)
    assert survivals[53].item() == 0.5
    assert network_of(14, mode="uniform", death_rate=0.3).survivals.tolist() == pytest.approx([0.7] * 6)


def test_blocks_live_as_often_as_they_should_and_as_the_seed_says() -> None:
    network = network_of(14, death_rate=0.6)
    seed_shared_draws(network, 5)
    drawn = [network._gates() for _ in range(4000)]
    shares = torch.tensor(drawn).float().mean(0)
    torch.testing.assert_close(shares, network.survivals, rtol=0, atol=0.03)
    seed_shared_draws(network, 5)
    assert [network._gates() for _ in range(4000)] == drawn


def test_a_dropped_block_is_its_shortcut_and_the_relu() -> None:
    block = StochasticBlock(16, 32, 2, survival=0.5)
    x = torch.randn(2, 16, 8, 8)
    out = block(x, alive=False)
    pooled = F.avg_pool2d(x, 2)
    assert out.equal(F.relu(torch.cat([pooled, torch.zeros_like(pooled)], 1)))
    assert int(block.bn1.num_batches_tracked) == 0
    out.sum().backward()
    assert all(parameter.grad is not None and not parameter.grad.any() for parameter in block.parameters())


def test_a_living_block_is_not_rescaled_in_training_and_scaled_by_its_survival_in_evaluation() -> None:
    block = StochasticBlock(16, 16, 1, survival=0.25)
    x = torch.randn(4, 16, 8, 8)
    branch = block.bn2(block.conv2(F.relu(block.bn1(block.conv1(x)))))
    torch.testing.assert_close(block(x, alive=True), F.relu(x + branch))
    block.eval()
    branch = block.bn2(block.conv2(F.relu(block.bn1(block.conv1(x)))))
    torch.testing.assert_close(block(x, alive=True), F.relu(x + 0.25 * branch))


def test_evaluation_draws_nothing() -> None:
    network = network_of().eval()
    images = torch.randn(2, 3, 32, 32)
    before = network.shared_draws.get_state()
    assert network(images).equal(network(images))
    assert network.shared_draws.get_state().equal(before)

"""Stochastic depth for any residual network: how often branches are dropped, for whom, and what stays as it is.

Not here: the authors' own network (`test_stochastic_depth`).
"""

import copy
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from zoo import SMALL

from cifarray.models import build, check_stochastic_depth, drop_branches, residual_blocks

FAMILIES: list[tuple[str, dict[str, Any]]] = [
    ("resnet", {"depth": 14}),
    ("preact_resnet", {"depth": 20, "bottleneck": True}),
    ("wide_resnet", {"depth": 16, "widen_factor": 1}),
    ("pyramidnet", {"depth": 14, "alpha": 12}),
    ("resnet13", {}),
    ("imagenet_resnet", {"depth": 26, "base_width": 4}),
]


def built(name: str, rate: float, **options: Any) -> nn.Module:
    torch.manual_seed(0)
    network = build(name, **options)
    drop_branches(network, rate)
    return network


class Branches:
    """The outputs of every block's branch, before and after dropping, in the last forward pass."""

    def __init__(self, network: nn.Module) -> None:
        self.before: list[Tensor] = []
        self.after: list[Tensor] = []
        for _, block in residual_blocks(network):
            end = block.get_submodule(block.branch_end)
            end.register_forward_hook(lambda module, inputs, output: self.before.append(output), prepend=True)
            end.register_forward_hook(lambda module, inputs, output: self.after.append(output))

    def pairs(self) -> list[tuple[Tensor, Tensor]]:
        pairs = list(zip(self.before, self.after, strict=True))
        self.before, self.after = [], []
        return pairs


def is_dropped(branch: Tensor) -> Tensor:
    """(N,) bool: rows that are zero everywhere."""
    return ~branch.flatten(1).any(1)


@pytest.mark.parametrize(("name", "options"), FAMILIES)
def test_rates_rise_linearly_from_the_first_block_to_the_last(name: str, options: dict[str, Any]) -> None:
    """arXiv:1603.09382 §3, equation 4: block l of L is dropped with l/L of the last one's rate."""
    network = built(name, 0.6, **options)
    branches, images = Branches(network), torch.randn(512, 3, 8, 8)
    dropped = torch.zeros(len(residual_blocks(network)))
    with torch.no_grad():
        for _ in range(4):
            network(images)
            dropped += torch.stack([is_dropped(after).sum() for _, after in branches.pairs()])
    expected = 0.6 * torch.arange(1, len(dropped) + 1) / len(dropped)
    # Four times the deviation of a share of 2,048.
    assert ((dropped / 2048 - expected).abs() < 4 * (expected * (1 - expected) / 2048) ** 0.5).all()


@pytest.mark.parametrize(("name", "options"), FAMILIES)
def test_a_branch_is_dropped_wholly_or_divided_by_its_chance_to_live(name: str, options: dict[str, Any]) -> None:
    network = built(name, 0.5, **options)
    branches = Branches(network)
    network(torch.randn(64, 3, 32, 32))
    pairs = branches.pairs()
    kinds = set()
    for number, (before, after) in enumerate(pairs, start=1):
        dropped = is_dropped(after)
        kinds |= set(dropped.tolist())
        torch.testing.assert_close(after[~dropped], before[~dropped] / (1 - 0.5 * number / len(pairs)))
    assert kinds == {True, False}


def test_a_blocks_mean_over_many_draws_is_its_undropped_output() -> None:
    network = built("wide_resnet", 0.5, depth=10, widen_factor=1)
    torch.manual_seed(0)
    plain = build("wide_resnet", depth=10, widen_factor=1).get_submodule("groups.2.0")
    block = network.get_submodule("groups.2.0")
    x = torch.randn(3, 32, 8, 8)
    with torch.no_grad():
        undropped = plain(x)
        shares = torch.stack([block(x) for _ in range(2000)])
    # The branch is there twice as large or not at all, so its deviation is its size.
    error = shares.std(0) / 2000**0.5
    assert ((shares.mean(0) - undropped).abs() <= 5 * error + 1e-5).all()
    assert shares.std(0).min() > 0


def test_a_dropped_image_goes_through_the_shortcut_alone() -> None:
    network = built("resnet", 0.9, depth=8)
    block = network.get_submodule("stages.2.0")
    x = torch.randn(64, 32, 8, 8)
    y, shortcut = block(x), F.relu(block.get_submodule("shortcut")(x))
    alone = torch.tensor([torch.equal(*pair) for pair in zip(y, shortcut, strict=True)])
    assert 40 < alone.sum() < 64


@pytest.mark.parametrize(("name", "options"), FAMILIES)
def test_evaluation_and_the_names_of_weights_are_unchanged(name: str, options: dict[str, Any]) -> None:
    torch.manual_seed(0)
    plain, network = build(name, **options).eval(), built(name, 0.5, **options).eval()
    assert network.state_dict().keys() == plain.state_dict().keys()
    images, generator = torch.randn(2, 3, 32, 32), torch.get_rng_state()
    assert network(images).equal(plain(images))
    assert torch.get_rng_state().equal(generator)


def test_a_copy_drops_by_its_own_mode() -> None:
    """As a moving average of the weights is: a copy that is evaluated while the network trains."""
    network = built("preact_resnet", 0.5, depth=8)
    twin = copy.deepcopy(network).eval()
    images = torch.randn(8, 3, 32, 32)
    assert twin(images).equal(twin(images))
    assert not network(images).equal(network(images))
    network.eval()
    twin.train()
    assert network(images).equal(network(images))
    assert not twin(images).equal(twin(images))


@pytest.mark.parametrize(("name", "options"), FAMILIES)
def test_every_parameter_has_a_gradient_when_everything_is_dropped(name: str, options: dict[str, Any]) -> None:
    """DDP waits for all of them."""
    network = built(name, 1 - 1e-9, **options)
    F.cross_entropy(network(torch.randn(2, 3, 32, 32)), torch.arange(2)).backward()
    assert [path for path, parameter in network.named_parameters() if parameter.grad is None] == []


@pytest.mark.parametrize(("name", "options"), FAMILIES)
def test_a_compiled_network_drops_the_same(name: str, options: dict[str, Any]) -> None:
    """Traced as one graph; with the backend that does not generate code both draw alike."""
    network = built(name, 0.5, **options)
    compiled = torch.compile(copy.deepcopy(network), backend="eager", fullgraph=True)
    images = torch.randn(8, 3, 32, 32)
    for _ in range(2):
        draws = torch.get_rng_state()
        expected = network(images)
        torch.set_rng_state(draws)
        torch.testing.assert_close(compiled(images), expected)
    assert not compiled(images).equal(compiled(images))


def test_a_rate_of_zero_leaves_any_network_alone() -> None:
    network = built("densenet", 0.0, depth=10, growth_rate=4)
    images = torch.randn(2, 3, 32, 32)
    assert network(images).equal(network(images))


HAS_BLOCKS = {name for name in SMALL if any(kind in name for kind in ("resnet", "pyramidnet"))}
HAS_BLOCKS -= {"stochastic_depth_resnet"}


@pytest.mark.parametrize("name", SMALL)
def test_every_family_drops_or_is_refused(name: str) -> None:
    options = dict(SMALL[name])
    family = options.pop("name")
    if name in HAS_BLOCKS:
        check_stochastic_depth(family, options, 0.2)
        network = built(family, 0.9, **options)
        images = torch.randn(16, 3, 32, 32)
        assert not network(images).equal(network(images))
        return
    message = r"^stochastic_depth 0.2 needs residual blocks, and \w+ has none .*: set it to 0, or choose a resnet, "
    if name == "stochastic_depth_resnet":
        message = "^stochastic_depth 0.2 is not for stochastic_depth_resnet, which has its own: .*model.death_rate"
    with pytest.raises(ValueError, match=message):
        built(family, 0.2, **options)
    with pytest.raises(ValueError, match=message):
        check_stochastic_depth(family, options, 0.2)


@pytest.mark.parametrize(("name", "options"), FAMILIES)
def test_blocks_are_listed_in_the_order_of_the_forward_pass(name: str, options: dict[str, Any]) -> None:
    network = build(name, **options)
    order: list[str] = []
    for path, block in residual_blocks(network):
        block.register_forward_hook(lambda *_, path=path: order.append(path))
    network(torch.randn(2, 3, 32, 32))
    assert order == [path for path, _ in residual_blocks(network)]
    assert order

"""How weights begin: deviations by the formulas of He et al. and Glorot & Bengio, and γ = 0 where branches end."""

import re
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from zoo import SMALL

from cifarray.models import FAMILIES, build, check_init, initialise, residual_blocks
from cifarray.models.blocks import Affine
from cifarray.models.initial_weights import Scheme

NORMS = (nn.BatchNorm2d, Affine)


def begun(name: str, weights: Scheme, zero_gamma: bool = False, **options: Any) -> nn.Module:
    torch.manual_seed(0)
    network = build(name, **options)
    initialise(network, weights, zero_gamma)
    return network


def state(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in network.state_dict().items()}


# Wide enough for the deviation of a sample to mean something; one with biases, one without norms, one with branches of
# another kind.
WIDE: list[tuple[str, dict[str, Any]]] = [
    ("wide_resnet", {"depth": 10, "widen_factor": 4}),
    ("plain_cnn", {"depth": 8, "variant": "post", "norm": "affine"}),
    ("alexnet", {"size": "small"}),
    ("densenet", {"depth": 10, "growth_rate": 12, "bottleneck": True}),
    ("imagenet_resnet", {"depth": 26, "base_width": 16}),
]


def fans(weight: Tensor) -> tuple[int, int]:
    """Inputs that an output sums, and outputs that an input reaches (without regard to the stride)."""
    pixels = weight[0, 0].numel() if weight.ndim == 4 else 1
    return weight.shape[1] * pixels, weight.shape[0] * pixels


def assert_deviation(weight: Tensor, expected: float, name: str) -> None:
    """Within five times the error of a sample's deviation, for a normal 1/√(2n), and of its mean, 1/√n."""
    count = weight.numel()
    assert abs(weight.std().item() / expected - 1) < 5 / (2 * count) ** 0.5, name
    assert abs(weight.mean().item()) < 5 * expected / count**0.5, name


def share_beyond(weight: Tensor, deviations: float, deviation: float) -> float:
    return (weight.abs() > deviations * deviation).float().mean().item()


def layers(network: nn.Module) -> list[tuple[str, nn.Conv2d | nn.Linear]]:
    return [(name, module) for name, module in network.named_modules() if isinstance(module, (nn.Conv2d, nn.Linear))]


@pytest.mark.parametrize(("name", "options"), WIDE)
def test_he_over_the_fan_in(name: str, options: dict[str, Any]) -> None:
    """arXiv:1502.01852 §2.2: a normal of deviation √(2 / n), n the inputs of a neuron; the linear layers too."""
    for path, layer in layers(begun(name, "he_fan_in", **options)):
        deviation = (2 / fans(layer.weight)[0]) ** 0.5
        assert_deviation(layer.weight, deviation, path)
        if layer.weight.numel() > 10_000:
            assert share_beyond(layer.weight, 2, deviation) == pytest.approx(0.0455, abs=0.01), path


@pytest.mark.parametrize(("name", "options"), WIDE)
def test_he_over_the_fan_out_leaves_linear_layers_to_torch(name: str, options: dict[str, Any]) -> None:
    """§2.2, backward: √(2 / n̂), n̂ what an input reaches; torch draws linear weights from ±1/√fan_in."""
    for path, layer in layers(begun(name, "he_fan_out", **options)):
        fan_in, fan_out = fans(layer.weight)
        if isinstance(layer, nn.Conv2d):
            assert_deviation(layer.weight, (2 / fan_out) ** 0.5, path)
        else:
            assert layer.weight.abs().max().item() <= fan_in**-0.5
            assert_deviation(layer.weight, (3 * fan_in) ** -0.5, path)


@pytest.mark.parametrize(("name", "options"), WIDE)
def test_xavier_is_uniform_between_glorots_bounds(name: str, options: dict[str, Any]) -> None:
    """Glorot & Bengio 2010, equation 16: ±√6 / √(fan_in + fan_out), whose deviation is the bound over √3."""
    for path, layer in layers(begun(name, "xavier", **options)):
        bound = (6 / sum(fans(layer.weight))) ** 0.5
        assert layer.weight.abs().max().item() <= bound, path
        assert_deviation(layer.weight, bound / 3**0.5, path)


@pytest.mark.parametrize("weights", ["he_fan_in", "he_fan_out", "xavier"])
@pytest.mark.parametrize(("name", "options"), WIDE)
def test_biases_begin_at_zero_and_norms_at_one(name: str, options: dict[str, Any], weights: Scheme) -> None:
    """Whatever the family begins with: wide_resnet's own γ is uniform in [0, 1)."""
    network = build(name, **options)
    for parameter in network.parameters():
        nn.init.normal_(parameter)
    initialise(network, weights, zero_gamma=False)
    for path, module in network.named_modules():
        if isinstance(module, NORMS):
            assert (module.weight == 1).all(), path
            assert not module.bias.any(), path
        if isinstance(module, (nn.Conv2d, nn.Linear)) and module.bias is not None:
            assert not module.bias.any(), path


@pytest.mark.parametrize("name", SMALL)
def test_family_leaves_every_weight_and_the_generator_as_they_are(name: str) -> None:
    torch.manual_seed(0)
    network = build(**SMALL[name])
    before, generator = state(network), torch.get_rng_state()
    initialise(network, "family", zero_gamma=False)
    assert all(value.equal(before[path]) for path, value in network.state_dict().items())
    assert torch.get_rng_state().equal(generator)


IN_CONVOLUTION = r"^init.zero_gamma true .* end in a convolution after a ReLU, where γ = 0 gets no gradient .*choose a "
NO_BLOCKS = r"^init.zero_gamma true needs residual blocks, and {} has none .*: set it to false, or choose a resnet"

# Where each family's branches end, as a pattern of parameters' names; or why there is no such norm.
ENDS = {
    "linear": ValueError(NO_BLOCKS.format("Linear")),
    "alexnet": ValueError(NO_BLOCKS.format("AlexNet")),
    "plain_cnn": ValueError(NO_BLOCKS.format("PlainCNN")),
    "plain_cnn post": ValueError(NO_BLOCKS.format("PlainCNN")),
    "densenet": ValueError(NO_BLOCKS.format("DenseNet")),
    "densenet BC": ValueError(NO_BLOCKS.format("DenseNet")),
    "densenet memory": ValueError(NO_BLOCKS.format("DenseNet")),
    "inception": ValueError(NO_BLOCKS.format("TorchvisionNetwork")),
    "mobilenet": ValueError(NO_BLOCKS.format("TorchvisionNetwork")),
    "wide_resnet": ValueError(IN_CONVOLUTION),
    "wide_resnet post": ValueError(IN_CONVOLUTION),
    "preact_resnet A": ValueError(IN_CONVOLUTION),
    "preact_resnet bottleneck": ValueError(IN_CONVOLUTION),
    "preact_resnet post": ValueError(IN_CONVOLUTION),
    # Figure 6 of arXiv:1610.02915: (a) and (b) have no BN at the end of the branch, (c) and (d) have.
    "pyramidnet bottleneck": ValueError(IN_CONVOLUTION + ".*pyramidnet with model.block c or d"),
    "pyramidnet projection": ValueError(IN_CONVOLUTION + ".*pyramidnet with model.block c or d"),
    "pyramidnet": r"stages\.\d\.0\.branch\.4\.weight",
    "pyramidnet multiplicative": r"stages\.\d\.0\.branch\.4\.weight",
    "pyramidnet post": r"stages\.\d\.\d\.branch\.4\.weight",
    "resnet A": r"stages\.\d\.0\.bn2\.weight",
    "resnet B": r"stages\.\d\.0\.bn2\.weight",
    "resnet post": r"stages\.\d\.0\.bn2\.weight",
    "resnet bottleneck": r"stages\.\d\.0\.bn3\.weight",
    "resnet13": r"stages\.\d\.\d\.bn2\.weight",
    "resnet13 for grids": r"stages\.\d\.0\.bn2\.weight",
    "stochastic_depth_resnet": r"blocks\.\d\.bn2\.weight",
    "imagenet_resnet": r"stages\.\d\.\d\.bn3\.weight",
    "imagenet_resnet D": r"stages\.\d\.\d\.bn3\.weight",
}
ZEROED = [name for name, end in ENDS.items() if isinstance(end, str)]


def test_every_family_is_zeroed_or_refused() -> None:
    assert ENDS.keys() == SMALL.keys()
    assert {SMALL[name]["name"] for name in ENDS} == FAMILIES.keys()


@pytest.mark.parametrize("name", ENDS)
def test_zero_gamma_zeroes_the_norms_at_the_ends_of_branches_or_is_refused(name: str) -> None:
    end = ENDS[name]
    options = dict(SMALL[name])
    family = options.pop("name")
    torch.manual_seed(0)
    network = build(family, **options)
    before = state(network)
    if isinstance(end, ValueError):
        for refuse in (
            lambda: initialise(network, "xavier", zero_gamma=True),
            lambda: check_init(family, options, "xavier", zero_gamma=True),
        ):
            with pytest.raises(ValueError, match=str(end)):
                refuse()
        # Nothing was drawn before it was refused.
        assert all(value.equal(before[path]) for path, value in network.state_dict().items())
        return
    check_init(family, options, "family", zero_gamma=True)
    initialise(network, "family", zero_gamma=True)
    zeroed = {path for path, value in network.state_dict().items() if not value.equal(before[path])}
    assert zeroed == {path for path in before if re.fullmatch(end, path)}
    assert len(zeroed) == len(residual_blocks(network))
    assert not any(network.state_dict()[path].any() for path in zeroed)


@pytest.mark.parametrize("weights", ["he_fan_in", "he_fan_out", "xavier"])
def test_gammas_are_zero_whatever_draws_the_weights(weights: Scheme) -> None:
    network = begun("resnet", weights, zero_gamma=True, depth=14)
    ends = [block.get_submodule("bn2").weight for _, block in residual_blocks(network)]
    assert len(ends) == 6
    assert not any(gamma.any() for gamma in ends)


@pytest.mark.parametrize("name", ZEROED)
def test_with_zero_gamma_every_block_begins_as_its_shortcut(name: str) -> None:
    """With the ReLU after the sum, which all have but the pyramids."""
    network = begun(weights="family", zero_gamma=True, **SMALL[name])
    seen: dict[str, tuple[Tensor, Tensor]] = {}
    blocks = residual_blocks(network)
    for path, block in blocks:
        block.register_forward_hook(lambda _, inputs, output, path=path: seen.update({path: (inputs[0], output)}))
    torch.manual_seed(0)
    network(torch.randn(4, 3, 32, 32))
    for path, block in blocks:
        x, y = seen[path]
        shortcut = block.get_submodule("shortcut")(x)
        assert shortcut.any()
        torch.testing.assert_close(y, shortcut if "pyramidnet" in name else F.relu(shortcut))


@pytest.mark.parametrize("name", ZEROED)
def test_a_gamma_of_zero_gets_a_gradient(name: str) -> None:
    options = SMALL[name] | ({"death_rate": 0.0} if name == "stochastic_depth_resnet" else {})
    network = begun(weights="family", zero_gamma=True, **options)
    F.cross_entropy(network(torch.randn(8, 3, 32, 32)), torch.arange(8)).backward()
    for path, parameter in network.named_parameters():
        if re.fullmatch(str(ENDS[name]), path):
            assert parameter.grad is not None, path
            assert parameter.grad.any(), path


def test_gamma_of_zero_before_a_relu_would_get_none() -> None:
    """Why branches that end in a convolution are refused: the block's output does not depend on their last norm."""
    network = build("wide_resnet", depth=10, widen_factor=1)
    block = residual_blocks(network)[0][1]
    norm = block.get_submodule("bn2")
    nn.init.zeros_(norm.get_parameter("weight"))
    network(torch.randn(4, 3, 32, 32)).square().sum().backward()
    for parameter in [*norm.parameters(), *block.get_submodule("conv2").parameters()]:
        assert parameter.grad is not None
        assert not parameter.grad.any()


def test_a_network_that_is_looked_at_and_is_impossible_is_refused_as_when_it_is_built() -> None:
    with pytest.raises(ValueError, match=r"model.depth 33 is not 6n \+ 2"):
        check_init("preact_resnet", {"depth": 33}, "family", zero_gamma=True)


def test_checking_draws_nothing() -> None:
    before = torch.get_rng_state()
    check_init("imagenet_resnet", {"depth": 152}, "he_fan_in", zero_gamma=True)
    assert torch.get_rng_state().equal(before)

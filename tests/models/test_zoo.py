"""What holds for every family: published sizes, any input size and number of classes, gradients, memory formats."""

import copy
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from zoo import PUBLISHED, SMALL, Member

from cifarray.models import build, measure, seed_shared_draws


def small(name: str, num_classes: int = 10) -> nn.Module:
    torch.manual_seed(0)
    return build(num_classes=num_classes, **SMALL[name])


def at_night(depth: int) -> list[pytest.MarkDecorator]:
    """Shallower members of a family are built by the same code, in a tenth of the time."""
    return [pytest.mark.nightly] if depth > 1000 else []


@pytest.mark.parametrize(
    "member",
    [pytest.param(member, marks=at_night(member.options.get("depth", 0))) for member in PUBLISHED],
    ids=lambda member: f"{member.name} {member.options}",
)
def test_parameters_and_macs_are_the_published_ones(member: Member) -> None:
    size = measure(member.name, member.classes, member.side, member.options)
    digits = len(member.macs.partition(".")[2])
    assert (size.num_params, f"{size.macs / 1e9:.{digits}f}") == (member.num_params, member.macs)


def preact_bottleneck_macs(depth: int) -> int:
    """By hand: three 1×1, 3×3, 1×1 a block, the stride on the first of them, a 1×1 where the channels change."""
    blocks, total, channels, side = (depth - 2) // 9, 9 * 3 * 16 * 32**2, 16, 32
    for inner, stride in ((16, 1), (32, 2), (64, 2)):
        side //= stride
        for index in range(blocks):
            total += (channels * inner + 9 * inner * inner + inner * 4 * inner) * side**2
            total += channels * 4 * inner * side**2 if index == 0 else 0
            channels = 4 * inner
    return total + channels * 10


@pytest.mark.parametrize("depth", [pytest.param(depth, marks=at_night(depth)) for depth in (164, 1001)])
def test_preactivation_bottlenecks_have_the_stride_on_the_first_convolution(depth: int) -> None:
    assert measure("preact_resnet", 10, 32, {"depth": depth, "bottleneck": True}).macs == preact_bottleneck_macs(depth)


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("side", [32, 64])
def test_images_of_any_side_give_one_row_of_logits_each(name: str, side: int) -> None:
    network = small(name, num_classes=100).eval()
    assert network(torch.randn(2, 3, side, side)).shape == (2, 100)


def gradients(network: nn.Module, images: Tensor) -> dict[str, Tensor | None]:
    seed_shared_draws(network, 1)
    torch.manual_seed(1)
    network.zero_grad()
    F.cross_entropy(network(images), torch.arange(len(images))).backward()
    return {name: parameter.grad for name, parameter in network.named_parameters()}


@pytest.mark.parametrize("name", SMALL)
def test_every_parameter_gets_a_finite_gradient(name: str) -> None:
    found = gradients(small(name), torch.randn(8, 3, 32, 32))
    assert [name for name, gradient in found.items() if gradient is None or not gradient.isfinite().all()] == []


@pytest.mark.parametrize("name", SMALL)
def test_channels_last_changes_nothing(name: str) -> None:
    network = small(name).double()
    other = copy.deepcopy(network).to(memory_format=torch.channels_last)
    images = torch.randn(4, 3, 32, 32, dtype=torch.float64)
    expected, found = gradients(network, images), gradients(other, images.to(memory_format=torch.channels_last))
    for key, gradient in expected.items():
        torch.testing.assert_close(found[key], gradient, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("alexnet", {"size": "tiny"}, "model.size 'tiny' is not one of its values: choose large or small"),
        ("resnet13", {"blocks": [2, 0]}, r"model.blocks \[2, 0\] is not one to four whole numbers ≥ 1: choose"),
        ("plain_cnn", {"depth": 30}, r"model.depth 30 is not 6n \+ 2 with n ≥ 1: choose 26 or 32"),
        ("resnet", {"depth": 33}, "choose 32 or 38"),
        ("resnet", {"depth": 1001}, "choose 998 or 1004, or model.bottleneck=true for 1001"),
        ("resnet", {"depth": 110, "shortcut": "C"}, "model.shortcut 'C' is not one of its values: choose A or B"),
        ("resnet", {"depth": 110, "norm": "layer"}, "choose batch or affine"),
        ("preact_resnet", {"depth": 165, "bottleneck": True}, r"is not 9n \+ 2 with n ≥ 1: choose 164 or 173"),
        ("preact_resnet", {"depth": 110, "bottleneck": 1}, "model.bottleneck 1 is neither true nor false"),
        ("stochastic_depth_resnet", {"death_rate": 1.0}, r"model.death_rate 1.0 is not in \[0, 1\)"),
        ("densenet", {"depth": 41, "growth_rate": 12}, r"model.depth 41 is not 3n \+ 4 with n ≥ 1: choose 40 or 43"),
        ("densenet", {"depth": 43, "growth_rate": 12, "bottleneck": True}, r"6n \+ 4 .*choose 40 or 46"),
        ("densenet", {"depth": 40, "growth_rate": 0}, "model.growth_rate 0 is not a whole number ≥ 1: choose 12, 24"),
        ("densenet", {"depth": 40, "growth_rate": 12, "compression": 1.5}, r"model.compression 1.5 is not in \(0, 1\]"),
        ("pyramidnet", {"depth": 110, "alpha": -1}, "model.alpha -1 is not a number > 0: choose 48, 84 or 270"),
        ("pyramidnet", {"depth": 110, "alpha": 1, "widening": "multiplicative"}, "> 1: choose 4.75, 8 or 27"),
        ("pyramidnet", {"depth": 110, "alpha": 48, "block": "e"}, "model.block 'e' .*choose a, b, c or d"),
        ("imagenet_resnet", {"depth": 34}, "model.depth 34 is not one of its values: choose 26, 50, 101 or 152"),
        ("imagenet_resnet", {"base_width": 7}, "model.base_width 7 is odd: choose 6 or 8"),
        (
            "torchvision",
            {"arch": "inceptionv3"},
            "model.arch 'inceptionv3' is not a network of torchvision: .*inception",
        ),
    ],
)
def test_what_cannot_be_built_is_refused_with_the_nearest_choice(
    name: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        build(name, **options)


def test_images_that_are_too_small_are_refused_before_training() -> None:
    with pytest.raises(ValueError, match=r"torchvision takes no images of 32 × 32 pixels .*model.resize"):
        measure("torchvision", 10, 32, {"arch": "inception_v3"})


@pytest.mark.nightly  # compiling takes most of a minute each
@pytest.mark.parametrize("name", ["preact_resnet A", "resnet A", "densenet BC", "pyramidnet", "imagenet_resnet D"])
def test_compiled_networks_give_the_same(name: str) -> None:
    network = small(name).double()
    images = torch.randn(4, 3, 32, 32, dtype=torch.float64)
    expected = gradients(network, images)
    compiled = torch.compile(copy.deepcopy(network))
    found = gradients(compiled, images)  # type: ignore[arg-type]
    for key, gradient in expected.items():
        torch.testing.assert_close(found[f"_orig_mod.{key}"], gradient, rtol=1e-5, atol=1e-7)


def test_a_network_that_computes_while_it_is_built_is_measured_too() -> None:
    """RegNet-Y-400MF: torchvision gives 4,344,144 parameters for 1000 classes."""
    assert measure("torchvision", 1000, 224, {"arch": "regnet_y_400mf"}).num_params == 4_344_144


def test_alexnet_pools_larger_maps_as_adaptive_pooling_does_where_that_has_windows_of_one_size() -> None:
    from cifarray.models.blocks import shrunk

    maps = torch.randn(2, 3, 12, 12)
    torch.testing.assert_close(shrunk(maps, 6), F.adaptive_avg_pool2d(maps, 6))
    assert shrunk(maps, 5).shape == (2, 3, 5, 5)
    with pytest.raises(ValueError, match="maps of 4 × 4 are smaller than 6 × 6"):
        shrunk(torch.randn(2, 3, 4, 4), 6)

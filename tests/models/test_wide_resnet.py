"""The wide residual network against the counts of independent implementations, the paper, and the authors' function."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cifarray.models import build, measure
from cifarray.models.wide_resnet import WideResNet

# (depth, widen_factor): (parameters, MACs in G) measured on pytorchcv and timm; the paper's table 4 and 5 print the
# parameters rounded to 0.1 M.
SIZES = {
    (16, 4): (2_748_890, "0.393"),
    (16, 8): (10_961_370, "1.548"),
    (16, 10): (17_116_634, "2.412"),
    (22, 8): (17_158_106, "2.454"),
    (22, 10): (26_797_914, "3.828"),
    (28, 10): (36_479_194, "5.243"),
    (28, 12): (52_517_850, "7.544"),
    (40, 1): (563_930, "0.083"),
    (40, 2): (2_243_546, "0.328"),
    (40, 4): (8_949_210, "1.299"),
    (40, 8): (35_748_314, "5.172"),
    (40, 10): (55_841_754, "8.074"),
}


@pytest.mark.parametrize(("depth", "widen_factor"), SIZES)
def test_parameters_and_macs_equal_the_reference(depth: int, widen_factor: int) -> None:
    size = measure("wide_resnet", 10, 32, {"depth": depth, "widen_factor": widen_factor, "dropout": 0.0})
    assert (size.num_params, f"{size.macs / 1e9:.3f}") == SIZES[depth, widen_factor]


def test_macs_equal_a_count_by_hand() -> None:
    """WRN-10-1: one block per group, 16, 32 and 64 channels on 32, 16 and 8 pixels a side."""
    stem = 9 * 3 * 16 * 32**2
    groups = 2 * 9 * 16 * 16 * 32**2 + (9 * 16 * 32 + 9 * 32 * 32 + 16 * 32) * 16**2
    groups += (9 * 32 * 64 + 9 * 64 * 64 + 32 * 64) * 8**2
    size = measure("wide_resnet", 100, 32, {"depth": 10, "widen_factor": 1})
    assert size.macs == stem + groups + 64 * 100


def test_a_hundred_classes_add_ninety_rows_to_the_classifier() -> None:
    options = {"depth": 28, "widen_factor": 10}
    more, less = measure("wide_resnet", 100, 32, options), measure("wide_resnet", 10, 32, options)
    assert more.num_params - less.num_params == 90 * (640 + 1)


def authors_forward(network: WideResNet, images: Tensor, blocks: int) -> Tensor:
    """The function of the authors' pytorch/resnet.py (training mode), written with this network's weights."""
    weights = network.state_dict()

    def norm(x: Tensor, base: str) -> Tensor:
        return F.relu(F.batch_norm(x, None, None, weights[f"{base}.weight"], weights[f"{base}.bias"], training=True))

    out = F.conv2d(images, weights["stem.weight"], padding=1)
    for group in range(3):
        for index in range(blocks):
            base = f"groups.{group}.{index}"
            stride = 2 if group and not index else 1
            o1 = norm(out, f"{base}.bn1")
            y = F.conv2d(o1, weights[f"{base}.conv1.weight"], stride=stride, padding=1)
            z = F.conv2d(norm(y, f"{base}.bn2"), weights[f"{base}.conv2.weight"], padding=1)
            projection = weights.get(f"{base}.projection.weight")
            out = z + (out if projection is None else F.conv2d(o1, projection, stride=stride))
    out = F.avg_pool2d(norm(out, "bn"), 8).flatten(1)
    return F.linear(out, weights["classifier.weight"], weights["classifier.bias"])


@pytest.mark.parametrize("widen_factor", [1, 2])
def test_forward_is_the_authors_function(widen_factor: int) -> None:
    torch.manual_seed(0)
    network = build("wide_resnet", depth=16, widen_factor=widen_factor)
    assert isinstance(network, WideResNet)
    images = torch.randn(8, 3, 32, 32)
    torch.testing.assert_close(network(images), authors_forward(network, images, 2), rtol=1e-4, atol=1e-4)


def test_group_1_has_a_projection_only_if_it_widens() -> None:
    def projections(widen_factor: int) -> list[str]:
        network = build("wide_resnet", depth=16, widen_factor=widen_factor)
        return [name for name, module in network.named_modules() if name.endswith("projection") and module]

    assert projections(1) == ["groups.1.0.projection", "groups.2.0.projection"]
    assert projections(2) == ["groups.0.0.projection", "groups.1.0.projection", "groups.2.0.projection"]


def test_initialisation_is_the_authors() -> None:
    """He et al. 2015 over the fan-in: deviation √(2 / fan_in) of a normal; BN's γ uniform in [0, 1), biases zero."""
    torch.manual_seed(0)
    network = build("wide_resnet", depth=16, widen_factor=4)
    for name, module in network.named_modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)) and module.weight.numel() > 2_000:
            fan_in = module.weight[0].numel()
            assert module.weight.std().item() == pytest.approx((2 / fan_in) ** 0.5, rel=0.1), name
            assert abs(module.weight.mean().item()) < 4 * (2 / fan_in / module.weight.numel()) ** 0.5, name
        if isinstance(module, nn.BatchNorm2d):
            assert 0 <= module.weight.min() < 0.2 < 0.8 < module.weight.max() < 1, name
            assert module.bias.count_nonzero() == 0, name
    assert isinstance(network, WideResNet)
    assert network.classifier.bias.count_nonzero() == 0
    assert [name for name, parameter in network.named_parameters() if "conv" in name and "bias" in name] == []


def test_dropout_lies_between_bn_relu_and_the_second_convolution() -> None:
    network = build("wide_resnet", depth=10, widen_factor=1, dropout=0.3)
    order: list[str] = []
    for name, module in network.get_submodule("groups.0.0").named_children():
        module.register_forward_hook(lambda *_, name=name: order.append(name))
    network(torch.randn(2, 3, 32, 32))
    assert order == ["bn1", "conv1", "bn2", "dropout", "conv2"]


def test_dropout_draws_in_training_and_not_in_evaluation() -> None:
    network = build("wide_resnet", depth=10, widen_factor=1, dropout=0.3)
    images = torch.randn(2, 3, 32, 32)
    assert not network(images).equal(network(images))
    network.eval()
    assert network(images).equal(network(images))


@pytest.mark.parametrize("side", [32, 64, 48])
def test_any_image_size_gives_one_row_of_logits_per_image(side: int) -> None:
    assert build("wide_resnet", num_classes=7, depth=10, widen_factor=1)(torch.randn(2, 3, side, side)).shape == (2, 7)

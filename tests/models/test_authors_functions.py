"""Each family's forward pass against the function of its paper, written down again with the network's own weights."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn

from cifarray.models import build

IMAGES = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))


class Weights:
    """A network's weights by name; convolutions and batch normalisation of the training mode with them."""

    def __init__(self, network: nn.Module) -> None:
        self.state = network.state_dict()

    def conv(self, x: Tensor, name: str, stride: int = 1) -> Tensor:
        weight = self.state[f"{name}.weight"]
        return F.conv2d(x, weight, self.state.get(f"{name}.bias"), stride=stride, padding=weight.shape[-1] // 2)

    def bn(self, x: Tensor, name: str) -> Tensor:
        return F.batch_norm(x, None, None, self.state[f"{name}.weight"], self.state[f"{name}.bias"], training=True)

    def classify(self, x: Tensor) -> Tensor:
        return F.linear(x.mean((2, 3)), self.state["classifier.weight"], self.state["classifier.bias"])


def built(name: str, **options: Any) -> tuple[nn.Module, Weights]:
    torch.manual_seed(0)
    network = build(name, **options)
    return network, Weights(network)


def assert_same(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def blocks(per_stage: int) -> list[tuple[str, int, bool]]:
    """(name, stride, whether it is the first of its stage)."""
    return [
        (f"stages.{stage}.{index}", 2 if stage and not index else 1, not index)
        for stage in range(3)
        for index in range(per_stage)
    ]


def option_a(x: Tensor, channels: int, stride: int) -> Tensor:
    """Every stride-th pixel, then zeros on both sides of the channels: He et al. 2015, §4.2."""
    x = x[:, :, ::stride, ::stride]
    out = torch.zeros(len(x), channels, *x.shape[2:])
    before = (channels - x.shape[1]) // 2
    out[:, before : before + x.shape[1]] = x
    return out


@pytest.mark.parametrize("shortcut", ["A", "B"])
def test_resnet(shortcut: str) -> None:
    network, w = built("resnet", depth=14, shortcut=shortcut)
    x = F.relu(w.bn(w.conv(IMAGES, "stem"), "bn"))
    for name, stride, _ in blocks(2):
        y = F.relu(w.bn(w.conv(x, f"{name}.conv1", stride), f"{name}.bn1"))
        y = w.bn(w.conv(y, f"{name}.conv2"), f"{name}.bn2")
        if stride == 2 and shortcut == "A":
            x = option_a(x, y.shape[1], 2)
        elif stride == 2:
            x = w.bn(w.conv(x, f"{name}.shortcut.0", 2), f"{name}.shortcut.1")
        x = F.relu(x + y)
    assert_same(network(IMAGES), w.classify(x))


def test_preact_resnet_with_bottlenecks() -> None:
    """resnet-1k-layers: one BN-ReLU for branch and projection where the shape changes, else the raw input goes on."""
    network, w = built("preact_resnet", depth=20, bottleneck=True)
    x = w.conv(IMAGES, "stem")
    for name, stride, first in blocks(2):
        activated = F.relu(w.bn(x, f"{name}.bn1"))
        y = F.relu(w.bn(w.conv(activated, f"{name}.conv1", stride), f"{name}.bn2"))
        y = F.relu(w.bn(w.conv(y, f"{name}.conv2"), f"{name}.bn3"))
        y = w.conv(y, f"{name}.conv3")
        x = y + (w.conv(activated, f"{name}.shortcut", stride) if first else x)
    assert_same(network(IMAGES), w.classify(F.relu(w.bn(x, "bn"))))


def test_preact_resnet_of_the_post() -> None:
    """BN-ReLU after the stem, none before the pooling, raw input to the padded shortcut, biases."""
    network, w = built("preact_resnet", depth=8, shortcut="A", variant="post")
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.3)
    w = Weights(network)
    x = F.relu(w.bn(w.conv(IMAGES, "stem"), "stem_bn"))
    for name, stride, _ in blocks(1):
        y = w.conv(F.relu(w.bn(x, f"{name}.bn1")), f"{name}.conv1", stride)
        y = w.conv(F.relu(w.bn(y, f"{name}.bn2")), f"{name}.conv2")
        x = y + (option_a(x, y.shape[1], 2) if stride == 2 else x)
    assert_same(network(IMAGES), w.classify(x))


def test_affine_norm_never_sees_a_batch() -> None:
    """tf.layers.batch_normalization without training=True: mean 0, variance 1, ε = 0.001."""
    network, _ = built("plain_cnn", depth=8, norm="affine")
    assert_same(network(IMAGES)[:1], network(IMAGES[:1]))
    norm = network.get_submodule("features.1")
    nn.init.normal_(norm.get_parameter("weight"))
    nn.init.normal_(norm.get_parameter("bias"))
    x = torch.randn(2, 16, 4, 4)
    zeros, ones = torch.zeros(16), torch.ones(16)
    expected = F.batch_norm(x, zeros, ones, norm.get_parameter("weight"), norm.get_parameter("bias"), eps=1e-3)
    torch.testing.assert_close(norm(x), expected)


def test_wide_resnet_of_the_post() -> None:
    """`dropout(conv1(relu(bn1(x))))`, then `conv2(relu(bn2(out)))`, and the raw x to the shortcut."""
    network, w = built("wide_resnet", depth=10, widen_factor=2, variant="post", dropout=0.3)
    x = w.conv(IMAGES, "stem")
    torch.manual_seed(5)
    for name, stride, _ in [(name.replace("stages", "groups"), *rest) for name, *rest in blocks(1)]:
        out = F.dropout(w.conv(F.relu(w.bn(x, f"{name}.bn1")), f"{name}.conv1", stride), 0.3)
        x = w.conv(F.relu(w.bn(out, f"{name}.bn2")), f"{name}.conv2") + w.conv(x, f"{name}.projection", stride)
    torch.manual_seed(5)
    assert_same(network(IMAGES), w.classify(F.relu(w.bn(x, "bn"))))


@pytest.mark.parametrize("bc", [False, True])
def test_densenet(bc: bool) -> None:
    """Every layer sees all channels before it; a transition keeps θ of them and halves the side."""
    options = {"bottleneck": True, "compression": 0.5} if bc else {}
    network, w = built("densenet", depth=16 if bc else 10, growth_rate=6, **options)
    x = w.conv(IMAGES, "stem")
    assert x.shape[1] == (12 if bc else 16)
    for block in range(3):
        for layer in range(2):
            name = f"features.{2 * block}.layers.{layer}"
            y = F.relu(w.bn(x, f"{name}.bn1"))
            if bc:
                y = F.relu(w.bn(w.conv(y, f"{name}.bottleneck"), f"{name}.bn2"))
            x = torch.cat([x, w.conv(y, f"{name}.conv")], 1)
        if block < 2:
            name = f"features.{2 * block + 1}"
            x = F.avg_pool2d(w.conv(F.relu(w.bn(x, f"{name}.bn")), f"{name}.conv"), 2)
    assert_same(network(IMAGES), w.classify(F.relu(w.bn(x, "bn"))))


def test_densenet_that_saves_memory_computes_the_same_and_counts_each_batch_once() -> None:
    options = {"depth": 16, "growth_rate": 6, "bottleneck": True, "compression": 0.5, "dropout": 0.2}
    states = []
    for memory_efficient in (False, True):
        network, _ = built("densenet", memory_efficient=memory_efficient, **options)
        torch.manual_seed(3)
        network(IMAGES).square().sum().backward()
        states.append((network.state_dict(), [parameter.grad for parameter in network.parameters()]))
    (plain, plain_gradients), (saving, saving_gradients) = states
    for name, value in plain.items():
        assert value.equal(saving[name]), name
    assert int(saving["features.0.layers.1.bn1.num_batches_tracked"]) == 1
    for expected, found in zip(plain_gradients, saving_gradients, strict=True):
        torch.testing.assert_close(found, expected)


def test_pyramidnet() -> None:
    """BN-conv-BN-ReLU-conv-BN; the shortcut is averaged where the side is halved and gets its zeros at the end."""
    network, w = built("pyramidnet", depth=14, alpha=12)
    x = w.bn(w.conv(IMAGES, "stem"), "stem_bn")
    for name, stride, _ in blocks(2):
        y = w.conv(w.bn(x, f"{name}.bn1"), f"{name}.branch.0", stride)
        y = w.bn(w.conv(F.relu(w.bn(y, f"{name}.branch.1")), f"{name}.branch.3"), f"{name}.branch.4")
        if stride == 2:
            x = F.avg_pool2d(x, 2)
        zeros = torch.zeros(len(x), y.shape[1] - x.shape[1], *x.shape[2:])
        x = y + torch.cat([x, zeros], 1)
    assert x.shape[1] == 16 + 12
    assert_same(network(IMAGES), w.classify(F.relu(w.bn(x, "bn"))))


@pytest.mark.parametrize(
    ("alpha", "widening", "widths"),
    [
        # By hand from 16 + α·k/N and 16·α^(k/N) with N = 6, halves upwards.
        (9, "additive", [18, 19, 21, 22, 24, 25]),
        (3, "additive", [17, 17, 18, 18, 19, 19]),
        (4, "multiplicative", [20, 25, 32, 40, 51, 64]),
    ],
)
def test_pyramidnet_widens_in_every_block(alpha: float, widening: str, widths: list[int]) -> None:
    network, _ = built("pyramidnet", depth=14, alpha=alpha, widening=widening)
    found = [network.get_submodule(f"{name}.branch.3").weight.shape[0] for name, *_ in blocks(2)]  # type: ignore[union-attr,index]
    assert found == widths


def test_resnet_50_b_is_torchvisions() -> None:
    """Weight by weight in the order of construction: the same function, with the stride on the 3×3."""
    network, _ = built("imagenet_resnet", num_classes=1000, tweak="b", stem="imagenet")
    reference = torchvision.models.resnet50()
    values = {name: value for name, value in network.state_dict().items() if "shortcut" not in name}
    known = {name: value for name, value in reference.state_dict().items() if "downsample" not in name}
    for mine, theirs in zip(values.values(), known.values(), strict=True):
        mine.copy_(theirs)
    shortcuts = [value for name, value in network.state_dict().items() if "shortcut" in name]
    downsamples = [value for name, value in reference.state_dict().items() if "downsample" in name]
    for mine, theirs in zip(shortcuts, downsamples, strict=True):
        mine.copy_(theirs)
    images = torch.randn(1, 3, 64, 64)
    assert_same(network.eval()(images), reference.eval()(images))


def test_resnet_50_d_pools_before_a_projection_of_stride_one() -> None:
    network, _ = built("imagenet_resnet", tweak="d", depth=26, base_width=8)
    shortcut = network.get_submodule("stages.1.0.shortcut")
    assert [type(module).__name__ for module in shortcut.children()] == ["AvgPool2d", "Conv2d", "BatchNorm2d"]
    assert shortcut.get_submodule("1").stride == (1, 1)
    # The first stage keeps the side, so there is nothing to pool.
    assert [type(module).__name__ for module in network.get_submodule("stages.0.0.shortcut").children()] == [
        "Conv2d",
        "BatchNorm2d",
    ]


def test_alexnet_of_32_pixels_is_not_pooled_again() -> None:
    """The post's network has 6 × 6 maps there; larger images are averaged down to them."""
    network, _ = built("alexnet", size="large")
    network.eval()
    maps = network.get_submodule("features")(IMAGES)
    assert maps.shape == (4, 256, 6, 6)
    assert_same(network(IMAGES), network.get_submodule("classifier")(maps.flatten(1)))

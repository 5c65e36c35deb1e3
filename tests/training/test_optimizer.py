"""torch's optimizers as the config names them: updates by the papers' formulas, and which parameters decay."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from cifarray.config import OptimizerConfig
from cifarray.training.optimizer import MuonBesideAdamW, build_optimizer, layer_weights, parameter_groups

LR = 0.1


def small_network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 6, 3, bias=False),
        nn.Flatten(),
        nn.LazyLinear(12),
        nn.ReLU(),
        nn.Linear(12, 4),
    )


def backward(network: nn.Module, seed: int) -> None:
    images = torch.randn(64, 3, 8, 8, generator=torch.Generator().manual_seed(seed))
    network(images).square().mean().backward()


def made(network: nn.Module, **values: Any) -> torch.optim.Optimizer:
    network(torch.zeros(1, 3, 8, 8))
    return build_optimizer(network, OptimizerConfig(**values), LR)


def step(optimizer: torch.optim.Optimizer, parameter: nn.Parameter, gradients: list[float]) -> float:
    for gradient in gradients:
        parameter.grad = torch.full_like(parameter, gradient)
        optimizer.step()
    return parameter.item()


class Scalar(nn.Module):
    """One weight, of two dimensions so that it decays."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1, 1))


# Two steps from w = 1 with the gradients 1 and 2, worked out by hand from each paper's update, lr 0.1, no decay.
BY_HAND = {
    # v = 1, w = 0.9; v = 0.9 + 2 = 2.9, w = 0.61
    "sgd": ({"name": "sgd", "nesterov": False}, 0.61),
    # v = 1, step 1 + 0.9 · 1 = 1.9, w = 0.81; v = 2.9, step 2 + 0.9 · 2.9 = 4.61, w = 0.349
    "nesterov": ({"name": "sgd", "nesterov": True}, 0.349),
    # The first step is lr; then m = 0.9 · 0.1 + 0.2 = 0.29, v = 0.999 · 0.001 + 0.004 = 0.004999,
    # m̂ = 0.29 / 0.19, v̂ = 0.004999 / 0.001999
    "adam": ({"name": "adam"}, 0.9 - 0.1 * (0.29 / 0.19) / (0.004999 / 0.001999) ** 0.5),
    "adamw": ({"name": "adamw"}, 0.9 - 0.1 * (0.29 / 0.19) / (0.004999 / 0.001999) ** 0.5),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_two_steps_are_those_of_a_hand_calculation(name: str) -> None:
    values, expected = BY_HAND[name]
    module = Scalar()
    optimizer = build_optimizer(module, OptimizerConfig(weight_decay=0.0, **values), LR)
    assert step(optimizer, module.weight, [1.0, 2.0]) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("name", "expected"),
    # Coupled decay is part of the gradient, which Adam normalises: its step is lr · sign. AdamW: w · (1 − lr · λ).
    [("sgd", 1 - 0.1 * 0.5 * 1.9), ("adam", 0.9), ("adamw", 1 - 0.1 * 0.5), ("muon", 1 - 0.1 * 0.5)],
)
def test_decay_is_in_the_gradient_or_beside_it_as_in_the_papers(name: str, expected: float) -> None:
    module = Scalar()
    optimizer = build_optimizer(module, OptimizerConfig(name=name, weight_decay=0.5), LR)  # type: ignore[arg-type]
    assert step(optimizer, module.weight, [0.0]) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw", "muon"])
def test_only_weights_decay_where_that_is_asked_for(name: str) -> None:
    network = small_network()
    optimizer = made(network, name=name, weight_decay=0.01, decay="weights")
    decaying = {id(p) for group in optimizer.param_groups if group["weight_decay"] for p in group["params"]}
    names = {name for name, parameter in network.named_parameters() if id(parameter) in decaying}
    assert names == {"0.weight", "3.weight", "5.weight", "7.weight"}  # no bias, no γ, no β
    assert {group["weight_decay"] for group in optimizer.param_groups} == {0.01, 0.0}


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw", "muon"])
def test_everything_decays_by_default_and_is_there_once(name: str) -> None:
    network = small_network()
    optimizer = made(network, name=name, weight_decay=0.01)
    assert {group["weight_decay"] for group in optimizer.param_groups} == {0.01}
    held = [id(p) for group in optimizer.param_groups for p in group["params"]]
    assert sorted(held) == sorted(map(id, network.parameters()))


def newton_schulz(gradient: Tensor) -> Tensor:
    """Jordan et al. 2024, "Muon": five quintic iterations that drive all singular values towards 1, in double."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = gradient.double() / gradient.double().norm()
    for _ in range(5):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_muon_steps_along_the_orthogonalised_nesterov_gradient(layout: torch.memory_format) -> None:
    """Of AdamW's size: 0.2 · √max(rows, columns) (arXiv:2502.16982, §2.2)."""
    network = small_network()
    network(torch.zeros(1, 3, 8, 8))
    network.to(memory_format=layout)
    optimizer = build_optimizer(network, OptimizerConfig(name="muon", weight_decay=0.0, momentum=0.9), LR)
    names = ("0.weight", "3.weight", "5.weight")
    momentum: dict[str, Tensor] = dict.fromkeys(names, torch.zeros(()))
    for turn in range(3):
        before = copy.deepcopy(network)
        optimizer.zero_grad()
        backward(network, seed=turn)
        optimizer.step()
        for name in names:
            now, then = network.get_parameter(name), before.get_parameter(name)
            assert now.grad is not None
            gradient = now.grad.flatten(1)
            # torch averages: m ← m + (1 − β)(g − m), and looks ahead: g + β (m − g).
            momentum[name] = torch.lerp(momentum[name].expand_as(gradient), gradient, 0.1)
            expected = newton_schulz(torch.lerp(gradient, momentum[name], 0.9)) * 0.2 * max(gradient.shape) ** 0.5
            step = ((then - now) / LR).flatten(1).double()
            # torch iterates in bfloat16, of 8 bits, where small singular values lose theirs.
            assert (step - expected).norm() < 0.1 * expected.norm(), (turn, name)


def test_muon_leaves_the_last_layer_biases_and_norms_to_adamw() -> None:
    network = small_network()
    optimizer = made(network, name="muon", weight_decay=0.01, betas=(0.8, 0.95))
    adamw_network = copy.deepcopy(network)
    adamw = build_optimizer(adamw_network, OptimizerConfig(name="adamw", weight_decay=0.01, betas=(0.8, 0.95)), LR)
    for each, its in ((network, optimizer), (adamw_network, adamw)):
        backward(each, seed=1)
        its.step()
    same = {name for name, p in network.named_parameters() if p.equal(adamw_network.get_parameter(name))}
    assert same == {"0.bias", "1.weight", "1.bias", "5.bias", "7.weight", "7.bias"}


@pytest.mark.parametrize(
    ("arch", "undecayed", "by_adamw"),
    [
        # Layer scales of (C, 1, 1), class token and position: none of them is a layer's weight.
        ("convnext_tiny", "layer_scale", "classifier.2.weight"),
        ("vit_b_16", "class_token", "heads.head.weight"),
        # Its classifier is a convolution.
        ("squeezenet1_1", "bias", "classifier.1.weight"),
    ],
)
def test_layers_are_told_by_what_they_are_and_not_by_their_weights_shape(
    arch: str, undecayed: str, by_adamw: str
) -> None:
    from torchvision import models

    with torch.device("meta"):
        network = models.get_model(arch, weights=None, num_classes=10)
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    groups = parameter_groups(network.parameters(), layer_weights(network), OptimizerConfig(decay="weights"))
    decaying, others = ([names[id(p)] for p in group["params"]] for group in groups)
    assert any(undecayed in name for name in others)
    assert all(name.endswith("weight") for name in decaying)
    assert not any(undecayed in name for name in decaying)
    assert names[id(layer_weights(network)[-1])] == by_adamw


def test_muon_hears_of_the_schedule_and_goes_on_from_its_state() -> None:
    network = small_network()
    optimizer = made(network, name="muon", weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: float(step > 0))
    before = copy.deepcopy(network)
    backward(network, seed=1)
    optimizer.step()  # at a rate of zero nothing moves
    assert all(p.equal(before.get_parameter(name)) for name, p in network.named_parameters())
    schedule.step()
    backward(network, seed=2)
    optimizer.step()
    assert not any(p.equal(before.get_parameter(name)) for name, p in network.named_parameters())

    twin = copy.deepcopy(network)
    other = build_optimizer(twin, OptimizerConfig(name="muon", weight_decay=0.01), 0.5)
    other.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for each, its in ((network, optimizer), (twin, other)):
        its.zero_grad()
        backward(each, seed=3)
        its.step()
    assert all(p.equal(twin.get_parameter(name)) for name, p in network.named_parameters())


def test_muon_serves_a_network_without_a_matrix_and_one_without_anything_else() -> None:
    for network in (nn.BatchNorm2d(3), nn.Conv2d(3, 4, 1, bias=False)):
        optimizer = MuonBesideAdamW(network, OptimizerConfig(name="muon"), LR)
        network(torch.randn(2, 3, 4, 4)).square().sum().backward()
        optimizer.step()
        assert len(optimizer.param_groups) == 1

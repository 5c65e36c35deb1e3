"""What is trained: one file per family, built by name.

Here: the registry, `build`, `measure`, checks of what a network can be given, and the draws that all ranks share. Not
here: trained weights, losses, training (`cifarray.training`).
"""

import difflib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from cifarray.models.alexnet import alexnet
from cifarray.models.blocks import ResidualBlock, residual_blocks
from cifarray.models.densenet import densenet
from cifarray.models.imagenet_resnet import imagenet_resnet
from cifarray.models.initialise import Scheme, initialise
from cifarray.models.linear import linear
from cifarray.models.preact_resnet import preact_resnet
from cifarray.models.pyramidnet import pyramidnet
from cifarray.models.resnet import plain_cnn, resnet
from cifarray.models.resnet13 import resnet13
from cifarray.models.stochastic_depth import drop_branches
from cifarray.models.stochastic_depth_resnet import stochastic_depth_resnet
from cifarray.models.torchvision_network import torchvision_network
from cifarray.models.wide_resnet import wide_resnet

__all__ = [
    "FAMILIES",
    "ModelSize",
    "ResidualBlock",
    "build",
    "check_init",
    "check_options",
    "check_stochastic_depth",
    "count_params",
    "drop_branches",
    "initialise",
    "measure",
    "residual_blocks",
    "seed_shared_draws",
]

FAMILIES: dict[str, Callable[..., nn.Module]] = {
    "linear": linear,
    "alexnet": alexnet,
    "resnet13": resnet13,
    "plain_cnn": plain_cnn,
    "resnet": resnet,
    "preact_resnet": preact_resnet,
    "stochastic_depth_resnet": stochastic_depth_resnet,
    "wide_resnet": wide_resnet,
    "densenet": densenet,
    "pyramidnet": pyramidnet,
    "imagenet_resnet": imagenet_resnet,
    "torchvision": torchvision_network,
}
"""Builders by name. A builder takes `num_classes` first and its options by keyword; it raises ValueError if the
options make no network."""


@dataclass(frozen=True)
class ModelSize:
    """Trainable parameters, and multiply-adds of the convolutions and linear layers for one image."""

    num_params: int
    macs: int


def build(name: str, num_classes: int = 10, **options: Any) -> nn.Module:
    """A freshly initialised network from (N, 3, H, W) normalised float images to (N, num_classes) logits.

    The initial weights come from torch's global generator. Raises ValueError for an unknown family or option, a missing
    option, or options that make no network.
    """
    check_options(name, options)
    return FAMILIES[name](num_classes, **options)


def check_options(name: str, options: Mapping[str, Any]) -> None:
    """Whether there is such a family with such options; their values are the builder's to check.

    Raises ValueError for an unknown family or option, or a missing option.
    """
    if name not in FAMILIES:
        raise ValueError(f"model.name {name!r} is not known: choose {_choices(name, FAMILIES)}")
    parameters = list(inspect.signature(FAMILIES[name]).parameters.values())[1:]
    options_by_name = {parameter.name: parameter for parameter in parameters}
    for option in options:
        if option not in options_by_name:
            raise ValueError(f"model.{option} is not an option of {name}: choose {_choices(option, options_by_name)}")
    for parameter in parameters:
        if parameter.default is parameter.empty and parameter.name not in options:
            raise ValueError(f"{name} needs model.{parameter.name}: give it a value")


def check_init(name: str, options: Mapping[str, Any], weights: Scheme, zero_gamma: bool) -> None:
    """Raises ValueError as `initialise` of that network would, or `build`; nothing is allocated."""
    # Weights can be drawn in every network.
    if zero_gamma:
        initialise(_sketch(name, 10, options), weights, zero_gamma)


def check_stochastic_depth(name: str, options: Mapping[str, Any], rate: float) -> None:
    """Raises ValueError as `drop_branches` of that network would, or `build`; nothing is allocated."""
    if rate > 0:
        drop_branches(_sketch(name, 10, options), rate)


def measure(name: str, num_classes: int, image_size: int, options: Mapping[str, Any]) -> ModelSize:
    """Counts on the meta device, where even the largest network takes neither memory nor arithmetic.

    Raises ValueError as `build` does.
    """
    network = _sketch(name, num_classes, options).eval()
    image = torch.empty(1, 3, image_size, image_size, device="meta")
    try:
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            network(image)
    except (RuntimeError, AssertionError, ValueError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ValueError(
            f"{name} takes no images of {image_size} × {image_size} pixels ({reason}): choose another data.image_size, "
            "or model.resize for a network of torchvision"
        ) from None
    # The counter takes a multiply-add for two operations.
    return ModelSize(_trainable(network), counter.get_total_flops() // 2)


def count_params(name: str, num_classes: int, options: Mapping[str, Any]) -> int:
    """`num_params` of `measure` alone, in a fraction of the time. Raises ValueError as `build` does."""
    return _trainable(_sketch(name, num_classes, options))


def _sketch(name: str, num_classes: int, options: Mapping[str, Any]) -> nn.Module:
    """The network without its numbers; one that computes while it is built (RegNet) is built in earnest."""
    try:
        with torch.device("meta"):
            return build(name, num_classes, **options)
    except NotImplementedError:
        with torch.random.fork_rng(devices=[]):
            return build(name, num_classes, **options).to("meta")


def _trainable(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)


def seed_shared_draws(network: nn.Module, seed: int) -> None:
    """For networks that draw in training what all ranks must draw alike, as stochastic depth does its gates."""
    for module in network.modules():
        generator = getattr(module, "shared_draws", None)
        if generator is not None:
            generator.manual_seed(seed)


def _choices(value: str, names: Mapping[str, Any]) -> str:
    """The known names as part of a sentence, a similar one first."""
    similar = difflib.get_close_matches(value, names, n=1)
    rest = [name for name in names if name not in similar]
    return " or ".join([*similar, ", ".join(rest)] if similar and rest else [", ".join([*similar, *rest])])

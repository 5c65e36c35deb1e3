"""What is trained: one file per family, built by name.

Here: the registry, `build` and `measure`. Not here: weights, losses, training (`cifarray.training`).
"""

import difflib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from cifarray.models.wide_resnet import wide_resnet

FAMILIES: dict[str, Callable[..., nn.Module]] = {
    "wide_resnet": wide_resnet,
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
    if name not in FAMILIES:
        raise ValueError(f"model.name {name!r} is not known: choose {_choices(name, FAMILIES)}")
    builder = FAMILIES[name]
    parameters = list(inspect.signature(builder).parameters.values())[1:]
    known = {parameter.name: parameter for parameter in parameters}
    for option in options:
        if option not in known:
            raise ValueError(f"model.{option} is not an option of {name}: choose {_choices(option, known)}")
    for parameter in parameters:
        if parameter.default is parameter.empty and parameter.name not in options:
            raise ValueError(f"{name} needs model.{parameter.name}: give it a value")
    return builder(num_classes, **options)


def measure(name: str, num_classes: int, image_size: int, options: Mapping[str, Any]) -> ModelSize:
    """Counts on the meta device, where even the largest network takes neither memory nor arithmetic.

    Raises ValueError as `build` does.
    """
    with torch.device("meta"):
        network = build(name, num_classes, **options).eval()
        image = torch.empty(1, 3, image_size, image_size)
    with FlopCounterMode(display=False) as counter:
        network(image)
    num_params = sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)
    # The counter takes a multiply-add for two operations.
    return ModelSize(num_params, counter.get_total_flops() // 2)


def _choices(value: str, known: Mapping[str, Any]) -> str:
    """The known names as part of a sentence, a similar one first."""
    similar = difflib.get_close_matches(value, known, n=1)
    rest = [name for name in known if name not in similar]
    return " or ".join([*similar, ", ".join(rest)] if similar and rest else [", ".join([*similar, *rest])])

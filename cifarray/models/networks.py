"""Networks by name: building them, and counting what they have on the meta device.

Not here: which families and options there are (`families`), what a network can be given (`checks`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.flop_counter import FlopCounterMode

from cifarray.models.families import FAMILIES, Builder, check_options


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
    network: nn.Module = _builder(FAMILIES[name])(num_classes, **options)
    return network


def _builder(family: str | Builder) -> Builder:
    if not isinstance(family, str):
        return family
    module, function = family.split(".")
    builder: Builder = getattr(import_module(f"cifarray.models.{module}"), function)
    return builder


def measure(name: str, num_classes: int, image_size: int, options: Mapping[str, Any]) -> ModelSize:
    """Counts on the meta device, where even the largest network takes neither memory nor arithmetic.

    Raises ValueError as `build` does.
    """
    network = sketch(name, num_classes, options).eval()
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
    return _trainable(sketch(name, num_classes, options))


def sketch(name: str, num_classes: int, options: Mapping[str, Any]) -> nn.Module:
    """The network without its numbers; one that computes while it is built (RegNet) is built in earnest.

    Raises ValueError as `build` does.
    """
    try:
        with torch.device("meta"), _NothingDrawn():
            return build(name, num_classes, **options)
    except NotImplementedError:
        with torch.random.fork_rng(devices=[]):
            return build(name, num_classes, **options).to("meta")


class _NothingDrawn(TorchFunctionMode):
    """Numbers that nobody reads are not drawn: PyTorch would import its compiler for them, for seconds."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in (Tensor.normal_, Tensor.uniform_):
            return args[0]
        return func(*args, **(kwargs or {}))


def _trainable(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)


def seed_shared_draws(network: nn.Module, seed: int) -> None:
    """For networks that draw in training what all ranks must draw alike, as stochastic depth does its gates."""
    for module in network.modules():
        generator = getattr(module, "shared_draws", None)
        if generator is not None:
            generator.manual_seed(seed)

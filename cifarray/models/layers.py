"""A network layer by layer, in the order in which an image goes through it.

Counted as `measure` counts. Not here: showing it (`cifarray.cli.layers`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from cifarray.models.networks import sketch


@dataclass(frozen=True)
class Layer:
    """A module of a network, with all that is in it."""

    name: str
    """Within the module that holds it; empty for the network."""
    kind: str
    depth: int
    is_leaf: bool
    """Whether it holds no other module."""
    num_params: int
    shape: tuple[int, ...] = ()
    """Of what comes out for one image, without the batch."""
    macs: int = 0


def layers(name: str, num_classes: int, image_size: int, options: Mapping[str, Any]) -> list[Layer]:
    """Each module that an image of (3, image_size, image_size) goes through, a module before what is in it.

    Raises ValueError for what is no network.
    """
    network = sketch(name, num_classes, options).eval()
    found: dict[str, Layer] = {}

    def begin(path: str, module: nn.Module) -> None:
        params = sum(each.numel() for each in module.parameters() if each.requires_grad)
        is_leaf = not any(module.children())
        short = path.rpartition(".")[2]
        depth = path.count(".") + 1 if path else 0
        found.setdefault(path, Layer(short, type(module).__name__, depth, is_leaf, params))

    def end(path: str, result: object) -> None:
        if isinstance(result, Tensor):
            found[path] = replace(found[path], shape=tuple(result.shape[1:]))

    for path, module in network.named_modules():
        module.register_forward_pre_hook(lambda module, _, path=path: begin(path, module))
        module.register_forward_hook(lambda module, _, result, path=path: end(path, result))
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(torch.empty(1, 3, image_size, image_size, device="meta"))
    root = type(network).__name__
    counted = {path: sum(flops.values()) for path, flops in counter.get_flop_counts().items()}
    return [
        # The counter takes a multiply-add for two operations.
        replace(layer, macs=counted.get(f"{root}.{path}" if path else root, 0) // 2)
        for path, layer in found.items()
    ]

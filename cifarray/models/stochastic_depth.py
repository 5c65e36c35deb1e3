"""Stochastic depth for any network of residual blocks: in training a branch is dropped, image by image.

torchvision's operation, which divides what lives by its chance to live and leaves evaluation alone. Not here: the
network of Huang et al. 2016 as its authors wrote it, with whole minibatches and a factor in evaluation
(`stochastic_depth_resnet`).
"""

from functools import partial
from typing import Any

from torch import Tensor, nn

from cifarray.models.blocks import residual_blocks
from cifarray.models.branches import drops_by_itself, no_branch_to_drop
from cifarray.models.stochastic_depth_resnet import StochasticDepthResNet


def drop_branches(network: nn.Module, rate: float) -> None:
    """Block l of L drops its branch with the chance l/L · rate (Huang et al. 2016, arXiv:1603.09382, §3).

    rate: in [0, 1). Once for a network, in place, by hooks where the branches end (`ResidualBlock.branch_end`): a copy
    of the network drops too, and weights keep their names. A module that takes the place of another afterwards has no
    hook, so convert to SyncBatchNorm before. Every process draws for its own images, from the device's generator.
    Raises ValueError for a rate above 0 in a network without residual blocks, or with a stochastic depth of its own.
    """
    if rate == 0:
        return
    if isinstance(network, StochasticDepthResNet):
        raise drops_by_itself(rate)
    blocks = residual_blocks(network)
    if not blocks:
        raise no_branch_to_drop(type(network).__name__, rate)
    for number, (_, block) in enumerate(blocks, start=1):
        end = block.get_submodule(block.branch_end)
        end.register_forward_hook(partial(_drop, rate=rate * number / len(blocks)))


def _drop(module: nn.Module, inputs: tuple[Any, ...], output: Tensor, *, rate: float) -> Tensor:
    """A hook of `module`, which in a copy of the network is the copy's."""
    # Here, since importing torchvision takes a second.
    from torchvision.ops import stochastic_depth

    return stochastic_depth(output, rate, "row", module.training)

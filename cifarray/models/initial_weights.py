"""How weights begin: schemes over the fan-in, the fan-out or both, and γ = 0 where residual branches end.

Here: `initialise` for a whole network, and the schemes that the families apply when they are built. Not here: what a
family draws of its own (its file), seeds (`cifarray.training`).
"""

from typing import Literal

from torch import nn

from cifarray.models.blocks import Affine, residual_blocks
from cifarray.models.branches import no_norm_to_zero

Scheme = Literal["family", "he_fan_in", "he_fan_out", "xavier"]


def initialise(network: nn.Module, weights: Scheme, zero_gamma: bool) -> None:
    """Draws the weights of a freshly built network anew, in place; from torch's global generator.

    weights: `family` leaves them as built; with the others see `he_fan_in`, `he_fan_out` and `xavier`.
    zero_gamma: the norm that ends each residual branch begins at γ = 0, so that every block begins as its shortcut and
    the network as a shallow one (Goyal et al. 2017, arXiv:1706.02677, §5.1; He et al. 2019, arXiv:1812.01187, §3.1).
    Raises ValueError, before anything is drawn, for zero_gamma in a network whose branches do not end in a norm.
    """
    ends = _branch_norms(network) if zero_gamma else []
    if weights == "he_fan_out":
        for module in network.modules():
            if isinstance(module, nn.Linear):
                module.reset_parameters()
    if weights != "family":
        network.apply(_SCHEMES[weights])
    for norm in ends:
        nn.init.zeros_(norm.weight)


def he_fan_in(module: nn.Module) -> None:
    """For `apply`: He et al. 2015 (arXiv:1502.01852, §2.2) over the fan-in, so that activations keep their size.

    Convolutions and linear layers normal with deviation √(2 / fan_in); biases 0; γ 1, β 0.
    """
    if isinstance(module, (nn.Conv2d, nn.Linear)):
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
    _neutral(module)


def he_fan_out(module: nn.Module) -> None:
    """For `apply`: He et al. 2015 over the fan-out, so that gradients keep theirs, as fb.resnet.torch and successors.

    Convolutions normal with deviation √(2 / fan_out), as torch counts it (without regard to groups); biases 0; γ 1,
    β 0. Linear weights stay as torch draws them: a classifier's fan-out is the number of classes, and says nothing of
    the features that it sums, so that logits of a wide network would begin large.
    """
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    _neutral(module)


def xavier(module: nn.Module) -> None:
    """For `apply`: Glorot & Bengio 2010 (§4.2.1, equation 16), between ±√(6 / (fan_in + fan_out)).

    Uniform in convolutions and linear layers; biases 0; γ 1, β 0.
    """
    if isinstance(module, (nn.Conv2d, nn.Linear)):
        nn.init.xavier_uniform_(module.weight)
    _neutral(module)


_SCHEMES = {"he_fan_in": he_fan_in, "he_fan_out": he_fan_out, "xavier": xavier}


def _neutral(module: nn.Module) -> None:
    if isinstance(module, (nn.Conv2d, nn.Linear)) and module.bias is not None:
        nn.init.zeros_(module.bias)
    if isinstance(module, (nn.BatchNorm2d, Affine)):
        nn.init.ones_(module.weight)
        nn.init.zeros_(module.bias)


def _branch_norms(network: nn.Module) -> list[nn.BatchNorm2d | Affine]:
    """The last norm of each residual branch. Raises ValueError."""
    norms = []
    for _, block in residual_blocks(network):
        end = block.get_submodule(block.branch_end)
        if isinstance(end, nn.Sequential):
            end = end[-1]
        if not isinstance(end, (nn.BatchNorm2d, Affine)):
            raise no_norm_to_zero(type(network).__name__, has_blocks=True)
        norms.append(end)
    if not norms:
        raise no_norm_to_zero(type(network).__name__, has_blocks=False)
    return norms

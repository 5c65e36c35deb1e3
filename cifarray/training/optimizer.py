"""torch's optimizers, from their part of the config, and which parameters decay.

Not here: how the rate moves (`schedule`).
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Muon, Optimizer

from cifarray.config import OptimizerConfig


def build_optimizer(network: nn.Module, config: OptimizerConfig, lr: float) -> Optimizer:
    """`lr` is the rate that the schedule peaks at. The network's memory layout must be final."""
    if config.name == "muon":
        return MuonBesideAdamW(network, config, lr)
    groups = parameter_groups(network.parameters(), layer_weights(network), config)
    if config.name == "sgd":
        optimizer = SGD(groups, lr=lr, momentum=config.momentum, nesterov=config.nesterov, **_kernels(groups))
        if config.momentum and reads_rates_on_device(optimizer):
            # torch makes them without a value in the first step, and leaves them so where fp16 skips that step.
            for group in optimizer.param_groups:
                for parameter in group["params"]:
                    optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
        return optimizer
    return _adaptive(config.name, groups, lr, config)


def reads_rates_on_device(optimizer: Optimizer) -> bool:
    """Whether its step is one kernel that takes `lr` from the GPU's memory, and decides there what fp16 skips."""
    return all(group.get("fused") for group in optimizer.param_groups)


def load_optimizer(optimizer: Optimizer, state: dict[str, Any]) -> None:
    """`load_state_dict` of what may come from another kind of device: which kernels there are is of this one."""
    if "param_groups" in state:
        own = [{key: group[key] for key in _KERNELS if key in group} for group in optimizer.param_groups]
        groups = [{**saved, **kernels} for saved, kernels in zip(state["param_groups"], own, strict=True)]
        state = {**state, "param_groups": groups}
    optimizer.load_state_dict(state)


def layer_weights(network: nn.Module) -> list[Tensor]:
    """The weights of convolutions and linear layers, without biases, norms, embeddings and layer scales."""
    weights: list[Tensor] = []
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            weights.append(module.weight)
        elif isinstance(module, nn.MultiheadAttention) and module.in_proj_weight is not None:
            weights.append(module.in_proj_weight)
    return weights


def parameter_groups(
    parameters: Iterable[nn.Parameter], weights: Sequence[Tensor], config: OptimizerConfig
) -> list[dict[str, Any]]:
    """One group of all `parameters`, or with `decay="weights"` two, of which only the `weights` decay."""
    trained, chosen = list(parameters), {id(weight) for weight in weights}
    decayed = [parameter for parameter in trained if config.decay == "all" or id(parameter) in chosen]
    others = [parameter for parameter in trained if config.decay == "weights" and id(parameter) not in chosen]
    groups = [{"params": decayed, "weight_decay": config.weight_decay}, {"params": others, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]


_KERNELS = ("fused", "foreach", "capturable")
"""Options of torch's optimizers that say how they compute, and not what."""


def _kernels(groups: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """On a GPU one kernel for all parameters, which waits for nothing (`capturable`: Adam's count of steps too)."""
    on_gpu = all(parameter.is_cuda for group in groups for parameter in group["params"])
    return {"fused": True} if on_gpu else {}


def _adaptive(name: str, groups: Sequence[dict[str, Any]], lr: float, config: OptimizerConfig) -> Optimizer:
    kernels = _kernels(groups)
    kind = {"adamw": AdamW, "adam": Adam}[name]
    return kind(groups, lr=lr, betas=config.betas, capturable=bool(kernels), **kernels)


class MuonBesideAdamW(Optimizer):
    """Muon (Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks", kellerjordan.github.io) for
    convolutions and linear layers, AdamW for the rest: the last of these layers, biases, γ and β.

    torch's Muon takes matrices alone: a convolution's weight (out, in, h, w) is given to it as a view (out, in·h·w).
    Its updates are scaled to AdamW's size (Liu et al. 2025, arXiv:2502.16982, §2.2), so both have the same `lr`.
    """

    def __init__(self, network: nn.Module, config: OptimizerConfig, lr: float) -> None:
        layers = layer_weights(network)
        self.weights = layers[:-1]
        matrices = [nn.Parameter(_matrix_view(weight)(weight.detach())) for weight in self.weights]
        chosen = {id(weight) for weight in self.weights}
        rest = parameter_groups((p for p in network.parameters() if id(p) not in chosen), layers, config)
        groups = [{"params": self.weights, "weight_decay": config.weight_decay}] if self.weights else []
        super().__init__([*groups, *({**group, "params": list(group["params"])} for group in rest)], {"lr": lr})
        muon: dict[str, Any] = {"momentum": config.momentum, "nesterov": config.nesterov}
        self.matrices = matrices
        self.parts: dict[str, Optimizer] = {}
        if matrices:
            self.parts["muon"] = Muon(
                matrices, lr=lr, weight_decay=config.weight_decay, adjust_lr_fn="match_rms_adamw", **muon
            )
        if rest:
            self.parts["adamw"] = _adaptive("adamw", rest, lr, config)

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        for weight, matrix in zip(self.weights, self.matrices, strict=True):
            matrix.grad = None if weight.grad is None else _matrix_view(weight)(weight.grad)
        inner = [group for part in self.parts.values() for group in part.param_groups]
        for group, own in zip(inner, self.param_groups, strict=True):
            group["lr"] = own["lr"]
        for part in self.parts.values():
            part.step()
        for matrix in self.matrices:
            matrix.grad = None  # a view that would keep the gradients alive through the next forward pass

    def state_dict(self) -> dict[str, Any]:
        groups = [{key: value for key, value in group.items() if key != "params"} for group in self.param_groups]
        return {"groups": groups, **{name: part.state_dict() for name, part in self.parts.items()}}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        for group, known in zip(self.param_groups, state_dict["groups"], strict=True):
            group.update(known)
        for name, part in self.parts.items():
            load_optimizer(part, state_dict[name])


def _matrix_view(weight: Tensor) -> Callable[[Tensor], Tensor]:
    """How tensors of this weight's shape become matrices of which the weight's own is a view in its memory.

    In channels_last memory the columns are in another order, which Muon's update does not mind: it orthogonalises the
    rows.
    """
    if weight.ndim == 4 and not weight.is_contiguous():
        return lambda tensor: tensor.permute(0, 2, 3, 1).reshape(len(tensor), -1)
    return lambda tensor: tensor.reshape(len(tensor), -1)

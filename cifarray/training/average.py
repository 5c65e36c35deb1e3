"""The exponential moving average of a network's weights, by torch.optim.swa_utils.

Not here: that it is what is evaluated and loaded (`loop`, `classifier`).
"""

from copy import deepcopy
from typing import Any

import torch
from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn


class MovingAverage:
    """θ̄ = decay · θ̄ + (1 − decay) · θ after every step, from the first step's θ on; running statistics likewise.

    (Polyak & Juditsky 1992; Tarvainen & Valpola 2017, arXiv:1703.01780, §2.) torch's AveragedModel does the same, but
    waits for the device in every step and averages the counters of batch normalisation one by one.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.network: nn.Module = deepcopy(network)
        self.steps = 0
        self._averaged, self._current = ([*_floats(each)] for each in (self.network, network))
        self._counters = [
            [buffer for buffer in each.buffers() if not buffer.is_floating_point()] for each in (self.network, network)
        ]
        self._average = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]

    @torch.no_grad()
    def update(self) -> None:
        """Take in the network as it is after a step."""
        if self.steps:
            self._average(self._averaged, self._current, None)
        else:
            torch._foreach_copy_(self._averaged, self._current)
        self.steps += 1

    def state(self) -> dict[str, Any]:
        """`weights`, as the network's own `state_dict`, and `steps`."""
        for averaged, current in zip(*self._counters, strict=True):
            averaged.copy_(current)  # counters, of which there is no average
        return {"weights": self.network.state_dict(), "steps": self.steps}

    def load(self, state: dict[str, Any]) -> None:
        """The inverse of `state`."""
        self.network.load_state_dict(state["weights"])
        self.steps = state["steps"]


def _floats(network: nn.Module) -> list[torch.Tensor]:
    tensors = [*network.parameters(), *network.buffers()]
    return [tensor.detach() for tensor in tensors if tensor.is_floating_point()]

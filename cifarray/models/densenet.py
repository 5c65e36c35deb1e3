"""DenseNet for CIFAR: Huang et al. 2017, arXiv:1608.06993, three dense blocks, as in the authors' code.

Where paper and Lua code differ, the paper is followed: without bottleneck and compression the first convolution has 16
channels (the published counts need 16; densenet.lua takes 2k), with both it has 2k.
"""

from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from cifarray.models import rules
from cifarray.models.blocks import conv1x1, conv3x3, pooled
from cifarray.models.initial_weights import he_fan_out


class DenseLayer(nn.Module):
    """BN-ReLU-conv3×3, or with `bottleneck` BN-ReLU-conv1×1-BN-ReLU-conv3×3; appends growth_rate channels.

    memory_efficient: what comes before the last convolution is computed again in backward instead of kept
    (Pleiss et al. 2017, arXiv:1707.06990); the result is the same.
    """

    def __init__(
        self, in_channels: int, growth_rate: int, bottleneck: bool, dropout: float, memory_efficient: bool
    ) -> None:
        super().__init__()
        self.dropout, self.memory_efficient = dropout, memory_efficient
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.bottleneck: nn.Conv2d | None = None
        self.bn2: nn.BatchNorm2d | None = None
        if bottleneck:
            self.bottleneck = conv1x1(in_channels, 4 * growth_rate)
            self.bn2 = nn.BatchNorm2d(4 * growth_rate)
            in_channels = 4 * growth_rate
        self.conv = conv3x3(in_channels, growth_rate)

    def forward(self, features: list[Tensor]) -> Tensor:
        # A compiler decides by itself what to keep.
        saves = self.memory_efficient and not torch.compiler.is_compiling()
        if saves and self.training and torch.is_grad_enabled():
            x = checkpoint(self._before_conv, *features, use_reentrant=False, context_fn=self._contexts)
        else:
            x = self._before_conv(*features)
        return F.dropout(self.conv(x), self.dropout, self.training)

    def _before_conv(self, *features: Tensor) -> Tensor:
        x = F.relu(self.bn1(torch.cat(features, 1)))
        if self.bottleneck is None or self.bn2 is None:
            return x
        x = F.dropout(self.bottleneck(x), self.dropout, self.training)
        return F.relu(self.bn2(x))

    def _contexts(self) -> tuple[AbstractContextManager[Any], AbstractContextManager[Any]]:
        return nullcontext(), self._statistics_kept()

    @contextmanager
    def _statistics_kept(self) -> Any:
        """The second pass over a batch does not count for the running statistics."""
        # What is kept for backward must be the same tensors, so the statistics take part, with a momentum of 0.
        norms = [module for module in (self.bn1, self.bn2) if module is not None]
        before = [norm.momentum for norm in norms]
        for norm in norms:
            norm.momentum = 0.0
        try:
            yield
        finally:
            for norm, momentum in zip(norms, before, strict=True):
                norm.momentum = momentum
                if norm.num_batches_tracked is not None:
                    norm.num_batches_tracked -= 1


class DenseBlock(nn.Module):
    """Each layer sees the channels of all before it."""

    def __init__(self, in_channels: int, layers: int, growth_rate: int, **options: Any) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            DenseLayer(in_channels + index * growth_rate, growth_rate, **options) for index in range(layers)
        )
        self.out_channels = in_channels + layers * growth_rate

    def forward(self, x: Tensor) -> Tensor:
        features = [x]
        for layer in self.layers:
            features.append(layer(features))
        return torch.cat(features, 1)


class Transition(nn.Module):
    """BN-ReLU-conv1×1, then the mean of 2 × 2 pixels."""

    def __init__(self, in_channels: int, out_channels: int, dropout: float) -> None:
        super().__init__()
        self.bn = nn.BatchNorm2d(in_channels)
        self.conv = conv1x1(in_channels, out_channels)
        self.dropout = dropout

    def forward(self, x: Tensor) -> Tensor:
        x = F.dropout(self.conv(F.relu(self.bn(x))), self.dropout, self.training)
        return F.avg_pool2d(x, 2)


class DenseNet(nn.Module):
    """(N, 3, H, W) images to (N, num_classes) logits, H and W ≥ 4; pooling is over the whole map."""

    def __init__(
        self,
        num_classes: int,
        layers_per_block: int,
        in_channels: int,
        growth_rate: int,
        compression: float,
        dropout: float,
        **options: Any,
    ) -> None:
        super().__init__()
        self.stem = conv3x3(3, in_channels)
        parts: list[nn.Module] = []
        for index in range(3):
            block = DenseBlock(in_channels, layers_per_block, growth_rate, dropout=dropout, **options)
            parts.append(block)
            in_channels = block.out_channels
            if index < 2:
                out_channels = int(in_channels * compression)
                parts.append(Transition(in_channels, out_channels, dropout))
                in_channels = out_channels
        self.features = nn.Sequential(*parts)
        self.bn = nn.BatchNorm2d(in_channels)
        self.classifier = nn.Linear(in_channels, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        return self.classifier(pooled(F.relu(self.bn(self.features(self.stem(images))))))


def densenet(
    num_classes: int,
    *,
    depth: int,
    growth_rate: int,
    bottleneck: bool = False,
    compression: float = 1.0,
    dropout: float = 0.0,
    memory_efficient: bool = False,
) -> DenseNet:
    """DenseNet (L = depth, k = growth_rate); DenseNet-BC with bottleneck and compression 0.5.

    depth is 3n + 4, with bottleneck 6n + 4. compression: the share of channels that a transition keeps (θ). dropout:
    after every convolution but the first (0.2 in the paper, where the data is not augmented).
    memory_efficient: computes again in backward instead of keeping. Raises ValueError for other values.
    """
    layers = rules.densenet(
        depth=depth,
        growth_rate=growth_rate,
        bottleneck=bottleneck,
        compression=compression,
        dropout=dropout,
        memory_efficient=memory_efficient,
    )
    in_channels = 2 * growth_rate if bottleneck and compression < 1 else 16
    network = DenseNet(
        num_classes,
        layers,
        in_channels,
        growth_rate,
        compression,
        dropout,
        bottleneck=bottleneck,
        memory_efficient=memory_efficient,
    )
    network.apply(he_fan_out)
    return network

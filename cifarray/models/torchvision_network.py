"""Any classification network of torchvision, by its name there, untrained, as torchvision initialises it."""

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from cifarray.models import rules


class TorchvisionNetwork(nn.Module):
    """(N, 3, H, W) images, resized to `side` × `side` where that is given, to (N, num_classes) logits."""

    def __init__(self, network: nn.Module, side: int | None) -> None:
        super().__init__()
        self.network, self.side = network, side

    def forward(self, images: Tensor) -> Tensor:
        if self.side is not None and images.shape[-2:] != (self.side, self.side):
            # Antialiasing does nothing where images grow, and is slow.
            shrinks = max(images.shape[-2:]) > self.side
            images = F.interpolate(images, size=(self.side, self.side), mode="bilinear", antialias=shrinks)
        return self.network(images)


def torchvision_network(num_classes: int, *, arch: str, resize: int | None = None) -> TorchvisionNetwork:
    """`arch` of torchvision.models, such as mobilenet_v2 or inception_v3; images are resized to `resize` first.

    Networks for 224 × 224 halve the side five times: many need a `resize`, Inception-v3 at least 75 (the paper's 299),
    vision transformers exactly 224. Auxiliary classifiers (Inception, GoogLeNet) are left out. AlexNet and VGG pool in
    a way that CUDA cannot repeat: they need deterministic=false there.
    Raises ValueError for a name that torchvision does not have, or a side below 8.
    """
    rules.torchvision_network(arch=arch, resize=resize)
    # Here, since importing torchvision takes a second.
    from torchvision import models

    options: dict[str, Any] = {}
    if arch in ("inception_v3", "googlenet"):
        options = {"aux_logits": False, "init_weights": True}
    return TorchvisionNetwork(models.get_model(arch, weights=None, num_classes=num_classes, **options), resize)

"""A trained network with all it needs to classify raw images: channel statistics, class names, train config.

Not here: finding the checkpoint of an MLflow run (`cifarray.load`).
"""

from typing import Any

import torch
from torch import Tensor, nn

from cifarray.config import TrainConfig
from cifarray.data import center_view, normalise
from cifarray.models import build
from cifarray.training.checkpoint import load_checkpoint
from cifarray.training.precision import Resolved, autocast, resolve
from cifarray.training.tasks.registry import answers_of


class Classifier(nn.Module):
    """(N, side, side, 3) uint8 images to (N, num_classes) float32 logits, on the device of the network.

    `data` is what a checkpoint says of its data: classes, mean, std, image_size. `metrics` are those of the last epoch.
    `precision` is the format that it was trained in, so that it answers as it did in its validation; None: as the
    config says, on the device at hand. `study` is the id of the study that trained it, if one did.
    """

    def __init__(
        self,
        network: nn.Module,
        config: TrainConfig,
        data: dict[str, Any],
        metrics: dict[str, float] | None = None,
        precision: Resolved | None = None,
        study: str | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.config = config
        self.precision = precision
        self.study = study
        self.classes = tuple(data["classes"])
        self.mean = tuple(data["mean"])
        self.std = tuple(data["std"])
        self.image_size = int(data["image_size"])
        self.metrics = dict(metrics or {})

    def forward(self, images: Tensor) -> Tensor:
        """Of images larger than what the network was trained on, the centre (`cifarray.data.center_view`).

        Raises ValueError for images of another type or size.
        """
        side = self.image_size
        if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1:] != (side, side, 3):
            raise ValueError(
                f"images of shape {tuple(images.shape)} and type {images.dtype} cannot be classified: "
                f"give (N, {side}, {side}, 3) of torch.uint8"
            )
        device = next(self.network.parameters()).device
        images, crop_size = images.to(device), self.config.data.crop_size
        if crop_size is not None and crop_size < side:
            images = center_view(images, crop_size)
        batch = normalise(images, self.mean, self.std)
        with autocast(self.precision or resolve(self.config.precision, device), device):
            logits = self.network(batch if self.config.channels_last else batch.contiguous())
        return logits.float()

    def classify(self, images: Tensor) -> list[str]:
        """What each image shows, in the words of the network's task.

        Raises ValueError as `forward` does.
        """
        with torch.inference_mode():
            logits = self(images)
        return answers_of(self.config).names(logits, self.classes)


def load_classifier(address: str) -> Classifier:
    """On the CPU and in evaluation mode, with the averaged weights where there are some.

    Raises ValueError or StorageError if there is no whole checkpoint.
    """
    state = load_checkpoint(address)
    config = TrainConfig.from_dict(state["config"])
    network = build(config.model.name, len(state["data"]["classes"]), **config.model.options)
    average = state["average"]
    network.load_state_dict(state["model"] if average is None else average["weights"])
    if config.channels_last:
        network.to(memory_format=torch.channels_last)
    return Classifier(network, config, state["data"], state["metrics"], state["precision"], state["study"]).eval()

"""A trained network as one module that others run: uint8 images in, probabilities out, with all it needs inside.

Here: what MLflow keeps as a model and what is exported. It is pickled by its parts (train config, classes, channel
statistics, weights), as a checkpoint holds them, and made anew from them, so that one that was saved is loaded wherever
cifarray is installed, whatever the classes in it have become. Not here: reading checkpoints (`classifier`), MLflow
(`cifarray.tracking.model`), formats of other tools (`cifarray.examine.export`).
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from cifarray.config import TrainConfig, override
from cifarray.models import build, smallest
from cifarray.training.classifier import Classifier, assemble
from cifarray.training.tasks.registry import answers_of


class Served(nn.Module):
    """(N, side, side, 3) uint8 images to (N, num_classes) float32 probabilities, on the device of the network.

    They are those of `Classifier.probabilities`, in the order of `classes`: of an image that shows one class they sum
    to 1, on 2 × 2 grids each class is there or not by itself. Raises as `Classifier.forward` does.
    """

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.classifier = classifier.eval()

    @property
    def config(self) -> TrainConfig:
        return self.classifier.config

    @property
    def classes(self) -> tuple[str, ...]:
        """In the order of the outputs."""
        return self.classifier.classes

    @property
    def image_size(self) -> int:
        """The side of the images that it takes, in pixels."""
        return self.classifier.image_size

    def forward(self, images: Tensor) -> Tensor:
        with torch.no_grad():
            return answers_of(self.config).probabilities(self.classifier(images))

    def parts(self) -> dict[str, Any]:
        """All that it is made of; `made_of` makes it anew."""
        return self.classifier.parts()

    def __reduce__(self) -> tuple[Callable[[dict[str, Any]], "Served"], tuple[dict[str, Any]]]:
        return made_of, (self.parts(),)


def made_of(parts: dict[str, Any]) -> Served:
    """From what `Served.parts` gave, on the CPU. Raises ValueError for a network that is none here."""
    return Served(assemble(**parts))


def tiny_of_its_kind(config: TrainConfig, num_classes: int) -> Served:
    """An untrained small network of the config's family, for trying out what is done with the trained one."""
    name, options = config.model.name, smallest(config.model.name, config.model.options)
    small = override(config, {f"model.{option}": value for option, value in options.items()})
    data = {
        "classes": [str(number) for number in range(num_classes)],
        "mean": (0.5, 0.5, 0.5),
        "std": (0.25, 0.25, 0.25),
        "image_size": config.data.picture_size,
    }
    network = build(name, num_classes, **options)
    return Served(assemble(small.to_dict(), data, network.state_dict()))

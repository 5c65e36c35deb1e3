"""A trained network with all it needs to classify raw images: channel statistics, class names, train config.

Not here: finding the checkpoint of an MLflow run (`cifarray.load`).
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from cifarray.config import TrainConfig
from cifarray.data import as_images, center_view, normalise
from cifarray.errors import StudyError
from cifarray.models import build
from cifarray.training.checkpoint import load_checkpoint
from cifarray.training.determinism import set_determinism
from cifarray.training.precision import Resolved, answers_in, autocast, resolve
from cifarray.training.tasks.registry import answers_of

CHUNK = 500
"""Images at a time on a device."""


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

        Raises TypeError for what is no tensor, ValueError for images of another type or size.
        """
        if not isinstance(images, Tensor):
            raise TypeError(
                f"{type(images).__name__} is no tensor of images: call the network's classify or probabilities, which "
                "take files, arrays and Pillow's images"
            )
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

    def classify(self, images: Any) -> list[str]:
        """What each image shows, in the words of the network's task: one answer an image, also of a single one.

        images: one or many, as `cifarray.data.as_images` takes them: NumPy arrays or tensors of (H, W, 3) or
        (N, H, W, 3) uint8, Pillow's images, paths of image files, lists of these. Those of another size than the
        network was trained on are resized as its data were, with a UserWarning. Raises DataError for what is no image.
        """
        return answers_of(self.config).names(self._logits(images), self.classes)

    def probabilities(self, images: Any, top: int | None = None) -> list[dict[str, float]]:
        """What the network takes for how likely, for each image: classes and their probabilities, the likeliest first.

        images: as in `classify`. top: only so many classes; None: all. They sum to 1 over all classes, but for networks
        of 2 × 2 grids, where each class is there or not by itself.
        Raises DataError as `classify` does, and ValueError for a `top` below 1.
        """
        if top is not None and top < 1:
            raise ValueError(f"top {top} is too few classes: give 1 or more, or None for all")
        found = answers_of(self.config).probabilities(self._logits(images)).cpu()
        values, indices = found.sort(dim=1, descending=True, stable=True)
        return [
            {self.classes[index]: value for index, value in zip(row_indices[:top], row_values[:top], strict=True)}
            for row_indices, row_values in zip(indices.tolist(), values.tolist(), strict=True)
        ]

    def parts(self) -> dict[str, Any]:
        """What `assemble` makes the same classifier of: plain types and tensors."""
        return {
            "config": self.config.to_dict(),
            "data": {
                "classes": self.classes,
                "mean": self.mean,
                "std": self.std,
                "image_size": self.image_size,
            },
            "weights": self.network.state_dict(),
            "metrics": self.metrics,
            "precision": self.precision,
            "study": self.study,
        }

    def _logits(self, images: Any) -> Tensor:
        """(N, num_classes) float32, of some images at a time."""
        parts = torch.split(as_images(images, self.image_size), CHUNK)
        with torch.inference_mode():
            return torch.cat([self(part) for part in parts if len(part)] or [torch.empty(0, len(self.classes))])


def load_classifier(address: str, classes: Sequence[str] | None = None) -> Classifier:
    """On the CPU and in evaluation mode, with the averaged weights where there are some.

    classes: names in place of those that the data had, in the order of the labels. Raises ValueError or StorageError if
    there is no whole checkpoint, ValueError for other names than one for each class.
    """
    state = load_checkpoint(address)
    data = (
        state["data"] if classes is None else {**state["data"], "classes": _renamed(state["data"]["classes"], classes)}
    )
    average = state["average"]
    weights = state["model"] if average is None else average["weights"]
    return assemble(state["config"], data, weights, state["metrics"], state["precision"], state["study"])


def assemble(
    config: dict[str, Any],
    data: dict[str, Any],
    weights: dict[str, Tensor],
    metrics: dict[str, float] | None = None,
    precision: Resolved | None = None,
    study: str | None = None,
) -> Classifier:
    """A classifier in evaluation mode, on the CPU. config: of `TrainConfig.to_dict`; the rest as in `Classifier`.

    Raises ValueError for a config that makes no network, RuntimeError for weights of another one.
    """
    trained = TrainConfig.from_dict(config)
    network = build(trained.model.name, len(data["classes"]), **trained.model.options)
    network.load_state_dict(weights)
    if trained.channels_last:
        network.to(memory_format=torch.channels_last)
    return Classifier(network, trained, data, metrics, precision, study).eval()


@contextmanager
def as_trained(classifier: Classifier) -> Iterator[str]:
    """In the block a network answers as in its study's evaluations: on a GPU, if there is one, in the format that it
    was trained in, with deterministic kernels if it was trained with them.

    Yields what it is computed in and on, for the user: `bf16 on NVIDIA H100 80GB HBM3`, and why in another format where
    it is one. Raises StudyError for a GPU without memory.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    where = torch.cuda.get_device_name(device) if device.type == "cuda" else "a CPU"
    set_determinism(classifier.config.deterministic)
    classifier.precision, why = answers_in(classifier.precision, classifier.config.precision, device)
    try:
        classifier.to(device)
        yield f"{classifier.precision} on {where}" + (f" ({why})" if why else "")
    except torch.OutOfMemoryError as error:
        raise StudyError(
            f"{where} has too little memory left ({str(error).splitlines()[0]}): wait until nothing else runs on it, "
            "or set CUDA_VISIBLE_DEVICES to nothing, which takes the CPU"
        ) from None


def _renamed(classes: Sequence[str], names: Sequence[str]) -> tuple[str, ...]:
    names = tuple(names)
    if len(names) != len(classes):
        raise ValueError(
            f"{len(names)} names do not fit {len(classes)} classes ({', '.join(classes[:5])} …): give one for each, in "
            "the order of their labels"
        )
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise ValueError(f"two classes are called {twice[0]!r}: give each a name of its own")
    return names

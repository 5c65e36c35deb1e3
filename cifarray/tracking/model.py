"""A trained network as a folder in MLflow's model format, and a try of all of it before the first trial has ended.

    python -m cifarray.tracking.model < study.json     # {"config": …, "num_classes": 10, "went_well": FILE}: the try

Here: what needs no server. It is run in processes of its own: torch and MLflow take seconds and memory that a driver
does not give away. Not here: telling MLflow (`cifarray.tracking.winner`), the module (`cifarray.training.served`).
"""

import json
import logging
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mlflow.pyfunc
import mlflow.pytorch
import numpy as np
from mlflow.models import Model, ModelSignature
from mlflow.types.schema import Schema, TensorSpec

import cifarray
from cifarray.config import TrainConfig
from cifarray.redaction import redact

if TYPE_CHECKING:
    from cifarray.training.served import Served

FORMAT = "pickle"
"""MLflow's other one is a traced graph, which stays on the device that it was traced on: a network that was saved on a
head without GPUs could not be served on one. Ours is made anew of its parts, so that no class is in the pickle."""
NEEDS = ("mlflow", "torch", "torchvision")
"""Beside cifarray, which is in no package index: whoever loads the model installs it from its clone."""
EXAMPLES = 2
"""Images in the input example: with one alone, a batch and an image could be confused unseen."""
AT_MOST_APART = 1e-5
"""Probabilities of the same network, loaded once more, in the same process."""


def save(served: "Served", folder: Path, model: Model | None = None) -> Model:
    """Writes an MLflow model: the network, its signature, an input example, its config and classes. Nothing is loaded.

    The signature is one tensor (-1, side, side, 3) uint8 without a name, to (-1, num_classes) float32 probabilities in
    the order of `classes` in the model's metadata. model: what MLflow knows of it already.
    """
    side, classes = served.image_size, served.classes
    model = model or Model()
    model.metadata = {
        "classes": list(classes),
        "cifarray": cifarray.__version__,
        "input": f"uint8 images of (N, {side}, {side}, 3), RGB",
        "output": f"probabilities of (N, {len(classes)}), in the order of the classes",
    }
    inputs = Schema([TensorSpec(np.dtype(np.uint8), (-1, side, side, 3))])
    outputs = Schema([TensorSpec(np.dtype(np.float32), (-1, len(classes)))])
    with tempfile.TemporaryDirectory() as beside, _without_warnings():
        described = {"classes.json": list(classes), "config.json": served.config.to_dict()}
        for name, content in described.items():
            Path(beside, name).write_text(json.dumps(content, indent=2) + "\n")
        mlflow.pytorch.save_model(
            served,
            str(folder),
            mlflow_model=model,
            signature=ModelSignature(inputs, outputs),
            input_example=example(side),
            # Given, since MLflow would start a process to find out.
            pip_requirements=[f"{name}=={metadata.version(name)}" for name in NEEDS],
            extra_files=[str(Path(beside, name)) for name in described],
            serialization_format=FORMAT,
        )
    return model


@contextmanager
def _without_warnings() -> Iterator[None]:
    """That this format is the other one's, see FORMAT."""
    log = logging.getLogger("mlflow.pytorch")
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(before)


def example(side: int) -> Any:
    """(EXAMPLES, side, side, 3) uint8: every level that a pixel can have."""
    count = EXAMPLES * side * side * 3
    return (np.arange(count) % 256).astype(np.uint8).reshape(EXAMPLES, side, side, 3)


def try_out(config: TrainConfig, num_classes: int) -> None:
    """Save a small network of the config's family, load it in both of MLflow's ways, compare what it answers.

    Raises whatever goes wrong, ValueError for other answers.
    """
    import torch

    from cifarray.training.served import tiny_of_its_kind

    served = tiny_of_its_kind(config, num_classes)
    images = example(served.image_size)
    expected = served(torch.from_numpy(images)).numpy()
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder, "model"))
        save(served, Path(path))
        answers = {
            "mlflow.pytorch": mlflow.pytorch.load_model(path)(torch.from_numpy(images)).numpy(),
            "mlflow.pyfunc": mlflow.pyfunc.load_model(path, model_config={"device": "cpu"}).predict(images),
        }
    for way, answer in answers.items():
        if answer.shape != expected.shape or not np.abs(answer - expected).max() <= AT_MOST_APART:
            raise ValueError(f"a network that is loaded by {way} gives other probabilities than before it was saved")


def main() -> int:
    """Exit code 0, which the file `went_well` remembers, or 1 with a sentence on standard output."""
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    study = json.load(sys.stdin)
    try:
        try_out(TrainConfig.from_dict(study["config"]), study["num_classes"])
    except Exception as error:
        print(redact(f"{type(error).__name__}: {error}".splitlines()[0]))
        return 1
    went_well = Path(study["went_well"])
    with suppress(OSError):
        went_well.parent.mkdir(parents=True, exist_ok=True)
        went_well.touch()
    return 0


if __name__ == "__main__":
    sys.exit(main())

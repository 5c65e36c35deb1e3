"""A trained network as one ONNX file that needs neither cifarray nor torch, held against torch first.

In this process, without Ray. Not here: the module that is exported (`cifarray.training.served`), what is typed
(`cifarray.cli.export`).
"""

import importlib.util
import json
import logging
import os
import tempfile
import warnings
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cifarray.config import TrainConfig
from cifarray.data import DataError, open_store, split_indices
from cifarray.errors import StudyError
from cifarray.examine import networks
from cifarray.training.served import Served

PACKAGES = ("onnx", "onnxruntime", "onnxscript")
"""Of the extra `export`; the last is torch's exporter's own."""
INPUT, OUTPUT = "images", "probabilities"
COMPARED = 256
"""Images that both networks are asked about."""
AT_MOST_APART = 1e-3
"""Probabilities of the two: rounding makes some 1e-6 of a deep network, a wrong operation far more."""


def run_export(target: str, where: str, tracking_uri: str, output: str | None = None) -> Iterator[str]:
    """Writes the ONNX file; yields lines for the user.

    target: a study (its best trial), `<study>-<number>`, an MLflow run or a checkpoint's path. output: the file, else
    one of the trial's name in the study's folder. The network computes in float32, whatever it was trained in.
    Raises StudyError if a package is missing, if there is no such network, if it cannot be exported, if the file cannot
    be written, and if the exported network answers otherwise; then there is no new file.
    """
    _refuse_missing_packages()
    folder, number, address = networks.find_checkpoint(target, where, tracking_uri)
    classifier = networks.load(address)
    classifier.precision = "fp32"
    served = Served(classifier)
    name = Path(address).stem if number is None else f"{folder.name}-{number}"
    file = Path(output).expanduser().absolute() if output else folder / f"{name}.onnx"
    images, what = _images(served.config, served.image_size)
    try:
        with tempfile.TemporaryDirectory(dir=file.parent, prefix=".export-") as beside:
            partial = Path(beside, file.name)
            opset = _write(served, partial)
            difference, alike = _compared(served, partial, images)
            if not difference <= AT_MOST_APART:
                raise StudyError(
                    f"the exported network of {target} differs from torch's by {difference:.2g} in a probability, "
                    f"where {AT_MOST_APART:g} is allowed, so no file was written: try another version of "
                    f"{' and '.join(PACKAGES[:2])}"
                )
            os.replace(partial, file)
    except OSError as error:
        raise StudyError(f"{file} cannot be written ({error}): choose another --output") from error
    side, classes = served.image_size, len(served.classes)
    yield (
        f"{file}: {file.stat().st_size / 1e6:.2f} MB, ONNX opset {opset}, {INPUT} (N, {side}, {side}, 3) uint8 to "
        f"{OUTPUT} (N, {classes}) float32, normalisation inside"
    )
    yield (
        f"onnxruntime {metadata.version('onnxruntime')} and torch differ by at most {difference:.1e} in a probability, "
        f"on {len(images)} {what}, and have the same answer for {alike} of them"
    )


def _refuse_missing_packages() -> None:
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise StudyError(
            f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not installed, which exporting to ONNX "
            "needs: pip install --editable '.[export]' in the clone"
        )


def _write(served: Served, file: Path) -> int:
    """Returns the opset. The classes and the train config are in the file's metadata."""
    import onnx

    side = served.image_size
    example = torch.zeros(2, side, side, 3, dtype=torch.uint8)
    # What is computed once for all images of a size is made outside of the trace.
    served(example)
    log = logging.getLogger("torch.onnx")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                served,
                (example,),
                dynamo=True,
                dynamic_shapes=({0: torch.export.Dim("N")},),
                input_names=[INPUT],
                output_names=[OUTPUT],
                external_data=False,
                verbose=False,
            )
        assert program is not None, "as dynamo=True says"
        program.save(str(file), external_data=False)
    except OSError:
        raise
    except Exception as error:  # torch's exporter raises errors of a dozen kinds
        told = str(error).strip().splitlines() or [type(error).__name__]
        raise StudyError(
            f"torch {torch.__version__} cannot export {served.config.model.name} to ONNX ({told[0]}): use its "
            "checkpoint with cifarray.load, or another version of torch"
        ) from error
    finally:
        log.setLevel(level)
    model = onnx.load(str(file))
    described = {"classes": list(served.classes), "config": served.config.to_dict()}
    onnx.helper.set_model_props(model, {name: json.dumps(value) for name, value in described.items()})
    onnx.checker.check_model(model)
    onnx.save(model, str(file))
    return next(int(each.version) for each in model.opset_import if each.domain == "")


def _compared(served: Served, file: Path, images: Tensor) -> tuple[float, int]:
    """The largest difference of a probability, and for how many images both have the same answer; of batches of all
    images and of one."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])

    def answer(batch: Tensor) -> Tensor:
        return torch.from_numpy(session.run([OUTPUT], {INPUT: batch.numpy()})[0])

    expected = served(images)
    exported = answer(images)
    # NaN is kept: it is no small difference.
    apart = torch.cat([(exported - expected).abs(), (answer(images[:1]) - expected[:1]).abs()]).max()
    return float(apart), int((exported.argmax(1) == expected.argmax(1)).sum())


def _images(config: TrainConfig, side: int) -> tuple[Tensor, str]:
    """(N, side, side, 3) uint8, and what they are: held-out images of its data; where those are not at hand, or make no
    picture by themselves, noise."""
    data: Any = config.data
    if data.grid == 1 and data.validation:
        try:
            store = open_store(data.source, "train", data.image_size)
            rows = split_indices(store.labels, data.validation, data.limit)[1][:COMPARED]
            return store.images.index_select(0, rows), "held-out images"
        except DataError:
            pass
    generator = torch.Generator().manual_seed(0)
    noise = torch.randint(0, 256, (COMPARED, side, side, 3), generator=generator, dtype=torch.uint8)
    return noise, "images of noise"

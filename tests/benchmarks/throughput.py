"""Images per second of training: cifarray against a bare loop, and against Lightning with torchvision's DataLoader.

Claims, on a CPU: inside a cifarray worker at least 0.93 of a bare loop with the same network, precision and threads
that sees one fixed batch again and again; against Lightning at its defaults (fp32) at least 1.8 times as many, against
Lightning with bf16-mixed and channels_last at least 1.1 times (both where the CPU has AVX512-BF16).

The bare loop runs in the very workers of a real study, each time after an epoch: no data, no augmentation, no metrics,
no schedule, no deterministic kernels. cifarray's figure is the `images_per_second` that it reports, which has all that.
Lightning runs in a process of its own by turns with cifarray's `Training`, with as many threads; its data is what the
CIFAR tutorials have: PIL images from memory, RandomCrop(32, 4), RandomHorizontalFlip, ToTensor, Normalize. Its logger,
checkpoints and progress bar are off, and its first batch, with which it starts its loader, is not counted.
The first turn of each warms up and is not counted; medians of the others are compared. Against the bare loop cutout is
on too; what every other augmentation costs is a table of its own (`augmentations`).

    python -m tests.benchmarks.throughput                        # about 25 minutes on two idle cores
    python -m tests.benchmarks.throughput --networks 16-1 --steps 20 --turns 2 --only bare
    python -m tests.benchmarks.throughput --data ../shared/cifar10
    python -m tests.benchmarks.throughput --only augmentations
"""

import argparse
import logging
import tempfile
import time
import uuid
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, Dataset

from cifarray import storage
from cifarray.config import TrainConfig, override
from cifarray.data import open_store
from cifarray.engine import train_run, worker
from cifarray.engine.connection import connected
from cifarray.engine.run import run_study
from cifarray.engine.worker_group import WorkerGroup
from cifarray.models import build
from cifarray.space.space import SearchSpace
from cifarray.study.study import Study
from cifarray.training.loop import Training
from cifarray.training.precision import Resolved, autocast
from tests.benchmarks import augmentations
from tests.benchmarks.augmentations import CUTOUT
from tests.benchmarks.setting import Quiet, compared, data_in, print_table
from tests.fresh_processes import fresh_processes

OVER_BARE, OVER_LIGHTNING, OVER_TUNED_LIGHTNING = 0.93, 1.8, 1.1
SIDE, CLASSES = 32, 10


# Against a bare loop.


class BesideBareLoop(Training):
    """After every epoch a bare loop of as many steps; its images/s of all ranks are one more metric."""

    def run_epoch(self, on_step: Callable[[], None] = lambda: None) -> dict[str, float]:
        metrics = super().run_epoch(on_step)
        if not hasattr(self, "bare"):
            self.bare = BareLoop(self.config, self.world_size, self.precision)
        return {**metrics, "bare_images_per_second": self.bare.run(self.steps_per_epoch)}


class BareLoop:
    """One fixed batch, forward, loss, backward, step."""

    def __init__(self, config: TrainConfig, world_size: int, precision: Resolved) -> None:
        self.config, self.world_size, self.precision = config, world_size, precision
        network = build(config.model.name, CLASSES, **config.model.options).to(memory_format=torch.channels_last)
        share = config.batch_size // world_size
        self.images = torch.randn(share, 3, SIDE, SIDE).to(memory_format=torch.channels_last)
        self.labels = torch.randint(CLASSES, (share,))
        self.module: nn.Module = network
        if world_size > 1:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", FutureWarning)
                self.module = DistributedDataParallel(network, broadcast_buffers=False, gradient_as_bucket_view=True)
        chosen = config.optimizer
        self.optimizer = torch.optim.SGD(
            network.parameters(),
            lr=1e-3,
            momentum=chosen.momentum,
            nesterov=chosen.nesterov,
            weight_decay=chosen.weight_decay,
        )

    def run(self, steps: int) -> float:
        """Images per second of all ranks."""
        deterministic = torch.are_deterministic_algorithms_enabled()
        torch.use_deterministic_algorithms(False)
        if self.world_size > 1:
            dist.barrier()
        began = time.perf_counter()
        for _ in range(steps):
            with autocast(self.precision, self.images.device):
                logits = self.module(self.images)
            loss = F.cross_entropy(logits.float(), self.labels)
            self.optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimizer.step()
        seconds = torch.tensor(time.perf_counter() - began)
        if self.world_size > 1:
            dist.all_reduce(seconds, dist.ReduceOp.MAX)
        torch.use_deterministic_algorithms(deterministic)
        return steps * self.config.batch_size / seconds.item()


class BesideBareLoopGroup(WorkerGroup):
    """A worker group whose workers train with `BesideBareLoop`."""

    def _fit(self, *arguments: Any) -> None:
        train_run._serve = serve_beside_bare_loop
        super()._fit(*arguments)


def serve_beside_bare_loop(settings: dict[str, Any]) -> None:
    worker.Training = BesideBareLoop  # type: ignore[attr-defined]
    worker.serve(settings)


def in_a_study(folder: Path, base: TrainConfig, workers: int, threads: int) -> tuple[list[float], list[float]]:
    """Images/s of each turn of a study of one trial: cifarray's, and the bare loop's."""
    name = f"beside-{uuid.uuid4().hex[:6]}"
    study = Study(
        name=name,
        space=SearchSpace(name, base),
        num_trials=1,
        storage=str(folder),
        tracking_uri=f"sqlite:///{folder}/mlflow.db",
        workers=workers,
        cpus_per_worker=float(threads),
        gpus_per_worker=0.0,
    )
    view = Quiet()
    result = run_study(study, view, host=BesideBareLoopGroup)
    epochs = result.state.trials[0].epochs
    if len(epochs) < base.epochs:
        raise RuntimeError(result.state.trials[0].message)
    own = [metrics["images_per_second"] for metrics in epochs]
    return own, [metrics["bare_images_per_second"] for metrics in epochs]


# Against Lightning.


class PilImages(Dataset[tuple[Tensor, int]]):
    """As torchvision's CIFAR10: an array in memory, one PIL image made of a row at a time."""

    def __init__(self, images: np.ndarray, labels: list[int], transform: Callable[[Any], Tensor]) -> None:
        self.images, self.labels, self.transform = images, labels, transform

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        from PIL import Image

        return self.transform(Image.fromarray(self.images[index])), self.labels[index]


def beside_lightning(config: TrainConfig, threads: int, loader_workers: int, turns: int) -> dict[str, list[float]]:
    """Images/s of each turn: cifarray's Training, Lightning at its defaults, Lightning in bf16 and channels_last."""
    torch.set_num_threads(threads)
    training = Training(config, torch.device("cpu"))
    rows = training.train_rows
    store = open_store(config.data.source, "train", config.data.image_size)
    pixels, labels = store.images[rows].numpy(), store.labels[rows].tolist()

    def lightning(tuned: bool) -> float:
        return lightning_epoch(config, pixels, labels, store.mean, store.std, loader_workers, tuned)

    found: dict[str, list[float]] = {"cifarray": [], "default": [], "tuned": []}
    for _ in range(turns):
        found["cifarray"].append(training.run_epoch()["images_per_second"])
        torch.use_deterministic_algorithms(False)
        found["default"].append(lightning(tuned=False))
        found["tuned"].append(lightning(tuned=True))
        torch.use_deterministic_algorithms(config.deterministic)
    return found


def lightning_epoch(
    config: TrainConfig,
    pixels: np.ndarray,
    labels: list[int],
    mean: tuple[float, ...],
    std: tuple[float, ...],
    loader_workers: int,
    tuned: bool,
) -> float:
    """Images/s of one epoch of Lightning's Trainer from the end of its first batch to the end of its last."""
    import lightning
    from torchvision import transforms

    for name in ("lightning.pytorch", "lightning.fabric", "lightning"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.simplefilter("ignore")
    layout = torch.channels_last if tuned else torch.contiguous_format

    class Module(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.network = build(config.model.name, CLASSES, **config.model.options).to(memory_format=layout)
            self.ends: list[float] = []

        def training_step(self, batch: list[Tensor], index: int) -> Tensor:
            images, labels = batch
            if tuned:
                images = images.to(memory_format=layout)
            loss = F.cross_entropy(self.network(images), labels, label_smoothing=config.label_smoothing)
            self.log("train_loss", loss)
            return loss

        def on_train_batch_end(self, outputs: Any, batch: Any, index: int) -> None:
            self.ends.append(time.perf_counter())

        def configure_optimizers(self) -> torch.optim.Optimizer:
            chosen = config.optimizer
            return torch.optim.SGD(
                self.parameters(),
                lr=1e-3,
                momentum=chosen.momentum,
                nesterov=chosen.nesterov,
                weight_decay=chosen.weight_decay,
            )

    transform = transforms.Compose(
        [
            transforms.RandomCrop(SIDE, padding=4),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize(mean, std),
        ]
    )
    loader = DataLoader(
        PilImages(pixels, labels, transform),
        config.batch_size,
        shuffle=True,
        drop_last=True,
        num_workers=loader_workers,
    )
    module = Module()
    lightning.Trainer(
        accelerator="cpu",
        devices=1,
        max_epochs=1,
        precision="bf16-mixed" if tuned else "32-true",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    ).fit(module, loader)
    return (len(module.ends) - 1) * config.batch_size / (module.ends[-1] - module.ends[0])


def main() -> None:
    parser = argparse.ArgumentParser(description="Images/s of cifarray against a bare loop and against Lightning.")
    parser.add_argument("--networks", nargs="+", default=["16-1", "16-4"], metavar="D-K", help="WRN depth and width")
    parser.add_argument("--steps", type=int, default=24, help="batches of 128 images in a turn")
    parser.add_argument("--turns", type=int, default=5, help="turns of each side, the first of which is not counted")
    parser.add_argument("--threads", type=int, default=2, help="of each side in all")
    parser.add_argument("--loader-workers", type=int, nargs="+", default=[0, 2], help="of Lightning's DataLoader")
    parser.add_argument("--data", help="source of the images (default: synthetic)")
    parser.add_argument("--only", choices=("bare", "lightning", "augmentations"), help="one of the three comparisons")
    flags = parser.parse_args()

    rows: list[tuple[str, ...]] = []
    with tempfile.TemporaryDirectory() as folder:
        data_in(folder)
        images = 128 * flags.steps
        # A few images are held out so that the evaluation, which is not measured here, is short.
        source = storage.absolute(flags.data) if flags.data else f"synthetic:{images + 500}"
        data = {"data.source": source, "data.validation": 500, "data.limit": images}
        bases = {}
        for network in flags.networks:
            depth, widen_factor = (int(number) for number in network.split("-"))
            model = {"model.depth": depth, "model.widen_factor": widen_factor}
            settings = {"epochs": flags.turns, "batch_size": 128, "optimizer.lr": 1e-3, "checkpoint_every": flags.turns}
            bases[f"WRN-{network}"] = override(TrainConfig(), {**model, **data, **settings})
            open_store(source, "train")
        if flags.only in (None, "lightning"):
            for title, base in bases.items():
                for loader_workers in flags.loader_workers:
                    with fresh_processes(1) as process:
                        found = process.submit(
                            beside_lightning, base, flags.threads, loader_workers, flags.turns
                        ).result()
                    rows += lightning_rows(title, loader_workers, found)
        if flags.only in (None, "bare"):
            with connected(num_cpus=flags.threads):
                for title, base in bases.items():
                    for workers in (1, 2):
                        threads = flags.threads // workers
                        own, bare = in_a_study(Path(folder), override(base, CUTOUT), workers, threads)
                        case = f"{title}, {workers} × {threads} threads: cifarray over the bare loop"
                        rows.append(compared(case, own, bare, OVER_BARE))
        if rows:
            print_table(("images/s, medians", "cifarray", "other", "ratio", "target"), rows)
        if flags.only in (None, "augmentations"):
            print_table(
                augmentations.HEAD, augmentations.compare(override(TrainConfig(), data), flags.turns, flags.threads)
            )


def lightning_rows(title: str, loader_workers: int, found: dict[str, list[float]]) -> list[tuple[str, ...]]:
    loader = f"{loader_workers} loader workers"
    return [
        compared(f"{title}: cifarray over Lightning, {loader}", found["cifarray"], found["default"], OVER_LIGHTNING),
        compared(
            f"{title}: cifarray over Lightning bf16 channels_last, {loader}",
            found["cifarray"],
            found["tuned"],
            OVER_TUNED_LIGHTNING,
        ),
    ]


if __name__ == "__main__":
    # Under its own name, so that the workers import what is defined here and need not get it pickled.
    from tests.benchmarks import throughput

    throughput.main()

"""Images per second of training with one more augmentation over those without it.

Claim, on a CPU: of what WRN-16-1, the smallest network, trains at with pad-crop, flip and cutout, at least 0.9 is left
with any other augmentation and with mixup or CutMix; only the policies, which torchvision applies image by image, cost
more. On a larger network all of it costs less.

Every pair are two `Training`s in this process, one epoch each by turns, the first turn of which warms up and is not
counted. The ratio is the median of the turns' ratios, so that a machine that is busy for a while does not matter.
Not here: cifarray against a bare loop and against Lightning (`throughput`).

    python -m tests.benchmarks.augmentations                     # about 4 minutes on two idle cores
    python -m tests.benchmarks.augmentations --steps 8 --turns 3
"""

import argparse
import tempfile
from typing import Any

import torch

from cifarray import storage
from cifarray.config import TrainConfig, override
from cifarray.training.loop import Training
from tests.benchmarks.setting import compared, data_in, print_table

LEFT = 0.9
HEAD = ("images/s, medians", "with", "without", "ratio", "target")

CUTOUT = {"data.cutout": 16}
"""Beside pad-crop and flip, which are on by default: what is without."""

JITTER, NOISE = {"data.color_jitter": 0.4}, {"data.pca_noise": 0.1}
RESIZED: dict[str, Any] = {"data.crop": "resized"}
ADDED: dict[str, tuple[dict[str, Any], float | None]] = {
    "resized crop": (RESIZED, LEFT),
    "color jitter 0.4": (JITTER, LEFT),
    "PCA noise 0.1": (NOISE, LEFT),
    "TrivialAugment": ({"data.policy": "trivial_augment"}, None),
    "RandAugment": ({"data.policy": "rand_augment"}, None),
    "resized crop, color jitter, PCA noise": ({**RESIZED, **JITTER, **NOISE}, LEFT),
    "all of these, TrivialAugment": ({**RESIZED, **JITTER, **NOISE, "data.policy": "trivial_augment"}, None),
    "mixup 0.2": ({"mixup": 0.2}, LEFT),
    "CutMix 1.0": ({"cutmix": 1.0}, LEFT),
}
"""What is added, and the ratio that is claimed."""


def compare(base: TrainConfig, turns: int, threads: int) -> list[tuple[str, ...]]:
    """A row of the table for each augmentation; `base` says which network and images."""
    torch.set_num_threads(threads)
    settings = {"epochs": turns, "checkpoint_every": turns, "optimizer.lr": 1e-3, "data.validation": 0}
    config = override(base, {**settings, **CUTOUT})
    rows = []
    for title, (added, target) in ADDED.items():
        adorned, bare = (Training(override(config, fields), torch.device("cpu")) for fields in (added, {}))
        own, other = [], []
        for _ in range(turns):
            own.append(adorned.run_epoch()["images_per_second"])
            other.append(bare.run_epoch()["images_per_second"])
        rows.append(compared(title, own, other, target))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description="What each augmentation costs of the images/s of WRN-16-1.")
    parser.add_argument("--steps", type=int, default=24, help="batches of 128 images in a turn")
    parser.add_argument("--turns", type=int, default=7, help="turns of each side, the first of which is not counted")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--data", help="source of the images (default: synthetic)")
    flags = parser.parse_args()
    images = 128 * flags.steps
    with tempfile.TemporaryDirectory() as folder:
        data_in(folder)
        source = storage.absolute(flags.data) if flags.data else f"synthetic:{images}"
        base = override(TrainConfig(), {"data.source": source, "data.limit": images})
        rows = compare(base, flags.turns, flags.threads)
    print_table(HEAD, rows)


if __name__ == "__main__":
    main()

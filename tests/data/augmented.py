"""Random images, statistics like CIFAR-10's, an augmentation in one call, a distance of distributions.

Not here: any test.
"""

import torch
from torch import Tensor

from cifarray.config import DataConfig
from cifarray.data import Augmentation

MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
COVARIANCE = ((0.0610, 0.0560, 0.0523), (0.0560, 0.0593, 0.0591), (0.0523, 0.0591, 0.0684))
PLAIN = DataConfig(crop_padding=0, flip=False)


def plain(**fields: object) -> DataConfig:
    """Neither crop nor flip, only `fields`."""
    return DataConfig(**{**PLAIN.model_dump(), **fields})


def random_images(count: int, side: int = 32) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, side, side, 3), dtype=torch.uint8, generator=generator)


def augment(config: DataConfig, images: Tensor, rows: Tensor, seed: int = 0, epoch: int = 0) -> Tensor:
    return Augmentation(config, MEAN, STD, COVARIANCE)(images, rows, seed=seed, epoch=epoch)


def as_pixels(batch: Tensor) -> Tensor:
    """(B, 3, H, W) normalised to (B, H, W, 3) in 0..255."""
    pixels = batch.double().permute(0, 2, 3, 1) * torch.tensor(STD).double() + torch.tensor(MEAN).double()
    return pixels * 255


def distance(sample: Tensor, other: Tensor) -> float:
    """The statistic of Kolmogorov and Smirnov: the largest difference of the two distributions, in 0..1.

    Of samples of n from the same one it is above 1.95 · √(2 / n) once in a thousand times.
    """
    sample, other = sample.double().sort().values, other.double().sort().values
    at = torch.cat([sample, other])
    shares = [torch.searchsorted(values, at, right=True) / len(values) for values in (sample, other)]
    return (shares[0] - shares[1]).abs().max().item()


def evenly(low: float, high: float, count: int = 20_000) -> Tensor:
    """What numbers from U(low, high) are like."""
    return torch.linspace(low, high, count, dtype=torch.float64)

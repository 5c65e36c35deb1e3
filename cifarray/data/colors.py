"""Random changes of an image's colours, a batch at a time on any device: jitter in HSV, noise along their
principal components.

Pixels are 0..255, and float32 afterwards, so that nothing is rounded in between.
Not here: when it is done (`augment`), the covariance itself (`store`).
"""

from functools import lru_cache

import torch
from torch import Tensor

from cifarray.data.draws import uniform

Channels = tuple[float, float, float]
Covariance = tuple[Channels, Channels, Channels]

_TINY = 1e-6
"""Divided by where there is no chroma, or no light: what is divided is 0 then."""


def jitter_colors(pixels: Tensor, draws: Tensor, strength: float) -> Tensor:
    """(B, H, W, 3), whose hue, saturation and value are each multiplied by its own U(1 − strength, 1 + strength).

    "Scale hue, saturation, and brightness with coefficients uniformly drawn from [0.6, 1.4]" (He et al. 2019,
    arXiv:1812.01187, §2.1), word for word; hue is taken modulo 1, the others are cut off at 1. `draws` is (B, 3).
    """
    by_hue, by_saturation, by_value = uniform(draws, 1 - strength, 1 + strength).float()[:, :, None].unbind(1)
    # Planes of one channel, changed in place: steps of three numbers and fresh memory take several times as long.
    planes = pixels.permute(3, 0, 1, 2).to(torch.float32, memory_format=torch.contiguous_format, copy=True).flatten(2)
    value, chroma = planes.amax(0), planes.amin(0)
    planes -= chroma
    chroma.neg_().add_(value)
    red, green, blue = planes.div_(chroma.clamp(min=_TINY))
    # Between 0 and 1 now, a hue is 1 - red + green + blue sixths of the circle away from red, through green or blue:
    # one of the three channels is 1, and another one 0. What grey has for a hue does not matter.
    towards_green = green - blue
    from_cyan = red.add_(2).sub_(green).sub_(blue).copysign_(towards_green)
    hue = from_cyan.neg_().add_(3).mul_(by_hue / 6).frac_().mul_(6)
    chroma.div_(value.clamp(min=_TINY)).mul_(by_saturation).clamp_(max=1)
    value.mul_(by_value).clamp_(max=255)
    chroma.mul_(value)
    # And back: how far a channel is below the highest, in units of the chroma.
    below = (hue - _middles(hue.device)).abs_().sub_(1)
    below[0].neg_().add_(1)
    changed = below.clamp_(0, 1).mul_(chroma).neg_().add_(value)
    return changed.view(3, *pixels.shape[:3]).permute(1, 2, 3, 0).contiguous()


@lru_cache(maxsize=16)
def _middles(device: torch.device) -> Tensor:
    """(3, 1, 1) float32: around which hue each channel is lowest (red) or highest; kept, since each copy to a GPU waits
    for it."""
    return torch.tensor([3.0, 2.0, 4.0])[:, None, None].to(device)


def add_pca_noise(pixels: Tensor, draws: Tensor, covariance: Covariance, deviation: float) -> Tensor:
    """(B, H, W, 3) plus Σ αᵢ λᵢ pᵢ, one sum for all pixels of an image, αᵢ from N(0, deviation). `draws` is (B, 3).

    λᵢ and pᵢ are the eigenvalues and eigenvectors of the pixels' covariance in 0..1 units (Krizhevsky et al. 2012,
    §4.1). Nothing is cut off at 0 or 1, as in fb.resnet.torch.
    """
    alphas = torch.special.ndtri(uniform(draws, 0, 1)) * deviation
    shifts = (alphas[:, None, :] * _axes(covariance, pixels.device)).sum(2) * 255
    count, height, width, channels = pixels.shape
    # Whole lines: broadcasting over an inner dimension of 3 takes many times as long.
    lines = pixels.reshape(count, height, width * channels) + shifts.float().repeat(1, width)[:, None, :]
    return lines.view(count, height, width, channels)


@lru_cache(maxsize=16)
def _axes(covariance: Covariance, device: torch.device) -> Tensor:
    """(3, 3) float64, whose column i is λᵢ pᵢ, each turned so that its largest number is positive."""
    values, vectors = torch.linalg.eigh(torch.tensor(covariance, dtype=torch.float64))
    signs = vectors.gather(0, vectors.abs().argmax(0, keepdim=True)).sign()
    # The variances, not their roots: fb.resnet.torch's λ of ImageNet, 0.2175, 0.0188 and 0.0045, add up to 0.24, as the
    # variances of its channels do (0.281² + 0.274² + 0.288², pytorch/vision#1439).
    return (vectors * signs * values).to(device)

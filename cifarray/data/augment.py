"""From uint8 images to what a network is fed, a batch at a time on any device: crop and flip, a policy, colours,
normalise, cutout, in this order.

Every sample's draw is a function of (seed, epoch, row), so neither the batch it is in nor the device matters; each
operation has draws of its own, so that one more leaves the others as they were.
Not here: the operations themselves (`crops`, `policies`, `colors`), reading images (`store`), mixing images with each
other (`cifarray.training`).
"""

from functools import lru_cache

import torch
from torch import Tensor

from cifarray.config import DataConfig
from cifarray.data.colors import Channels, Covariance, add_pca_noise, jitter_colors
from cifarray.data.crops import BOX_DRAWS, flipped, padded_crop, random_boxes, resized_crop
from cifarray.data.draws import Drawn, below
from cifarray.data.policies import Policy


class Augmentation:
    """What the config turns off is left out; a padded crop and a flip are taken of the uint8 pixels.

    Zero padding is black, not the mean: as in torchvision's RandomCrop before Normalize, which the field's recipes use.
    """

    def __init__(
        self,
        config: DataConfig,
        mean: Channels,
        std: Channels,
        covariance: Covariance,
        num_rows: int | None = None,
    ) -> None:
        """`mean`, `std` and `covariance` are those of the store; `num_rows` as in `Drawn`."""
        self.config, self.mean, self.std, self.covariance = config, mean, std, covariance
        self.places = Drawn("augment", 5, num_rows)
        self.boxes = Drawn("resized crop", BOX_DRAWS, num_rows)
        self.operations = Drawn("policy", 1, num_rows)
        self.jitter = Drawn("color jitter", 3, num_rows)
        self.noise = Drawn("pca noise", 3, num_rows)
        self.policy = None if config.policy == "none" else Policy(config.policy)

    def begin_epoch(self, seed: int, epoch: int) -> None:
        """As `Drawn.begin_epoch`."""
        for drawn in (self.places, self.boxes, self.operations, self.jitter, self.noise):
            drawn.begin_epoch(seed, epoch)

    def __call__(self, images: Tensor, rows: Tensor, *, seed: int, epoch: int) -> Tensor:
        """(B, H, H, 3) uint8 and their row numbers (B,) to (B, 3, S, S) float32 in channels_last memory.

        S is `crop_size`, or H. `rows` is moved to the device of `images`. Raises ValueError if reflection padding is
        wider than the image.
        """
        config = self.config
        rows = rows.to(images.device, non_blocking=True)
        top, left, flip, blank_y, blank_x = self.places(seed, epoch, rows).unbind(1)
        if config.crop == "resized":
            size = images.shape[1]
            boxes = random_boxes(self.boxes(seed, epoch, rows), size, config.crop_area, config.crop_ratio)
            pixels = resized_crop(images, boxes, flipped(flip) & config.flip, config.crop_size or size)
        else:
            pixels = padded_crop(images, top, left, flip, config)
        if self.policy is not None:
            whole = pixels if pixels.dtype == torch.uint8 else pixels.round_().to(torch.uint8)
            pixels = self.policy(whole, self.operations(seed, epoch, rows)[:, 0])
        if config.color_jitter:
            pixels = jitter_colors(pixels, self.jitter(seed, epoch, rows), config.color_jitter)
        if config.pca_noise:
            pixels = add_pca_noise(pixels, self.noise(seed, epoch, rows), self.covariance, config.pca_noise)
        batch = normalise(pixels, self.mean, self.std)
        if config.cutout:
            cutout(batch, blank_y, blank_x, config.cutout)
        return batch


def augments_on(config: DataConfig, device: torch.device) -> torch.device:
    """Where images for `device` are augmented. Pillow's operations are the CPU's: with a policy all is done there, for
    the next batch while a GPU is at work on the last one, instead of waiting for it."""
    return device if config.policy == "none" else torch.device("cpu")


def normalise(images: Tensor, mean: Channels, std: Channels) -> Tensor:
    """(B, H, W, 3) uint8 or float32, both in 0..255, to (B, 3, H, W) float32 in channels_last memory.

    (image / 255 - mean) / std.
    """
    scale, shift = _scale_and_shift(mean, std, images.shape[1:], images.device)
    return images.to(torch.float32, copy=True).mul_(scale).add_(shift).permute(0, 3, 1, 2)


def cutout(batch: Tensor, center_y: Tensor, center_x: Tensor, side: int) -> None:
    """Blanks a square in each image of `batch` in place; the centres (B,) are draws in [0, 2**32).

    `batch` is (B, 3, H, W) in channels_last memory, as `normalise` returns it. The centre is any pixel, so that the
    square may reach over the border (arXiv:1708.04552, §3.2); 0 is the mean of normalised data.
    """
    height, width = batch.shape[2:]
    rows, columns = _span(below(center_y, height), height, side), _span(below(center_x, width), width, side)
    # Pixels side by side: a mask that is broadcast over an inner dimension of 3 takes many times as long.
    lines = batch.permute(0, 2, 3, 1).view(len(batch), height, width * 3)
    lines.masked_fill_(rows[:, :, None] & columns.repeat_interleave(3, 1)[:, None, :], 0.0)


def _span(center: Tensor, size: int, side: int) -> Tensor:
    """(B, size) bool: the `side` positions around each centre, those outside of the image cut off."""
    offset = torch.arange(size, device=center.device) - center[:, None] + side // 2
    return (offset >= 0) & (offset < side)


@lru_cache(maxsize=16)
def _scale_and_shift(mean: Channels, std: Channels, shape: torch.Size, device: torch.device) -> tuple[Tensor, Tensor]:
    """Tensors of the whole image's shape: broadcasting over an inner dimension of 3 takes six times as long."""
    means, stds = torch.tensor(mean, dtype=torch.float64), torch.tensor(std, dtype=torch.float64)
    scale, shift = 1 / (255 * stds), -means / stds
    return scale.float().expand(shape).contiguous().to(device), shift.float().expand(shape).contiguous().to(device)

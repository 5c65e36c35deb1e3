"""From uint8 images to what a network is fed: random crop, flip, normalise, cutout, a batch at a time on any device.

Every sample's draw is a function of (seed, epoch, row), so neither the batch it is in nor the device matters.
Not here: reading images (`store`), mixing images with each other (`cifarray.training`).
"""

from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from cifarray.config import DataConfig
from cifarray.data.draws import below, draw

Channels = tuple[float, float, float]


class Augmentation:
    """Pad and crop, flip, normalise, cutout; what the config turns off is left out.

    Zero padding is black, not the mean: as in torchvision's RandomCrop before Normalize, which the field's recipes use.
    """

    def __init__(self, config: DataConfig, mean: Channels, std: Channels) -> None:
        self.config = config
        self.mean = mean
        self.std = std

    def __call__(self, images: Tensor, rows: Tensor, *, seed: int, epoch: int) -> Tensor:
        """(B, H, W, 3) uint8 and their row numbers (B,) to (B, 3, H, W) float32 in channels_last memory.

        `rows` is moved to the device of `images`. Raises ValueError if reflection padding is wider than the image.
        """
        rows = rows.to(images.device, non_blocking=True)
        top, left, flip, blank_y, blank_x = draw("augment", seed, epoch, rows, 5).unbind(1)
        pixels = self._crop_and_flip(images, top, left, flip)
        batch = normalise(pixels, self.mean, self.std)
        if self.config.cutout:
            cutout(batch, blank_y, blank_x, self.config.cutout)
        return batch

    def _crop_and_flip(self, images: Tensor, top: Tensor, left: Tensor, flip: Tensor) -> Tensor:
        """One gather of whole pixels does both, in half the time of one after the other."""
        padding = self.config.crop_padding
        if not padding and not self.config.flip:
            return images
        _, height, width, channels = images.shape
        if self.config.padding_mode == "reflect" and padding >= min(height, width):
            raise ValueError(
                f"data.crop_padding {padding} cannot be reflected in an image of {height} × {width} pixels: "
                f"choose at most {min(height, width) - 1}, or data.padding_mode zero"
            )
        y = torch.arange(height, device=images.device) + below(top, 2 * padding + 1)[:, None]
        x = torch.arange(width, device=images.device).expand(len(images), width)
        if self.config.flip:
            x = torch.where(below(flip, 2)[:, None] == 1, x.flip(1), x)
        x = x + below(left, 2 * padding + 1)[:, None]
        if padding and self.config.padding_mode == "reflect":
            y, x = _reflect(y - padding, height), _reflect(x - padding, width)
        elif padding:
            images = F.pad(images, (0, 0, padding, padding, padding, padding))
        count, padded_height, padded_width, _ = images.shape
        first = torch.arange(count, device=images.device)[:, None] * padded_height
        pixel = (first + y)[:, :, None] * padded_width + x[:, None, :]
        return images.reshape(-1, channels).index_select(0, pixel.flatten()).view(count, height, width, channels)


def normalise(images: Tensor, mean: Channels, std: Channels) -> Tensor:
    """(B, H, W, 3) uint8 to (B, 3, H, W) float32 in channels_last memory: (image / 255 - mean) / std."""
    scale, shift = _scale_and_shift(mean, std, images.shape[1:], images.device)
    return images.float().mul_(scale).add_(shift).permute(0, 3, 1, 2)


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


def _reflect(position: Tensor, size: int) -> Tensor:
    return (size - 1) - ((size - 1) - position.abs()).abs()


@lru_cache(maxsize=16)
def _scale_and_shift(mean: Channels, std: Channels, shape: torch.Size, device: torch.device) -> tuple[Tensor, Tensor]:
    """Tensors of the whole image's shape: broadcasting over an inner dimension of 3 takes six times as long."""
    means, stds = torch.tensor(mean, dtype=torch.float64), torch.tensor(std, dtype=torch.float64)
    scale, shift = 1 / (255 * stds), -means / stds
    return scale.float().expand(shape).contiguous().to(device), shift.float().expand(shape).contiguous().to(device)

"""Which part of an image the network sees: a random crop of the padded image, a random rectangle resized, or, in
evaluation, the centre. A batch at a time, on any device.

Not here: when a crop is drawn and what follows it (`augment`); the resizing of a source's images (`images`).
"""

import math
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from cifarray.config import DataConfig
from cifarray.data.draws import below, uniform

_TRIES = 10
"""As in torchvision's RandomResizedCrop."""

BOX_DRAWS = 2 * _TRIES + 2
"""Columns of draws that `random_boxes` takes."""


def padded_crop(images: Tensor, top: Tensor, left: Tensor, flip: Tensor, config: DataConfig) -> Tensor:
    """(B, H, W, 3) uint8 to (B, S, S, 3) uint8: a random crop of the padded image, flipped or not; draws (B,).

    One gather of whole pixels does both, in half the time of one after the other. Raises ValueError if reflection
    padding is wider than the image.
    """
    padding = config.crop_padding
    count, height, width, channels = images.shape
    new_height, new_width = (config.crop_size or side for side in (height, width))
    if not padding and not config.flip and (new_height, new_width) == (height, width):
        return images
    if config.padding_mode == "reflect" and padding >= min(height, width):
        raise ValueError(
            f"data.crop_padding {padding} cannot be reflected in an image of {height} × {width} pixels: "
            f"choose at most {min(height, width) - 1}, or data.padding_mode zero"
        )
    y = torch.arange(new_height, device=images.device) + below(top, height + 2 * padding - new_height + 1)[:, None]
    x = torch.arange(new_width, device=images.device).expand(count, new_width)
    if config.flip:
        x = torch.where(flipped(flip)[:, None], x.flip(1), x)
    x = x + below(left, width + 2 * padding - new_width + 1)[:, None]
    if padding and config.padding_mode == "reflect":
        y, x = _reflect(y - padding, height), _reflect(x - padding, width)
    elif padding:
        images = F.pad(images, (0, 0, padding, padding, padding, padding))
    _, padded_height, padded_width, _ = images.shape
    first = torch.arange(count, device=images.device)[:, None] * padded_height
    pixel = (first + y)[:, :, None] * padded_width + x[:, None, :]
    return images.reshape(-1, channels).index_select(0, pixel.flatten()).view(count, new_height, new_width, channels)


def flipped(draws: Tensor) -> Tensor:
    """(B,) bool, half of them true."""
    return below(draws, 2) == 1


def random_boxes(draws: Tensor, size: int, area: tuple[float, float], ratio: tuple[float, float]) -> Tensor:
    """Top, left, height, width (B, 4) int64 of random rectangles in images of `size` × `size` pixels.

    As torchvision's RandomResizedCrop draws them: share of the area and logarithm of width over height uniform, the
    first of ten tries that fits into the image, else the largest rectangle in the middle whose ratio is allowed.
    `draws` is (B, BOX_DRAWS).
    """
    areas = uniform(draws[:, :_TRIES], *area) * size**2
    ratios = uniform(draws[:, _TRIES : 2 * _TRIES], *(math.log(end) for end in ratio)).exp()
    sides = torch.stack([(areas / ratios).sqrt(), (areas * ratios).sqrt()], dim=2).round().long()
    fits = ((sides > 0) & (sides <= size)).all(2)
    # Of several largest values argmax gives the first.
    chosen = sides[torch.arange(len(sides), device=sides.device), fits.int().argmax(1)]
    sides = torch.where(fits.any(1)[:, None], chosen, _middle(size, ratio, sides.device))
    free = size - sides
    corners = torch.where(fits.any(1)[:, None], below(draws[:, 2 * _TRIES :], free + 1), free // 2)
    return torch.cat([corners, sides], dim=1)


@lru_cache(maxsize=16)
def _middle(size: int, ratio: tuple[float, float], device: torch.device) -> Tensor:
    """Height and width (2,) int64; kept, since each copy to a GPU waits for it."""
    return torch.tensor([max(1, round(size / max(ratio[0], 1))), max(1, round(size * min(ratio[1], 1)))]).to(device)


def resized_crop(images: Tensor, boxes: Tensor, mirrored: Tensor, side: int) -> Tensor:
    """The boxes (B, 4) of (B, H, W, 3) uint8 images as (B, side, side, 3) float32 in 0..255, some of them mirrored.

    Bilinear and antialiased, as torchvision's resized_crop of a float tensor. Each pixel is a weighted sum along each
    axis, so that boxes of different sizes are one batch: two products with a matrix for each image.
    """
    count, height, width, channels = images.shape
    top, left, box_height, box_width = boxes.unbind(1)
    index = torch.arange(side, device=images.device).expand(count, side)
    columns = _shares(left, box_width, width, torch.where(mirrored[:, None], index.flip(1), index))
    lines = _shares(top, box_height, height, index)
    pixels = images.transpose(2, 3).to(torch.float32, memory_format=torch.contiguous_format)
    pixels = torch.bmm(pixels.view(count, height * channels, width), columns.transpose(1, 2))
    pixels = torch.bmm(lines, pixels.view(count, height, channels * side))
    return pixels.view(count, side, channels, side).transpose(2, 3).contiguous()


def center_view(images: Tensor, side: int) -> Tensor:
    """What is evaluated of (B, H, H, 3) uint8 images larger than `side`: (B, side, side, 3) float32 in 0..255.

    Resized to 256/224 of `side`, never up, and the centre cropped (He et al. 2019, arXiv:1812.01187, §2.1).
    """
    resized = min(round(side * 256 / 224), images.shape[1])
    pixels = images.permute(0, 3, 1, 2).float()
    if resized < images.shape[1]:
        pixels = F.interpolate(pixels, size=(resized, resized), mode="bilinear", antialias=True)
    start = round((resized - side) / 2)
    return pixels.permute(0, 2, 3, 1)[:, start : start + side, start : start + side].contiguous()


def _shares(start: Tensor, length: Tensor, size: int, index: Tensor) -> Tensor:
    """(B, side, size): the share of each of `size` pixels in pixel `index` (B, side) of the resized stretch.

    A triangle around the pixel's centre, a pixel wide, or as wide as the pixels that become one, cut off at the ends
    of the stretch (B,) that is resized.
    """
    scale = (length / index.shape[1])[:, None, None]
    position = torch.arange(size, device=index.device) - start[:, None]
    inside = (position >= 0) & (position < length[:, None])
    distance = (position + 0.5)[:, None, :] - (index + 0.5)[:, :, None] * scale
    shares = distance.abs_().div_(-scale.clamp(min=1)).add_(1).clamp_(min=0).mul_(inside[:, None, :])
    return shares.div_(shares.sum(2, keepdim=True))


def _reflect(position: Tensor, size: int) -> Tensor:
    return (size - 1) - ((size - 1) - position.abs()).abs()

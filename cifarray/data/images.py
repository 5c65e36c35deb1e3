"""Decoded images, and the way from an image file's bytes to the uint8 square that is stored.

Not here: where the bytes come from (`parquet`, `folders`, `download`) and how the result is kept (`store`).
"""

import io
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from cifarray.data.errors import DataError


@dataclass(frozen=True)
class Split:
    """`images` (N, side, side, 3) uint8, `labels` (N,) int64."""

    images: Tensor
    labels: Tensor


@dataclass(frozen=True)
class Dataset:
    """What a source holds, wholly in memory: it is read once and then stored."""

    classes: tuple[str, ...]
    train: Split
    test: Split | None


def decode(data: bytes, where: str) -> Image.Image:
    """The bytes of an image file as an RGB image. Raises DataError with `where` if they are no whole image."""
    try:
        return Image.open(io.BytesIO(data)).convert("RGB")
    except Exception as error:  # Pillow's readers raise OSError, SyntaxError, struct.error and more on damaged files
        reason = "no image format that Pillow knows" if isinstance(error, UnidentifiedImageError) else error
        raise DataError(f"{where} is not a readable image ({reason}): remove it or copy it again") from error


def stack(images: Iterable[Image.Image], count: int, side: int) -> Tensor:
    """RGB images as (count, side, side, 3) uint8: the centre square of each, resized if need be (antialiased).

    They are taken one at a time, so that only the result is in memory.
    """
    stacked = torch.empty(count, side, side, 3, dtype=torch.uint8)
    for index, image in enumerate(images):
        if image.size != (side, side):
            edge = min(image.size)
            left, top = (image.width - edge) // 2, (image.height - edge) // 2
            square = image.crop((left, top, left + edge, top + edge))
            image = square.resize((side, side), Image.Resampling.BILINEAR)
        # A copy of the bytes, since torch wants writable memory.
        stacked[index] = torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8).view(side, side, 3)
    return stacked

"""Decoded images, and the way from an image file's bytes to the uint8 square that is stored.

A picture is what a viewer shows of it: upright, its transparent parts white, 16-bit grey scaled to 8 bits, the first
frame of an animation. What has no such meaning (floats, stacks of pages) is refused.
Only the formats in FORMATS are opened, whatever a file's name: some others of Pillow's start programs.
Not here: where the bytes come from (`parquet`, `folders`, `download`) and how the result is kept (`store`).
"""

import contextlib
import io
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from threading import Lock
from typing import BinaryIO

import psutil  # type: ignore[import-untyped]
import torch
from PIL import ExifTags, Image, ImageFile, UnidentifiedImageError
from torch import Tensor

from cifarray.data.errors import DataError

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "PPM", "TIFF")
BACKGROUND = (255, 255, 255)
"""What is seen through transparent pixels: a page."""
MAX_PIXELS = 100_000_000
MAX_PIXELS_VARIABLE = "CIFARRAY_MAX_PIXELS"
_BYTES_PER_PIXEL = 8
"""Of 16 bits and four channels without compression: no file that is needed is larger."""
_BITS_PER_SAMPLE, _PHOTOMETRIC, _WHITE_IS_ZERO = 258, 262, 0
"""Of TIFF 6.0."""
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What makes an image upright, by its orientation in EXIF 2.32."""
_pillow = Lock()


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
    no_test: str | None = None
    """Why there are test images and yet no test split, in a sentence."""
    no_names: str | None = None
    """Why the classes have numbers for names, in a sentence."""


def max_pixels() -> int:
    """`$CIFARRAY_MAX_PIXELS`, or MAX_PIXELS: of width × height in a file, before it is resized. Raises DataError."""
    chosen = os.environ.get(MAX_PIXELS_VARIABLE)
    if not chosen:
        return MAX_PIXELS
    with contextlib.suppress(ValueError):
        if (number := int(chosen)) > 0:
            return number
    raise DataError(f"{MAX_PIXELS_VARIABLE} {chosen!r} is no whole number above 0: give the pixels of an image")


def max_bytes() -> int:
    return max_pixels() * _BYTES_PER_PIXEL


def decode(data: bytes | BinaryIO, where: str) -> Image.Image:
    """An image file, or its bytes, as an RGB image. Raises DataError with `where` if it is no whole image."""
    try:
        with _without_pillows_limit():
            image = Image.open(io.BytesIO(data) if isinstance(data, bytes) else data, formats=FORMATS)
            _refuse_by_header(image, where)
            return as_shown(image, where)
    except DataError:
        raise
    except MemoryError as error:
        raise DataError(f"{where} needs more memory than there is to be decoded: make it smaller") from error
    except Exception as error:  # Pillow's readers raise OSError, SyntaxError, struct.error and more on damaged files
        reason = str(error) or type(error).__name__
        if isinstance(error, UnidentifiedImageError):
            reason = f"its content is none of {', '.join(FORMATS)}"
        raise DataError(f"{where} is not a readable image ({reason}): remove it or copy it again") from error


def as_shown(image: Image.Image, where: str) -> Image.Image:
    """An image of Pillow's as a viewer shows it, in RGB; the image itself stays as it is.

    Raises DataError with `where` for levels without a meaning, and what Pillow's readers raise.
    """
    image.load()
    orientation = _orientation(image)
    flat = _flatten(_in_eight_bits(image, where))
    return flat.transpose(_UPRIGHT[orientation]) if orientation in _UPRIGHT else flat


@contextlib.contextmanager
def _without_pillows_limit() -> Iterator[None]:
    """Ours is a setting and is checked before anything is decoded; Pillow's is one for the process, and warns."""
    with _pillow:
        before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = before


def _refuse_by_header(image: ImageFile.ImageFile, where: str) -> None:
    """Before memory is taken for pixels."""
    limit = max_pixels()
    if min(image.size) < 1:
        raise DataError(f"{where} is {image.width} × {image.height} pixels, so there is nothing to see: remove it")
    if image.width * image.height > limit:
        raise DataError(
            f"{where} is too large, {image.width} × {image.height} pixels where {limit:,} in all are allowed: "
            f"make it smaller, or set {MAX_PIXELS_VARIABLE} higher"
        )
    # Pillow compares such a level with pixels that it has scaled to 8 bits.
    depths = [tile[3] for tile in image.tile] if image.format == "PNG" and image.mode not in ("P", "1") else []
    if "transparency" in image.info and any(depth not in ("L", "RGB") for depth in depths):
        raise DataError(
            f"{where} has a transparent level and not 8 bits: save it with 8 bits, or with an alpha channel"
        )
    # The pages of a TIFF are mostly slices or scans, each a picture of its own.
    pages = getattr(image, "n_frames", 1) if image.format == "TIFF" else 1
    if pages > 1:
        raise DataError(f"{where} holds {pages} pages: save each page that is meant as a file of its own")


def _orientation(image: Image.Image) -> int:
    """How the camera was held, by EXIF or XMP; 1 is upright, which is also what cannot be read."""
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # like Pillow's readers; pictures from the web often have a broken description
        return 1


def _in_eight_bits(image: Image.Image, where: str) -> Image.Image:
    """Pillow's own conversion of deeper greys clips them to white."""
    sixteen = image.mode.startswith("I;16") or (image.mode == "I" and image.format in ("PNG", "PPM"))
    if not sixteen and image.mode in ("I", "F"):
        kind = "floats" if image.mode == "F" else "signed or of 32 bits"
        raise DataError(f"{where} has levels that are {kind}, so black and white are not known: save it with 8 bits")
    if not sixteen:
        return image
    tags = getattr(image, "tag_v2", {})
    scale, offset = 255 / (2 ** tags.get(_BITS_PER_SAMPLE, (16,))[0] - 1), 0.5
    if tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO:
        scale, offset = -scale, 255.5
    return image.convert("I").point(lambda level: level * scale + offset).convert("L")


def _flatten(image: Image.Image) -> Image.Image:
    """RGB, laid on BACKGROUND."""
    if not image.has_transparency_data:
        return image if image.mode == "RGB" else image.convert("RGB")
    layer = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", layer.size, BACKGROUND), layer).convert("RGB")


def refuse_more_than_memory(rows: int, side: int) -> None:
    """Raises DataError if so many prepared images cannot be held; asked before memory is taken."""
    needed = rows * (3 * side * side + 8)
    free = psutil.virtual_memory().available + psutil.swap_memory().free
    if needed > free:
        raise DataError(
            f"{rows:,} images of {side} × {side} pixels need {needed / 2**30:,.1f} GiB of memory to be prepared and "
            f"{free / 2**30:,.1f} GiB are free: take fewer images, or a smaller image size"
        )


def stack(images: Iterable[Image.Image], count: int, side: int) -> Tensor:
    """`count` RGB images as (count, side, side, 3) uint8: the centre square of each, resized if need be (antialiased).

    They are taken one at a time, so that only the result is in memory. Raises DataError if it has no room there.
    """
    refuse_more_than_memory(count, side)
    stacked = torch.empty(count, side, side, 3, dtype=torch.uint8)
    for index, image in enumerate(images):
        if image.size != (side, side):
            edge = min(image.size)
            left, top = (image.width - edge) // 2, (image.height - edge) // 2
            with _without_pillows_limit():
                square = image.crop((left, top, left + edge, top + edge))
            image = square.resize((side, side), Image.Resampling.BILINEAR)
        # A copy of the bytes, since torch wants writable memory.
        stacked[index] = torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8).view(side, side, 3)
    return stacked

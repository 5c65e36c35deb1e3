"""Images as people have them in Python, made what networks see: arrays, tensors, Pillow's images, image files.

Not here: decoding and resizing, which are those of the prepared data (`images`).
"""

import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from cifarray.data.errors import DataError
from cifarray.data.images import as_shown, decode, stack

WANTED = "give (H, W, 3) or (N, H, W, 3) of uint8, images of Pillow's, paths of image files, or a list of such images"


def as_images(given: Any, side: int) -> Tensor:
    """One image or many as (N, side, side, 3) uint8.

    given: a tensor or NumPy array of (H, W, 3) or (N, H, W, 3) uint8, an image of Pillow's, the path of an image file,
    or a list of any of these that are one image. Images of another size are treated as those of a data source are when
    it is prepared, and a UserWarning says so: the centre square of each is resized.
    Raises DataError for what is no image.
    """
    if _is_array(given):
        images = _uint8(given)
        if images.shape[1:] == (side, side, 3) and images.ndim == 4:
            return images
    pictures = list(_pictures(given))
    other = sorted({picture.size for picture in pictures} - {(side, side)})
    if other:
        width, height = other[0]
        more = f" and {len(other) - 1} other sizes" if len(other) > 1 else ""
        warnings.warn(
            f"images of {width} × {height} pixels{more} are cut to their centre square and resized to {side} × {side}, "
            "as the images that the network was trained on were",
            # Of who called the function that calls this one.
            stacklevel=4,
        )
    return stack(pictures, len(pictures), side)


def _pictures(given: Any) -> Iterator[Image.Image]:
    """In RGB."""
    if isinstance(given, Image.Image):
        yield as_shown(given, "the image")
    elif isinstance(given, str | os.PathLike):
        try:
            data = Path(given).expanduser().read_bytes()
        except OSError as error:
            raise DataError(f"{os.fspath(given)!r} cannot be read as an image ({error}): check the path") from error
        yield decode(data, os.fspath(given))
    elif _is_array(given):
        images = _uint8(given)
        for image in images if images.ndim == 4 else [images]:
            yield Image.fromarray(image.cpu().contiguous().numpy())
    else:
        try:
            items = list(given)
        except TypeError as error:
            raise DataError(f"an object of type {type(given).__name__} is no image: {WANTED}") from error
        for item in items:
            if not _is_array(item) and not isinstance(item, Image.Image | str | os.PathLike):
                raise DataError(f"a list that holds a {type(item).__name__} is no list of images: {WANTED}")
            if _is_array(item) and item.ndim != 3:
                raise DataError(f"a list holds an array of shape {tuple(item.shape)}: each must be an image, (H, W, 3)")
            yield from _pictures(item)


def _is_array(given: Any) -> bool:
    """A tensor or an array of NumPy's, which is not imported for this."""
    return isinstance(given, Tensor) or (hasattr(given, "__array_interface__") and hasattr(given, "dtype"))


def _uint8(given: Any) -> Tensor:
    """(H, W, 3) or (N, H, W, 3), on the device where it is."""
    shape, dtype = tuple(given.shape), str(given.dtype).removeprefix("torch.")
    if dtype != "uint8":
        raise DataError(f"images of type {dtype} have no known levels: give uint8, from 0 for black to 255")
    if len(shape) not in (3, 4) or shape[-1] != 3 or min(shape[-3:]) < 1:
        channels_first = len(shape) in (3, 4) and shape[-3] == 3
        remedy = "put the channels last, with permute or transpose" if channels_first else WANTED
        raise DataError(f"images of shape {shape} cannot be classified: {remedy}")
    # A copy, since torch takes no array that is read-only or runs backwards.
    return given if isinstance(given, Tensor) else torch.from_numpy(given.copy())

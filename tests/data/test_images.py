"""A picture is what a viewer shows of it; what has no such meaning is one sentence, before memory is taken."""

import io
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import EpsImagePlugin, Image

from cifarray.data import DataError
from cifarray.data.images import decode, refuse_more_than_memory, stack

RED, WHITE = (255, 0, 0), (255, 255, 255)


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def colour(data: bytes) -> tuple[int, ...]:
    """Of the upper left pixel."""
    pixel = decode(data, "x").getpixel((0, 0))
    assert isinstance(pixel, tuple)
    return pixel


def png_of(size: tuple[int, int], depth: int, kind: int, *chunks: tuple[bytes, bytes]) -> bytes:
    """Written by hand, for what Pillow does not write."""
    header = struct.pack(">IIBBBBB", *size, depth, kind, 0, 0, 0)
    parts = [(b"IHDR", header), *chunks, (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in parts
    )


def with_palette() -> Image.Image:
    """All of the fourth of 256 greys."""
    image = Image.new("P", (8, 8), 3)
    image.putpalette([level for grey in range(256) for level in (grey,) * 3])
    return image


def test_no_program_is_started_for_a_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow hands PostScript to Ghostscript."""
    program = tmp_path / "gs"
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/started\n")
    program.chmod(0o755)
    monkeypatch.setattr(EpsImagePlugin, "gs_binary", str(program))
    with pytest.raises(DataError, match="z.png is not a readable image .its content is none of JPEG, PNG"):
        decode(encoded(Image.new("RGB", (8, 8)), "EPS"), "z.png")
    assert not (tmp_path / "started").exists()


@pytest.mark.parametrize("kind", ["TGA", "PCX", "ICO", "SGI", "DDS"])
def test_formats_that_are_not_listed_are_not_opened(kind: str) -> None:
    with pytest.raises(DataError, match="its content is none of"):
        decode(encoded(Image.new("RGB", (16, 16)), kind), "z.png")


@pytest.mark.parametrize("kind", ["JPEG", "MPO", "PNG", "WEBP", "GIF", "BMP", "PPM", "TIFF"])
def test_content_and_not_the_name_says_the_format(kind: str) -> None:
    assert colour(encoded(Image.new("RGB", (16, 16), WHITE), kind)) == WHITE


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "PPM", "TIFF"])
def test_a_picture_that_is_cut_short_is_refused(kind: str) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (32, 32, 3), dtype=np.uint8)
    data = encoded(Image.fromarray(noise), kind)
    with pytest.raises(DataError, match=r"^x is not a readable image \(.+\): remove it or copy it again$"):
        decode(data[: len(data) // 2], "x")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize(
    ("orientation", "corner"),
    [(1, (0, 0)), (2, (1, 0)), (3, (1, 1)), (4, (0, 1)), (5, (0, 0)), (6, (1, 0)), (7, (1, 1)), (8, (0, 1))],
)
def test_a_photograph_is_upright(kind: str, orientation: int, corner: tuple[int, int]) -> None:
    """`corner` is where EXIF 2.3, table 6, has the first pixel of the first row, here red."""
    image = Image.new("RGB", (32, 16))
    image.paste(RED, (0, 0, 16, 8))
    exif = Image.Exif()
    exif[0x0112] = orientation
    upright = decode(encoded(image, kind, exif=exif), "x")
    assert upright.size == ((16, 32) if orientation > 4 else (32, 16))
    width, height = upright.size
    place = (width // 4 + corner[0] * width // 2, height // 4 + corner[1] * height // 2)
    red, green, _ = upright.getpixel(place)
    assert red > 200
    assert green < 50


def test_a_broken_description_spoils_no_picture() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert colour(encoded(Image.new("RGB", (8, 8), WHITE), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")) == WHITE


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
@pytest.mark.parametrize(("alpha", "expected"), [(0, 255), (51, 204), (255, 0)])
def test_transparent_parts_are_white(mode: str, alpha: int, expected: int) -> None:
    image = Image.new(mode, (8, 8), (0, 0, 0, alpha) if mode == "RGBA" else (0, alpha))
    assert colour(encoded(image)) == (expected,) * 3


@pytest.mark.parametrize(
    ("image", "options"),
    [
        (with_palette(), {"transparency": 3}),
        (with_palette(), {"transparency": bytes([255, 255, 255, 0])}),
        (Image.new("L", (8, 8), 7), {"transparency": 7}),
        (Image.new("RGB", (8, 8), (7, 8, 9)), {"transparency": (7, 8, 9)}),
    ],
    ids=["one colour", "a palette with alpha", "one level", "one colour of many"],
)
def test_a_colour_that_means_transparent_is_white(image: Image.Image, options: dict[str, object]) -> None:
    assert colour(encoded(image, **options)) == WHITE


def test_a_transparent_level_of_another_depth_is_refused() -> None:
    rows = zlib.compress(b"\0\x33\x33" * 4)
    data = png_of((4, 4), 4, 0, (b"tRNS", b"\0\x03"), (b"IDAT", rows))
    with pytest.raises(DataError, match="x has a transparent level and not 8 bits: save it with 8 bits"):
        decode(data, "x")


@pytest.mark.parametrize(("level", "expected"), [(0, 0), (257, 1), (32896, 128), (65535, 255)])
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM"])
def test_sixteen_bits_are_scaled_to_eight(kind: str, level: int, expected: int) -> None:
    assert colour(encoded(Image.fromarray(np.full((8, 8), level, np.uint16)), kind)) == (expected,) * 3


def test_sixteen_bits_whose_zero_is_white_are_turned_round() -> None:
    image = Image.fromarray(np.full((8, 8), 65535, np.uint16))
    assert colour(encoded(image, "TIFF", tiffinfo={262: 0})) == (0, 0, 0)


@pytest.mark.parametrize(
    ("dtype", "words"), [(np.float32, "levels that are floats"), (np.int32, "levels that are signed or of 32 bits")]
)
def test_levels_without_a_known_white_are_refused(dtype: type, words: str) -> None:
    with pytest.raises(DataError, match=f"x has {words}, so black and white are not known"):
        decode(encoded(Image.fromarray(np.ones((8, 8), dtype)), "TIFF"), "x")


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_the_first_frame_of_an_animation_is_the_picture(kind: str) -> None:
    frames = [Image.new("RGB", (16, 16), (0, 0, 0))]
    assert colour(encoded(Image.new("RGB", (16, 16), WHITE), kind, save_all=True, append_images=frames)) == WHITE


def test_a_stack_of_pages_is_no_picture() -> None:
    pages = [Image.new("L", (8, 8), 9)] * 2
    with pytest.raises(DataError, match="x holds 3 pages: save each page that is meant as a file of its own"):
        decode(encoded(Image.new("L", (8, 8)), "TIFF", save_all=True, append_images=pages), "x")


@pytest.mark.parametrize(
    "data",
    [
        png_of((100_000, 100_000), 8, 2, (b"IDAT", b"")),
        b"P6 999999999 999999999 255\n" + bytes(99),
        encoded(Image.new("1", (10_001, 10_000))),
    ],
    ids=["png", "ppm", "just above"],
)
def test_a_picture_is_measured_by_its_header(data: bytes) -> None:
    with warnings.catch_warnings(), pytest.raises(DataError) as caught:
        warnings.simplefilter("error")
        decode(data, "x")
    assert "x is too large" in str(caught.value)
    assert "100,000,000 in all are allowed" in str(caught.value)
    assert "CIFARRAY_MAX_PIXELS" in str(caught.value)
    assert "copy it again" not in str(caught.value)


def test_the_largest_picture_is_a_setting_for_which_pillows_own_limit_does_not_matter(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = encoded(Image.new("L", (20, 20)))
    monkeypatch.setenv("CIFARRAY_MAX_PIXELS", "399")
    with pytest.raises(DataError, match="x is too large, 20 × 20 pixels where 399 in all are allowed"):
        decode(data, "x")
    monkeypatch.setenv("CIFARRAY_MAX_PIXELS", "400")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    assert stack([decode(data, "x")], 1, 8).shape == (1, 8, 8, 3)
    assert Image.MAX_IMAGE_PIXELS == 10


@pytest.mark.parametrize("value", ["many", "0", "-5", "1e6"])
def test_a_setting_that_is_no_number_is_named(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CIFARRAY_MAX_PIXELS", value)
    with pytest.raises(DataError, match=f"CIFARRAY_MAX_PIXELS '{value}' is no whole number above 0"):
        decode(encoded(Image.new("L", (8, 8))), "x")


def test_a_picture_without_pixels_is_refused() -> None:
    with pytest.raises(DataError, match="x is"):
        decode(b"P6 0 0 255\n" + bytes(9), "x")


def test_more_images_than_memory_holds_are_refused_with_both_sizes() -> None:
    with pytest.raises(DataError, match=r"1,000,000,000,000 images of 32 × 32 .* GiB of memory .* GiB are free"):
        refuse_more_than_memory(10**12, 32)
    refuse_more_than_memory(1000, 32)

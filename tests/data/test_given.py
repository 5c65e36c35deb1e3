"""Images as people have them in Python: whatever the form, the same pixels, and those of the preparation."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from source_files import write_parquet
from torch import Tensor

from cifarray.data import DataError, as_images, open_store


@pytest.fixture
def exactly() -> Any:
    """Nothing is warned of."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


FORMS = {
    "tensor": lambda images: images,
    "NumPy array": lambda images: images.numpy(),
    "read-only array": lambda images: np.frombuffer(images.numpy().tobytes(), np.uint8).reshape(images.shape),
    "array that runs backwards": lambda images: images.numpy()[:, ::-1].copy()[:, ::-1],
    "list of arrays": lambda images: [image.numpy() for image in images],
    "tuple of tensors": lambda images: tuple(images),
    "generator of Pillow's images": lambda images: (Image.fromarray(image.numpy()) for image in images),
}


@pytest.mark.parametrize("form", FORMS)
def test_many_images_are_taken_in_every_form(pictures: Tensor, exactly: None, form: str) -> None:
    assert as_images(FORMS[form](pictures), 32).equal(pictures)


@pytest.mark.parametrize("form", [Tensor.numpy, lambda image: image, lambda image: Image.fromarray(image.numpy())])
def test_a_single_image_is_a_batch_of_one(pictures: Tensor, exactly: None, form: Any) -> None:
    assert as_images(form(pictures[3]), 32).equal(pictures[3:4])


def test_files_are_read(pictures: Tensor, tmp_path: Path, exactly: None) -> None:
    for index in (0, 1):
        Image.fromarray(pictures[index].numpy()).save(tmp_path / f"{index}.png")
    assert as_images(tmp_path / "1.png", 32).equal(pictures[1:2])
    assert as_images([str(tmp_path / "0.png"), tmp_path / "1.png"], 32).equal(pictures[:2])


def test_no_images_are_no_images(exactly: None) -> None:
    assert as_images([], 32).shape == (0, 32, 32, 3)


def test_one_of_pillows_images_is_seen_as_its_file_is_and_stays_as_it_is(tmp_path: Path, exactly: None) -> None:
    """Upright, transparent parts white, 16-bit grey scaled."""
    turned = Image.new("RGB", (32, 32), "red")
    turned.paste("blue", (0, 0, 32, 16))
    exif = turned.getexif()
    exif[274] = 6  # the camera was held so that the top is at the right
    turned.save(tmp_path / "turned.png", exif=exif)
    Image.new("RGBA", (32, 32), (9, 9, 9, 0)).save(tmp_path / "clear.png")
    Image.new("I;16", (32, 32), 128 * 257).save(tmp_path / "deep.png")
    for name in ("turned", "clear", "deep"):
        with Image.open(tmp_path / f"{name}.png") as image:
            before = image.copy()
            found = as_images(image, 32)
            assert (image.mode, image.size, image.tobytes()) == (before.mode, before.size, before.tobytes())
            assert image.getexif().get(274) == (6 if name == "turned" else None)
        assert found.equal(as_images(tmp_path / f"{name}.png", 32)), name
        expected = {"turned": (0, 0, 255), "clear": (255, 255, 255), "deep": (128, 128, 128)}[name]
        assert tuple(found[0, 5, 25].tolist()) == expected


def test_other_sizes_are_resized_as_a_source_is_when_it_is_prepared_which_is_said(
    tmp_path: Path, own_home: Path
) -> None:
    images = torch.randint(0, 256, (2, 40, 60, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    write_parquet(tmp_path / "set/train.parquet", images, [0, 1])
    prepared = open_store(str(tmp_path / "set"), "train", 16).images
    sentence = "images of 60 × 40 pixels are cut to their centre square and resized to 16 × 16"
    for given in (images, images.numpy(), list(images)):
        with pytest.warns(UserWarning, match=sentence):
            assert as_images(given, 16).equal(prepared)
    with pytest.warns(UserWarning, match="images of 20 × 10 pixels and 1 other sizes are cut"):
        assert as_images([images[0], Image.new("L", (20, 10))], 16).shape == (2, 16, 16, 3)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (torch.zeros(2, 32, 32, 3), "images of type float32 have no known levels: give uint8"),
        (np.zeros((32, 32, 3), np.int64), "images of type int64"),
        (torch.zeros(2, 3, 32, 32, dtype=torch.uint8), r"shape \(2, 3, 32, 32\) cannot be .*: put the channels last"),
        (np.zeros((3, 32, 32), np.uint8), "put the channels last"),
        (np.zeros((32, 32), np.uint8), r"shape \(32, 32\) cannot be classified: give \(H, W, 3\)"),
        (np.zeros((32, 32, 4), np.uint8), r"shape \(32, 32, 4\)"),
        (np.zeros((1, 0, 32, 3), np.uint8), r"shape \(1, 0, 32, 3\)"),
        (7, "an object of type int is no image: give"),
        ([[1, 2]], "a list that holds a list is no list of images: give"),
        (
            [np.zeros((2, 32, 32, 3), np.uint8)],
            r"a list holds an array of shape \(2, 32, 32, 3\): each must be an image",
        ),
        (Image.new("F", (32, 32)), "the image has levels that are floats"),
        ("nothing.png", "'nothing.png' cannot be read as an image"),
        (__file__, "is not a readable image"),
    ],
)
def test_what_is_no_image_is_refused_in_a_sentence(given: Any, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        as_images(given, 32)

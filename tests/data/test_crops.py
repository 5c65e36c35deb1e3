"""Crops equal torchvision's operations, applied image by image, and are drawn as torchvision draws them."""

from itertools import product

import pytest
import torch
import torch.nn.functional as F
from augmented import MEAN, PLAIN, STD, as_pixels, augment, distance, evenly, plain, random_images
from torch import Tensor
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as reference

from cifarray.config import DataConfig
from cifarray.data import center_view, draw, normalise
from cifarray.data.crops import BOX_DRAWS, random_boxes, resized_crop

AREA, RATIO = (0.08, 1.0), (3 / 4, 4 / 3)


@pytest.mark.parametrize(
    ("side", "config", "most"),
    [
        # 2 · positions² results; the last number is the 99.9th percentile of χ² for one degree of freedom less.
        (32, DataConfig(padding_mode="zero"), 222.2),
        (32, DataConfig(padding_mode="reflect"), 222.2),
        (32, DataConfig(crop_padding=0, crop_size=28), 85.4),
        (32, DataConfig(crop_padding=2, crop_size=30, padding_mode="reflect"), 145.8),
    ],
    ids=["zero", "reflect", "smaller", "smaller and reflect"],
)
def test_crop_and_flip_make_each_of_torchvisions_results_equally_often(
    side: int, config: DataConfig, most: float
) -> None:
    image = random_images(1, side)[0].permute(2, 0, 1)
    padding, size = config.crop_padding, config.crop_size or side
    mode = "constant" if config.padding_mode == "zero" else "reflect"
    padded = F.pad(image.float(), (padding,) * 4, mode=mode)
    positions = range(side + 2 * padding - size + 1)
    crops = [reference.crop(padded, top, left, size, size) for top, left in product(positions, repeat=2)]
    possible = torch.stack([view for crop in crops for view in (crop, reference.horizontal_flip(crop))])
    expected = normalise(possible.to(torch.uint8).permute(0, 2, 3, 1), MEAN, STD).flatten(1)

    found = torch.zeros(len(expected))
    for rows in torch.split(torch.arange(len(expected) * 50), 1000):
        batch = augment(config, image.permute(1, 2, 0).expand(len(rows), -1, -1, -1), rows).flatten(1)
        nearest = torch.cdist(batch, expected).argmin(1)
        assert torch.equal(batch, expected[nearest])
        found += nearest.bincount(minlength=len(expected))
    chi_squared = ((found - 50) ** 2 / 50).sum()
    assert chi_squared < most


def test_zero_padding_is_black_as_in_the_usual_recipe() -> None:
    white = torch.full((500, 32, 32, 3), 255, dtype=torch.uint8)
    values = augment(DataConfig(), white, torch.arange(500))[:, 0].unique()
    expected = torch.tensor([(0 - MEAN[0]) / STD[0], (1 - MEAN[0]) / STD[0]])
    torch.testing.assert_close(values, expected)


def test_reflection_wider_than_the_image_is_refused() -> None:
    config = DataConfig(crop_padding=8, padding_mode="reflect")
    with pytest.raises(ValueError, match=r"data.crop_padding 8 cannot be reflected .* choose at most 7"):
        augment(config, random_images(2, side=8), torch.arange(2))
    assert (
        augment(DataConfig(crop_padding=7, padding_mode="reflect"), random_images(2, 8), torch.arange(2)).shape[2] == 8
    )


def boxes(count: int, size: int, area: tuple[float, float] = AREA, ratio: tuple[float, float] = RATIO) -> Tensor:
    return random_boxes(draw("a test", 0, 0, torch.arange(count), BOX_DRAWS), size, area, ratio)


def torchvisions_boxes(count: int, size: int, area: tuple[float, float], ratio: tuple[float, float]) -> Tensor:
    transform = v2.RandomResizedCrop(size, area, ratio)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        params = [transform.make_params([torch.empty(3, size, size)]) for _ in range(count)]
    return torch.tensor([[p[name] for name in ("top", "left", "height", "width")] for p in params])


@pytest.mark.parametrize(
    ("area", "ratio"),
    [(AREA, RATIO), ((0.5, 1.0), (0.5, 0.9)), ((0.9, 1.0), (0.25, 4.0))],
    ids=["the usual ones", "upright", "most tries fail"],
)
def test_boxes_are_distributed_as_torchvisions(area: tuple[float, float], ratio: tuple[float, float]) -> None:
    count = 10_000
    own, others = boxes(count, 32, area, ratio), torchvisions_boxes(count, 32, area, ratio)
    # Products too, since each side by itself says nothing of how they go together.
    columns = [lambda b: b[:, 0], lambda b: b[:, 1], lambda b: b[:, 2], lambda b: b[:, 3]]
    columns += [lambda b: b[:, 2] * b[:, 3], lambda b: b[:, 3] / b[:, 2], lambda b: b[:, 0] + 40 * b[:, 2]]
    for column in columns:
        assert distance(column(own), column(others)) < 1.95 * (2 / count) ** 0.5


@pytest.mark.parametrize("ratio", [(3.0, 4.0), (0.2, 0.25)])
def test_where_no_try_fits_it_is_torchvisions_centre(ratio: tuple[float, float]) -> None:
    area = (0.9, 1.0)
    expected = torchvisions_boxes(1, 32, area, ratio).expand(100, 4)
    assert torch.equal(boxes(100, 32, area, ratio), expected)


def test_area_and_logarithm_of_the_ratio_are_uniform_and_positions_too() -> None:
    # Small enough that every first try fits, large enough that rounding to pixels is small.
    top, left, height, width = boxes(20_000, 4096, (0.1, 0.3), (0.5, 2.0)).double().unbind(1)
    most = 1.95 / 20_000**0.5
    assert distance(height * width / 4096**2, evenly(0.1, 0.3)) < most
    assert distance((width / height).log2(), evenly(-1, 1)) < most
    for start, length in ((top, height), (left, width)):
        assert distance(start / (4096 - length), evenly(0, 1)) < most


@pytest.mark.parametrize("side", [32, 24, 9, 48], ids=lambda side: f"32 to {side}")
def test_a_resized_crop_is_torchvisions_also_mirrored(side: int) -> None:
    images, chosen = random_images(60), boxes(60, 32)
    mirrored = torch.arange(60) % 2 == 1
    batch = resized_crop(images, chosen, mirrored, side)
    assert batch.shape == (60, side, side, 3)
    for pixels, image, box, mirror in zip(batch, images, chosen.tolist(), mirrored, strict=True):
        expected = reference.resized_crop(image.permute(2, 0, 1).float(), *box, [side, side], antialias=True)
        expected = reference.horizontal_flip(expected) if mirror else expected
        torch.testing.assert_close(pixels.permute(2, 0, 1), expected, rtol=0, atol=2e-3)


def test_a_crop_of_all_is_the_image_flipped_as_padded_crops_are() -> None:
    images, rows = random_images(64), torch.arange(64)
    whole = DataConfig(crop="resized", crop_area=(1, 1), crop_ratio=(1, 1))
    torch.testing.assert_close(augment(whole, images, rows), augment(DataConfig(crop_padding=0), images, rows))
    unflipped = whole.model_copy(update={"flip": False})
    torch.testing.assert_close(augment(unflipped, images, rows), augment(PLAIN, images, rows))


@pytest.mark.parametrize("crop", ["padded", "resized"])
def test_the_network_sees_the_size_of_the_crop(crop: str) -> None:
    batch = augment(DataConfig(crop=crop, crop_size=24), random_images(8), torch.arange(8))
    assert batch.shape == (8, 3, 24, 24)
    assert batch.is_contiguous(memory_format=torch.channels_last)


def test_a_brightness_gradient_shows_that_boxes_are_where_they_are_said_to_be() -> None:
    ramp = torch.arange(0, 256, 8, dtype=torch.uint8)[None, :, None].expand(32, 32, 3)
    pixels = as_pixels(augment(plain(crop="resized"), ramp.expand(500, -1, -1, -1), torch.arange(500)))
    widths = (pixels[:, 0, -1, 0] - pixels[:, 0, 0, 0]) / 8
    # A third of the least box is 5 pixels wide, all of the image 32; the outermost centres are inside.
    assert 4 < widths.min() < 12
    assert 29 < widths.max() <= 31.01


@pytest.mark.parametrize(
    ("stored", "side", "resized"), [(32, 24, 27), (64, 32, 37), (26, 24, 26), (256, 224, 256), (320, 224, 256)]
)
def test_the_centre_that_is_evaluated_is_torchvisions(stored: int, side: int, resized: int) -> None:
    images = random_images(2, stored)
    expected = images.permute(0, 3, 1, 2).float()
    expected = reference.resize(expected, [resized, resized], antialias=True)
    expected = reference.center_crop(expected, [side, side]).permute(0, 2, 3, 1)
    torch.testing.assert_close(center_view(images, side), expected, rtol=0, atol=2e-3)

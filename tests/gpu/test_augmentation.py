"""What is drawn and done to images on the device is what is drawn and done on the CPU, to the pixel."""

from typing import Any

import pytest
import torch

from cifarray.config import DataConfig
from cifarray.data import Augmentation, grid_draws, grid_members, rows_at_once
from cifarray.training.mixing import Mixing

MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
COVARIANCE = ((0.0610, 0.0560, 0.0523), (0.0560, 0.0593, 0.0591), (0.0523, 0.0591, 0.0684))
CPU = torch.device("cpu")
NUM_ROWS = 5000
ROWS = torch.arange(0, NUM_ROWS, 23)
IMAGES = torch.randint(0, 256, (len(ROWS), 32, 32, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
WHOLE_PIXELS: dict[str, dict[str, Any]] = {
    "nothing": {"crop_padding": 0, "flip": False},
    "crop and flip": {},
    "reflect": {"padding_mode": "reflect"},
    "crop_size": {"crop_size": 24},
    "cutout": {"cutout": 8},
    "trivial_augment": {"policy": "trivial_augment"},
    "rand_augment": {"policy": "rand_augment", "cutout": 8},
}
FLOATS: dict[str, dict[str, Any]] = {
    "resized": {"crop": "resized"},
    "color_jitter": {"color_jitter": 0.4},
    "pca_noise": {"pca_noise": 0.1},
    "all": {"crop": "resized", "color_jitter": 0.4, "pca_noise": 0.1, "cutout": 8},
}


def augmented(fields: dict[str, Any], device: torch.device) -> torch.Tensor:
    augment = Augmentation(DataConfig(**fields), MEAN, STD, COVARIANCE, rows_at_once(NUM_ROWS, device))
    return augment(IMAGES.to(device), ROWS.to(device), seed=1, epoch=2).cpu()


@pytest.mark.parametrize("fields", WHOLE_PIXELS.values(), ids=WHOLE_PIXELS)
def test_whole_pixels_are_the_same(fields: dict[str, Any], device: torch.device) -> None:
    assert augmented(fields, device).equal(augmented(fields, CPU))


@pytest.mark.parametrize("fields", FLOATS.values(), ids=FLOATS)
def test_sums_differ_by_less_than_a_hundredth_of_a_grey_level(fields: dict[str, Any], device: torch.device) -> None:
    grey_level = 1 / 255 / max(STD)
    torch.testing.assert_close(augmented(fields, device), augmented(fields, CPU), rtol=0, atol=0.01 * grey_level)


@pytest.mark.parametrize(("mixup", "cutmix"), [(0.2, 0.0), (0.0, 1.0), (0.2, 1.0)])
def test_mixing_is_the_same(mixup: float, cutmix: float, device: torch.device) -> None:
    images = torch.randn(len(ROWS), 3, 32, 32, generator=torch.Generator().manual_seed(0))
    mixed = []
    for where in (device, CPU):
        mixing = Mixing(mixup, cutmix, 3, where, rows_at_once(NUM_ROWS, where))
        partners = mixing.partners(ROWS.to(where), 2)
        here = images.to(where)
        mixed.append([partners.cpu(), *(each.cpu() for each in mixing(here, here[partners], ROWS.to(where), 2))])
    (partners, pictures, shares), (same_partners, same_pictures, same_shares) = mixed
    assert partners.equal(same_partners)
    assert shares.equal(same_shares)
    torch.testing.assert_close(pictures, same_pictures, rtol=0, atol=1e-6)


def test_grids_are_of_the_same_images(device: torch.device) -> None:
    pool = torch.arange(NUM_ROWS)
    drawn = grid_draws(rows_at_once(NUM_ROWS, device))
    on_device = grid_members(ROWS.to(device), pool.to(device), 1, 2, drawn)
    assert on_device.cpu().equal(grid_members(ROWS, pool, 1, 2))

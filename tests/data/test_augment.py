"""Augmentation equals torchvision's operations, applied image by image, and is a function of (seed, epoch, row)."""

import time
from itertools import product

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.transforms.v2 import functional as reference

from cifarray.config import DataConfig
from cifarray.data import Augmentation, cutout, normalise

MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
COVARIANCE = ((0.0610, 0.0560, 0.0523), (0.0560, 0.0593, 0.0591), (0.0523, 0.0591, 0.0684))
PLAIN = DataConfig(crop_padding=0, flip=False)


def random_images(count: int, side: int = 32) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, side, side, 3), dtype=torch.uint8, generator=generator)


def augment(config: DataConfig, images: Tensor, rows: Tensor, seed: int = 0, epoch: int = 0) -> Tensor:
    return Augmentation(config, MEAN, STD, COVARIANCE)(images, rows, seed=seed, epoch=epoch)


def test_normalise_is_torchvisions_in_channels_last_memory() -> None:
    images = random_images(8)
    batch = normalise(images, MEAN, STD)
    expected = reference.normalize(images.permute(0, 3, 1, 2) / 255, list(MEAN), list(STD))
    torch.testing.assert_close(batch, expected, rtol=0, atol=2e-6, check_stride=False)
    assert batch.shape == (8, 3, 32, 32)
    assert batch.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(
    "config", [DataConfig(), PLAIN, DataConfig(cutout=16), DataConfig(padding_mode="reflect")], ids=str
)
def test_a_batch_is_float32_in_channels_last_memory_and_its_input_is_left_alone(config: DataConfig) -> None:
    images = random_images(8)
    before = images.clone()
    batch = augment(config, images, torch.arange(8))
    assert batch.dtype == torch.float32
    assert batch.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(images, before)


def test_with_everything_off_only_normalisation_is_left() -> None:
    images = random_images(8)
    assert torch.equal(augment(PLAIN, images, torch.arange(8)), normalise(images, MEAN, STD))


@pytest.mark.parametrize("mode", ["zero", "reflect"])
def test_crop_and_flip_make_each_of_torchvisions_162_results_equally_often(mode: str) -> None:
    image = random_images(1)[0].permute(2, 0, 1)
    padded = F.pad(image.float(), (4, 4, 4, 4), mode="constant" if mode == "zero" else "reflect")
    crops = [reference.crop(padded, top, left, 32, 32) for top, left in product(range(9), repeat=2)]
    possible = torch.stack([view for crop in crops for view in (crop, reference.horizontal_flip(crop))])
    expected = normalise(possible.to(torch.uint8).permute(0, 2, 3, 1), MEAN, STD).flatten(1)

    count = 162 * 50
    config = DataConfig(padding_mode=mode)
    found = torch.zeros(162)
    for rows in torch.split(torch.arange(count), 1000):
        batch = augment(config, image.permute(1, 2, 0).expand(len(rows), -1, -1, -1), rows).flatten(1)
        nearest = torch.cdist(batch, expected).argmin(1)
        assert torch.equal(batch, expected[nearest])
        found += nearest.bincount(minlength=162)
    chi_squared = ((found - 50) ** 2 / 50).sum()
    assert chi_squared < 223.0  # the 99.9th percentile for 161 degrees of freedom


def test_zero_padding_is_black_as_in_the_usual_recipe() -> None:
    white = torch.full((500, 32, 32, 3), 255, dtype=torch.uint8)
    values = augment(DataConfig(), white, torch.arange(500))[:, 0].unique()
    expected = torch.tensor([(0 - MEAN[0]) / STD[0], (1 - MEAN[0]) / STD[0]])
    torch.testing.assert_close(values, expected)


@pytest.mark.parametrize("mode", ["zero", "reflect"])
def test_a_sample_is_augmented_alike_in_any_batch_order_and_batch_size(mode: str) -> None:
    config = DataConfig(padding_mode=mode, cutout=8)
    images, rows = random_images(64), torch.arange(1000, 1064)
    whole = augment(config, images, rows, seed=3, epoch=5)
    order = torch.randperm(64, generator=torch.Generator().manual_seed(1))
    assert torch.equal(augment(config, images[order], rows[order], seed=3, epoch=5), whole[order])
    parts = [augment(config, images[i : i + 1], rows[i : i + 1], seed=3, epoch=5) for i in range(64)]
    assert torch.equal(torch.cat(parts), whole)


def test_another_seed_or_epoch_augments_differently() -> None:
    images, rows = random_images(64), torch.arange(64)
    whole = augment(DataConfig(), images, rows, seed=3, epoch=5)
    for seed, epoch in ((3, 6), (4, 5), (5, 3)):
        other = augment(DataConfig(), images, rows, seed=seed, epoch=epoch)
        unchanged = (other == whole).flatten(1).all(1).sum()
        assert unchanged < 5  # 64/162 are expected to be equal by chance


def test_turning_the_flip_off_leaves_the_crops_as_they_were() -> None:
    images, rows = random_images(64), torch.arange(64)
    flipped, unflipped = (augment(DataConfig(flip=flip), images, rows) for flip in (True, False))
    for one, other in zip(flipped, unflipped, strict=True):
        assert torch.equal(one, other) or torch.equal(one, other.flip(2))


def test_cutout_blanks_one_square_to_the_mean_that_may_reach_over_the_border() -> None:
    images = torch.full((2000, 32, 32, 3), 255, dtype=torch.uint8)
    blank = augment(PLAIN.model_copy(update={"cutout": 16}), images, torch.arange(2000)) == 0
    assert torch.equal(blank[:, 0], blank[:, 1])
    heights, widths = blank[:, 0].any(2).sum(1), blank[:, 0].any(1).sum(1)
    assert torch.equal(blank[:, 0].sum((1, 2)), heights * widths)
    # The centre is any of 32 rows; the square around row y covers y-8 to y+7, cut off at the border.
    assert (heights.min(), heights.max()) == (8, 16)
    # Rows 8 to 24 keep all 16 lines, rows 0 to 7 and 25 to 31 keep 8 to 15 and 15 to 9.
    expected = (17 * 16 + sum(range(8, 16)) + sum(range(9, 16))) / 32
    assert heights.double().mean() == pytest.approx(expected, abs=0.25)
    assert widths.double().mean() == pytest.approx(expected, abs=0.25)


def test_cutout_covers_what_the_authors_code_covers_for_every_centre() -> None:
    centers = torch.tensor(list(product(range(32), repeat=2)))
    batch = torch.ones(len(centers), 3, 32, 32).to(memory_format=torch.channels_last)
    draws = centers * 2**27  # of 2**32, so that pixel y of 32 is meant
    cutout(batch, draws[:, 0], draws[:, 1], 16)
    for blanked, (y, x) in zip(batch, centers.tolist(), strict=True):
        # https://github.com/uoguelph-mlrg/Cutout, util/cutout.py
        expected = torch.ones(3, 32, 32)
        expected[:, max(y - 8, 0) : min(y + 8, 32), max(x - 8, 0) : min(x + 8, 32)] = 0
        assert torch.equal(blanked, expected)


def test_reflection_wider_than_the_image_is_refused() -> None:
    config = DataConfig(crop_padding=8, padding_mode="reflect")
    with pytest.raises(ValueError, match=r"data.crop_padding 8 cannot be reflected .* choose at most 7"):
        augment(config, random_images(2, side=8), torch.arange(2))
    assert (
        augment(DataConfig(crop_padding=7, padding_mode="reflect"), random_images(2, 8), torch.arange(2)).shape[2] == 8
    )


@pytest.mark.slow
def test_a_batch_of_128_is_gathered_and_augmented_in_under_2_milliseconds_on_one_thread() -> None:
    store, config = random_images(20_000), DataConfig()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    seconds = []
    for start in range(0, 19_200, 128):
        rows = torch.arange(start, start + 128) * 7919 % 20_000
        begin = time.perf_counter()
        augment(config, store.index_select(0, rows), rows)
        seconds.append(time.perf_counter() - begin)
    torch.set_num_threads(threads)
    assert min(seconds) < 0.002  # the least, since other processes only add to it

"""Colours are changed as plain loops over pixels change them, by numbers of the distributions in the papers."""

import colorsys
from statistics import NormalDist

import pytest
import torch
from augmented import COVARIANCE, as_pixels, augment, distance, evenly, plain, random_images
from torch import Tensor

from cifarray.data import draw
from cifarray.data.colors import add_pca_noise, jitter_colors

ROWS = torch.arange(20_000)
MOST = 1.95 / 20_000**0.5  # see `distance`


def painted(*colour: int, count: int = len(ROWS)) -> Tensor:
    return torch.tensor(colour, dtype=torch.uint8).expand(count, 8, 8, 3)


def difficult_images() -> Tensor:
    """Random colours, greys, corners of the cube, two equal channels, almost grey, almost black."""
    images = random_images(7, 12)
    images[1] = images[1, :, :, :1]
    images[2] = (images[2] > 127) * 255
    images[3, :, :, 0] = images[3, :, :, 1]
    images[4, :, :, 1] = images[4, :, :, 2]
    images[5] = 100 + images[5] % 2
    images[6] = images[6] % 2
    return images


@pytest.mark.parametrize("strength", [0.4, 0.9])
def test_jitter_is_what_colorsys_makes_of_each_pixel(strength: float) -> None:
    images = difficult_images()
    draws = draw("a test", 0, 0, torch.arange(len(images)), 3)
    changed = jitter_colors(images, draws, strength) / 255
    for image, (by_hue, by_saturation, by_value), found in zip(images, draws.tolist(), changed, strict=True):
        factors = [1 - strength + 2 * strength * number / 2**32 for number in (by_hue, by_saturation, by_value)]
        for pixel, result in zip(image.reshape(-1, 3).tolist(), found.reshape(-1, 3).tolist(), strict=True):
            hue, saturation, value = colorsys.rgb_to_hsv(*(channel / 255 for channel in pixel))
            hue, saturation, value = hue * factors[0] % 1, saturation * factors[1], value * factors[2]
            expected = colorsys.hsv_to_rgb(hue, min(saturation, 1), min(value, 1))
            assert result == pytest.approx(expected, abs=2e-6)


def test_hue_saturation_and_brightness_have_factors_of_their_own_from_0_6_to_1_4() -> None:
    red, green, blue = as_pixels(augment(plain(color_jitter=0.4), painted(80, 160, 96), ROWS))[:, 3, 5].unbind(1)
    # Green is the highest channel for every hue between 1/6 and 1/2; 80, 160, 96 has 0.3667, a half, and 160/255.
    high = torch.stack([red, green, blue]).amax(0)
    low = torch.stack([red, green, blue]).amin(0)
    hues = [colorsys.rgb_to_hsv(*pixel)[0] for pixel in torch.stack([red, green, blue], dim=1).tolist()]
    factors = torch.stack([torch.tensor(hues) / (2.2 / 6), (1 - low / high) / 0.5, high / 160])
    for factor in factors:
        assert distance(factor, evenly(0.6, 1.4)) < MOST
    assert (torch.corrcoef(factors) - torch.eye(3)).abs().max() < 4 / 20_000**0.5


def test_black_and_greys_have_no_colour_that_jitter_could_change() -> None:
    config, rows = plain(color_jitter=0.4), torch.arange(256)
    pixels = as_pixels(
        augment(config, torch.arange(256, dtype=torch.uint8)[:, None, None, None].expand(-1, 8, 8, 3), rows)
    )
    torch.testing.assert_close(pixels.amax(3), pixels.amin(3), rtol=0, atol=1e-4)
    assert pixels[0].abs().max() < 1e-4
    assert pixels.max() < 255.001


def test_pca_noise_along_channels_that_are_not_correlated_is_a_normal_number_of_each_channels_variance() -> None:
    variances = (0.03, 0.02, 0.05)
    covariance = ((variances[0], 0.0, 0.0), (0.0, variances[1], 0.0), (0.0, 0.0, variances[2]))
    images, draws = random_images(40, 8), draw("a test", 0, 0, torch.arange(40), 3)
    noisy = add_pca_noise(images, draws, covariance, 0.1) / 255
    for image, found, numbers in zip(images, noisy, draws.tolist(), strict=True):
        # From the least to the largest variance, as eigenvalues are given.
        for channel, number in zip((1, 0, 2), numbers, strict=True):
            alpha = NormalDist(0, 0.1).inv_cdf((number + 0.5) / 2**32)
            expected = image[:, :, channel] / 255 + alpha * variances[channel]
            torch.testing.assert_close(found[:, :, channel], expected, rtol=0, atol=1e-6)


def test_pca_noise_is_one_shift_for_all_pixels_whose_covariance_is_that_of_the_paper() -> None:
    config, images = plain(pca_noise=0.1), painted(0, 100, 255)
    shifts = as_pixels(augment(config, images, ROWS)) / 255 - images.double() / 255
    assert (shifts - shifts[:, :1, :1]).abs().max() < 1e-6
    shifts = shifts[:, 0, 0]
    # Σ αᵢ λᵢ pᵢ with independent αᵢ of variance σ² has the covariance σ² Σ λᵢ² pᵢ pᵢᵀ = σ² C².
    expected = 0.1**2 * torch.tensor(COVARIANCE).double() @ torch.tensor(COVARIANCE).double()
    torch.testing.assert_close(torch.cov(shifts.T), expected, rtol=0.05, atol=0)
    assert shifts.mean(0).abs().max() < 4 * (expected.diagonal().max() / len(ROWS)) ** 0.5
    normal = torch.tensor([NormalDist().inv_cdf(share) for share in evenly(0, 1)[1:-1].tolist()])
    assert distance(shifts[:, 0] / expected[0, 0].sqrt(), normal) < MOST

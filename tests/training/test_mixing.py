"""Mixup and CutMix against plain loops over images and pixels, and their draws as functions of seed, epoch and row."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from scipy import stats
from tiny import CPU, TINY, tiny
from torch import Tensor

from cifarray.data import below, draw, open_store
from cifarray.training.mixing import Mixing, mixed_targets
from cifarray.training.tasks.single_label import SingleLabel


def random_images(count: int, side: int = 16) -> Tensor:
    images = torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(0))
    return images.to(memory_format=torch.channels_last)


def mix(mixup: float, cutmix: float, rows: Tensor, epoch: int = 1, seed: int = 0) -> tuple[Tensor, Tensor]:
    images = random_images(len(rows))
    return Mixing(mixup, cutmix, seed, CPU)(images, images.flip(0), rows, epoch)


def test_mixup_is_a_weighted_sum_of_the_two_images() -> None:
    """x̃ = λ xᵢ + (1 − λ) xⱼ (arXiv:1710.09412, §2)."""
    images = random_images(50)
    mixed, lam = mix(0.4, 0.0, torch.arange(50))
    assert mixed.is_contiguous(memory_format=torch.channels_last)
    for index in range(50):
        share = lam[index].item()
        expected = share * images[index] + (1 - share) * images[49 - index]
        torch.testing.assert_close(mixed[index], expected, rtol=1e-5, atol=1e-6)


def test_cutmix_pastes_a_box_of_the_other_image_and_lambda_is_the_area_that_is_left() -> None:
    """A box of the image's ratio with 1 − λ of its area around any pixel, cut off at the border (arXiv:1905.04899,
    §3.1, and rand_bbox of the authors' code), with λ from the same draws."""
    count, side = 300, 16
    images, rows = random_images(count, side), torch.arange(count)
    mixed, lam = Mixing(0.0, 1.0, 3, CPU)(images, images.flip(0), rows, 2)
    quantile, _, center_y, center_x = draw("mixing", 3, 2, rows, 4).unbind(1)
    for index in range(count):
        drawn = stats.beta.ppf((below(quantile, 4096)[index].item() + 0.5) / 4096, 1.0, 1.0)
        half = int(side * (1 - drawn) ** 0.5) // 2
        y, x = (int(below(center, side)[index]) for center in (center_y, center_x))
        expected = images[index].clone()
        top, bottom = max(y - half, 0), min(y + half, side)
        left, right = max(x - half, 0), min(x + half, side)
        expected[:, top:bottom, left:right] = images[count - 1 - index][:, top:bottom, left:right]
        assert mixed[index].equal(expected)
        assert lam[index].item() == pytest.approx(1 - (bottom - top) * (right - left) / side**2, abs=1e-6)


@pytest.mark.parametrize("alpha", [0.2, 1.0, 2.0])
def test_lambda_is_beta_distributed(alpha: float) -> None:
    _, lam = mix(alpha, 0.0, torch.arange(20_000))
    # Kolmogorov and Smirnov: 1.95 / √n is exceeded by one in a thousand; a λ is one of 4,096 quantiles. Not beyond
    # 0.001 and 0.999, where float32 has no room for the tails of a small α.
    for point in torch.linspace(0.001, 0.999, 200).tolist():
        share = (lam <= point).double().mean().item()
        assert abs(share - stats.beta(alpha, alpha).cdf(point)) < 1.95 / 20_000**0.5 + 1 / 4096


def test_with_both_a_fair_coin_chooses_for_each_image() -> None:
    rows = torch.arange(2000)
    both, lam = mix(0.4, 1.0, rows)
    blended, blend_lam = mix(0.4, 0.0, rows)
    pasted, paste_lam = mix(0.0, 1.0, rows)
    is_blend = [both[index].equal(blended[index]) for index in range(2000)]
    for index, blend in enumerate(is_blend):
        assert blend or both[index].equal(pasted[index])
        assert lam[index] == (blend_lam if blend else paste_lam)[index]
    assert 900 < sum(is_blend) < 1100  # 4.5 deviations


def test_the_draws_are_a_function_of_seed_epoch_and_row() -> None:
    rows = torch.arange(100, 164)
    whole = mix(0.4, 1.0, rows)[1]
    mixing, images = Mixing(0.4, 1.0, 0, CPU), random_images(64)
    parts = [mixing(images[:1], images[1:2], rows[index : index + 1], 1)[1] for index in range(64)]
    assert torch.cat(parts).equal(whole)
    for seed, epoch in ((1, 1), (0, 2)):
        assert not mix(0.4, 1.0, rows, epoch, seed)[1].equal(whole)


def test_every_image_is_the_partner_of_one() -> None:
    mixing, rows = Mixing(0.2, 0.0, 0, CPU), torch.randperm(500)[:128]
    first, second = mixing.partners(rows, 1), mixing.partners(rows, 2)
    assert first.sort().values.equal(torch.arange(128))
    assert not first.equal(second)


def test_targets_are_the_mixture_of_both_labels() -> None:
    targets = mixed_targets(torch.tensor([0, 1, 2]), torch.tensor([2, 1, 0]), torch.tensor([0.75, 0.3, 1.0]), 3)
    expected = torch.tensor([[0.75, 0, 0.25], [0, 1, 0], [0, 0, 1.0]])
    torch.testing.assert_close(targets, expected)


def task_of(**values: Any) -> SingleLabel:
    config = tiny(**values)
    store = open_store(config.data.source, "train", config.data.image_size)
    return SingleLabel(config, store, store.images, store.labels, CPU)


def test_the_loss_is_the_mixture_of_both_labels_losses_and_accuracy_is_of_the_larger_part() -> None:
    """λ ℓ(f(x̃), yᵢ) + (1 − λ) ℓ(f(x̃), yⱼ), as in the authors' code."""
    task = task_of(mixup=0.4, label_smoothing=0.1)
    logits = torch.randn(4, 10, generator=torch.Generator().manual_seed(0))
    own, others, lam = torch.tensor([0, 1, 2, 3]), torch.tensor([4, 5, 6, 3]), torch.tensor([0.9, 0.2, 0.6, 0.5])
    targets = mixed_targets(own, others, lam, 10)
    losses = [F.cross_entropy(logits, labels, label_smoothing=0.1, reduction="none") for labels in (own, others)]
    torch.testing.assert_close(task.loss(logits, targets), (lam * losses[0] + (1 - lam) * losses[1]).mean())
    right = F.one_hot(torch.tensor([0, 5, 2, 3]), 10).float()
    assert task.correct(right, targets) == 4
    assert task.correct(F.one_hot(own, 10).float(), targets) == 3


@pytest.mark.parametrize("values", [{"mixup": 0.4}, {"cutmix": 1.0}, {"mixup": 0.4, "cutmix": 1.0}], ids=str)
def test_a_part_of_a_batch_is_mixed_as_in_the_whole(values: dict[str, float]) -> None:
    """The partner may be in another worker's part."""
    task, rows = task_of(**values), torch.randperm(270)[:32]
    images, targets = task.batch(rows, slice(0, 32), epoch=3)
    for start in range(0, 32, 8):
        part, part_targets = task.batch(rows, slice(start, start + 8), epoch=3)
        assert part.equal(images[start : start + 8])
        assert part_targets.equal(targets[start : start + 8])
        assert part.is_contiguous(memory_format=torch.channels_last)


def test_a_batch_without_mixing_has_plain_labels() -> None:
    images, targets = task_of().batch(torch.arange(32), slice(0, 32), epoch=1)
    assert targets.dtype == torch.int64
    assert images.shape == (32, 3, TINY.data.image_size, TINY.data.image_size)


@pytest.mark.parametrize("name", ["mixup", "cutmix"])
def test_grids_are_not_mixed(name: str) -> None:
    with pytest.raises(ValueError, match=rf"{name} 0.2 is for single images, not for 2 × 2 grids: set data.grid to 1"):
        tiny(data__grid=2, **{name: 0.2})

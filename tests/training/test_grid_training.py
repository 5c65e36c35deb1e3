"""Training and evaluation on 2 × 2 grids, against metrics written down again with counts."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from ranks import Ranks
from tiny import CPU, assert_same_weights, tiny, train

from cifarray.data import open_store
from cifarray.training.evaluate import evaluate
from cifarray.training.loop import Training
from cifarray.training.tasks import grid_labels
from cifarray.training.tasks.grid_labels import multi_label_metrics
from cifarray.training.tasks.kinds import GRID_LABELS

GRID = {"data__grid": 2}


def counted(said: torch.Tensor, true: torch.Tensor) -> dict[str, float]:
    """From the four counts of all labels of all pictures."""
    right = (said & true).sum().item()
    return {
        "precision": right / said.sum().item(),
        "recall": right / true.sum().item(),
        "f1": 2 * right / (said.sum().item() + true.sum().item()),
        "label_accuracy": (said == true).float().mean().item(),
        "exact_match": (said == true).all(1).float().mean().item(),
    }


def average_precision(scores: torch.Tensor, true: torch.Tensor) -> float:
    """The mean, over the true ones by falling score, of the share of true ones so far."""
    ranked = true[scores.argsort(descending=True)]
    precisions = ranked.cumsum(0) / torch.arange(1, len(ranked) + 1)
    return precisions[ranked].mean().item()


def test_metrics_of_many_labels_equal_their_definitions() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(200, 10, generator=generator)
    true = torch.rand(200, 10, generator=generator) < 0.344
    logits += 1.5 * true
    found = multi_label_metrics(logits, true.float())
    for name, value in counted(logits > 0, true).items():
        assert found[name] == pytest.approx(value, abs=1e-6), name
    assert found["map"] == pytest.approx(
        sum(average_precision(logits[:, c], true[:, c]) for c in range(10)) / 10, abs=1e-5
    )
    assert found["loss"] == pytest.approx(F.binary_cross_entropy_with_logits(logits, true.float()).item(), rel=1e-5)


def test_an_epoch_reports_the_metrics_of_many_labels_and_learns() -> None:
    states = train(tiny(**GRID, epochs=3))
    metrics = states[-1]["metrics"]
    assert {name.removeprefix("val_") for name in metrics if name.startswith("val_")} == {
        *GRID_LABELS.metrics,
        "label_accuracy_of_no",
    }
    # Ten classes, four images each, drawn from 30.
    assert 0.55 < metrics["val_label_accuracy_of_no"] < 0.75
    assert metrics["train_loss"] < states[0]["metrics"]["train_loss"]


def test_a_batch_shows_images_of_its_rows_and_says_what_they_are() -> None:
    training = Training(tiny(**GRID, data__crop_padding=0, data__flip=False), CPU)
    rows = training.train_rows[:6]
    pictures, targets = training.task.batch(rows, slice(None), epoch=1)
    assert pictures.shape == (6, 3, 32, 32)
    store = open_store(training.config.data.source, "train", 16)
    singles = training.task.augment(store.images, torch.arange(len(store.images)), seed=0, epoch=1)  # type: ignore[attr-defined]
    for picture, target, row in zip(pictures, targets, rows, strict=True):
        shown = set()
        for y, x in ((0, 0), (0, 16), (16, 0), (16, 16)):
            quarter = picture[:, y : y + 16, x : x + 16]
            same = (singles == quarter).flatten(1).all(1).nonzero().flatten()
            shown |= set(store.labels[same].tolist())
            if y == x == 0:
                assert row in same
        assert set(target.nonzero().flatten().tolist()) == shown


def test_each_quarter_is_augmented_by_all_that_is_on_with_a_number_of_its_own() -> None:
    fields = {"crop": "resized", "policy": "rand_augment", "color_jitter": 0.4, "pca_noise": 0.1, "cutout": 4}
    training = Training(tiny(**GRID, **{f"data__{name}": value for name, value in fields.items()}), CPU)
    rows = training.train_rows[:6]
    pictures, _ = training.task.batch(rows, slice(None), epoch=1)
    augment = training.task.augment  # type: ignore[attr-defined]
    upper_left = augment(training.images[rows], rows * 4, seed=training.config.seed, epoch=1)
    assert torch.equal(pictures[:, :, :16, :16], upper_left)


def evaluate_on(rank: int, world_size: int, count: int) -> dict[str, float]:
    training = Training(tiny(**GRID, precision="fp32"), CPU)
    return evaluate(training.classifier, training.images, training.labels, torch.arange(count), rank, world_size)


@pytest.mark.parametrize("count", [1, 31])
def test_every_picture_is_evaluated_once_whatever_the_number_of_ranks(two_ranks: Ranks, count: int) -> None:
    first, second = two_ranks(evaluate_on, count)
    assert first == second
    assert first == pytest.approx(evaluate_on(0, 1, count), rel=1e-5, nan_ok=True)


def test_evaluation_shows_the_same_pictures_every_time() -> None:
    assert evaluate_on(0, 1, 30) == evaluate_on(0, 1, 30)


def train_on(rank: int, world_size: int, config: Any) -> list[dict[str, Any]]:
    return train(config, rank, world_size)


def test_two_workers_agree_on_grids(two_ranks: Ranks) -> None:
    first, second = two_ranks(train_on, tiny(**GRID, epochs=1))
    assert_same_weights(first[0], second[0])
    assert first[0]["metrics"] == second[0]["metrics"]


@pytest.mark.parametrize(("most", "expected"), [(4 * 300, True), (4 * 300 - 1, False), (299, False)])
def test_batches_are_recorded_only_where_all_their_draws_are_made_anew_for_each_epoch(
    most: int, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a draw that is made batch by batch a recording would keep the epoch in which it was made."""
    monkeypatch.setattr(grid_labels, "rows_at_once", lambda rows, device: rows if rows <= most else None)
    assert Training(tiny(data__grid=2), CPU).task.batches_on_device is expected

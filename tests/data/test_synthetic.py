"""The generated images: the same everywhere, balanced, beyond a linear classifier, within a small network's reach."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from cifarray.config import DataConfig, ModelConfig, OptimizerConfig, ScheduleConfig, TrainConfig
from cifarray.data import epoch_order, normalise, open_store
from cifarray.data.synthetic import generate
from cifarray.training.loop import Training


def test_a_smaller_set_is_the_beginning_of_a_larger_one() -> None:
    small, large = generate(100, 32), generate(700, 32)
    assert torch.equal(large.train.images[:100], small.train.images)
    assert small.test is not None
    assert large.test is not None
    assert torch.equal(large.test.images[:20], small.test.images)


def test_classes_are_balanced_and_no_image_comes_twice() -> None:
    dataset = generate(1000, 32)
    assert dataset.test is not None
    assert dataset.train.labels.bincount().tolist() == [100] * 10
    assert dataset.test.labels.bincount().tolist() == [20] * 10
    assert len(dataset.classes) == 10
    everything = torch.cat([dataset.train.images, dataset.test.images]).flatten(1)
    assert len(everything.unique(dim=0)) == 1200


def test_the_default_is_10000_training_and_2000_test_images() -> None:
    assert [len(open_store("synthetic", split).labels) for split in ("train", "test")] == [10_000, 2_000]


def test_images_are_drawn_at_the_size_that_is_asked_for() -> None:
    small, large = (generate(50, side).train.images for side in (16, 64))
    shrunk = F.avg_pool2d(large.permute(0, 3, 1, 2).float(), 4).permute(0, 2, 3, 1)
    # The same pictures: they differ by noise (uniform, ±38 grey levels) and at edges.
    assert (shrunk - small.float()).abs().mean() < 38


@pytest.mark.slow
def test_a_linear_classifier_on_pixels_stays_under_45_percent() -> None:
    torch.manual_seed(0)
    train, test = (open_store("synthetic", split) for split in ("train", "test"))
    pixels, unseen = (normalise(store.images, train.mean, train.std).flatten(1) for store in (train, test))
    model = nn.Linear(3072, 10)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, weight_decay=1e-3)
    accuracies = []
    for epoch in range(10):
        for rows in epoch_order(torch.arange(len(pixels)), 0, epoch).split(128):
            loss = F.cross_entropy(model(pixels[rows]), train.labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        accuracies.append((model(unseen).argmax(1) == test.labels).float().mean().item())
    assert max(accuracies) < 0.45


@pytest.mark.nightly
@pytest.mark.slow
@pytest.mark.timeout(900)  # half a minute on two idle cores
def test_wrn_10_1_passes_80_percent_in_5_epochs_of_10000_images() -> None:
    config = TrainConfig(
        model=ModelConfig(name="wide_resnet", depth=10, widen_factor=1),
        data=DataConfig(source="synthetic:12000", validation=2000),
        optimizer=OptimizerConfig(lr=0.2),
        schedule=ScheduleConfig(name="one_cycle"),
        epochs=5,
    )
    training = Training(config, torch.device("cpu"))
    assert len(training.train_rows) == 10_000
    for _ in range(5):
        metrics = training.run_epoch()
    assert metrics["val_accuracy"] > 0.80

"""The generated images: the same everywhere, balanced, beyond a linear classifier, within a small network's reach."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from cifarray.config import DataConfig
from cifarray.data import Augmentation, epoch_order, normalise, open_store
from cifarray.data.synthetic import generate


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


@pytest.mark.slow
def test_wrn_10_1_passes_80_percent_in_5_epochs_of_10000_images() -> None:
    models = pytest.importorskip("cifarray.models")
    torch.manual_seed(0)
    train, test = (open_store("synthetic", split) for split in ("train", "test"))
    augment = Augmentation(DataConfig(), train.mean, train.std)
    model = models.build("wide_resnet", depth=10, widen_factor=1).to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.2, momentum=0.9, nesterov=True, weight_decay=5e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.2, total_steps=5 * 79, cycle_momentum=False)
    for epoch in range(5):
        for rows in epoch_order(torch.arange(10_000), 0, epoch).split(128):
            batch = augment(train.images.index_select(0, rows), rows, seed=0, epoch=epoch)
            loss = F.cross_entropy(model(batch), train.labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    model.eval()
    with torch.no_grad():
        logits = torch.cat([model(normalise(images, train.mean, train.std)) for images in test.images.split(500)])
    assert (logits.argmax(1) == test.labels).float().mean() > 0.80

"""Networks that see less than the stored image: a random part while they train, the centre when they are asked."""

import pytest
import torch
from tiny import CPU, tiny
from torchvision.transforms.v2 import functional as reference

from cifarray.data import normalise, open_store
from cifarray.training.loop import Training

SMALLER = {"data__image_size": 32, "data__crop_size": 16, "precision": "fp32"}


@pytest.mark.parametrize("crop", ["padded", "resized"])
def test_it_trains_on_crops_and_is_evaluated_on_the_centre_of_whole_images(crop: str) -> None:
    training = Training(tiny(**SMALLER, data__crop=crop, epochs=1), CPU)
    images, _ = training.task.batch(training.train_rows[:4], slice(None), epoch=1)
    assert images.shape == (4, 3, 16, 16)
    metrics = training.run_epoch()
    assert 0 <= metrics["val_accuracy"] <= 1

    store = open_store(training.config.data.source, "test", 32)
    classifier = training.classifier.eval()
    with torch.inference_mode():
        found = classifier(store.images)
        # 16 · 256 / 224 is 18.3.
        seen = reference.resize(store.images.permute(0, 3, 1, 2).float(), [18, 18], antialias=True)
        seen = reference.center_crop(seen, [16, 16]).permute(0, 2, 3, 1)
        expected = training.network(normalise(seen, store.mean, store.std))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_images_of_the_side_that_the_network_sees_are_not_the_stored_ones() -> None:
    classifier = Training(tiny(**SMALLER), CPU).classifier
    with pytest.raises(ValueError, match=r"give \(N, 32, 32, 3\) of torch.uint8"):
        classifier(torch.zeros(2, 16, 16, 3, dtype=torch.uint8))


def test_a_crop_as_large_as_the_image_is_all_of_it() -> None:
    whole, same = (Training(tiny(data__crop_size=size), CPU) for size in (None, 16))
    images = open_store(whole.config.data.source, "test", 16).images[:8]
    with torch.inference_mode():
        assert same.classifier.eval()(images).equal(whole.classifier.eval()(images))

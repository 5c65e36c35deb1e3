"""A trained network as one module: probabilities of raw images, whatever its family, also after it was pickled."""

import io
from typing import Any

import pytest
import torch
from trainings import FAMILIES, family

from cifarray.config import TrainConfig, override
from cifarray.models import count_params
from cifarray.training.served import tiny_of_its_kind


@pytest.mark.parametrize("name", FAMILIES)
def test_a_network_of_each_family_is_the_same_after_it_was_pickled(name: str) -> None:
    served = tiny_of_its_kind(override(family(name), {"precision": "fp32"}), 7)
    file = io.BytesIO()
    torch.save(served, file)
    file.seek(0)
    again = torch.load(file, weights_only=False)
    side = served.image_size
    images = torch.arange(2 * side * side * 3).remainder(256).to(torch.uint8).view(2, side, side, 3)
    answers = served(images)
    assert answers.shape == (2, 7)
    assert answers.sum(1).tolist() == pytest.approx([1.0, 1.0], abs=1e-5)
    assert torch.equal(again(images), answers)
    assert (again.config, again.classes, again.image_size) == (served.config, served.classes, side)


@pytest.mark.parametrize(
    ("model", "larger"),
    [
        ({"name": "wide_resnet", "depth": 28, "widen_factor": 10}, 400),
        ({"name": "densenet", "depth": 100, "growth_rate": 12, "bottleneck": True, "compression": 0.5}, 50),
        ({"name": "pyramidnet", "depth": 110, "alpha": 84, "bottleneck": False}, 40),
        ({"name": "imagenet_resnet", "depth": 152, "tweak": "d"}, 400),
    ],
)
def test_what_stands_for_a_large_network_is_small_and_of_its_kind(model: dict[str, Any], larger: int) -> None:
    tiny = tiny_of_its_kind(TrainConfig.from_dict({"model": model}), 10).config.model
    assert tiny.name == model["name"]
    kept = {name: value for name, value in model.items() if name in ("bottleneck", "compression", "tweak")}
    assert kept.items() <= tiny.options.items()
    options = {name: value for name, value in model.items() if name != "name"}
    assert count_params(tiny.name, 10, options) > larger * count_params(tiny.name, 10, tiny.options)

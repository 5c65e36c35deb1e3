"""Policies are torchvision's, each image changed under the seed that is its draw."""

import subprocess
import sys

import pytest
import torch
from augmented import PLAIN, as_pixels, augment, plain, random_images
from PIL import Image
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional

from cifarray.data import draw
from cifarray.data.policies import Policy

POLICIES = {"trivial_augment": v2.TrivialAugmentWide(), "rand_augment": v2.RandAugment(num_ops=2, magnitude=9)}


@pytest.mark.parametrize("name", POLICIES)
def test_each_image_is_what_torchvision_makes_of_it_under_its_seed(name: str) -> None:
    images, draws = random_images(200), draw("a test", 0, 0, torch.arange(200), 1)[:, 0]
    changed = Policy(name)(images, draws)
    for pixels, image, seed in zip(changed, images, draws.tolist(), strict=True):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            expected = functional.pil_to_tensor(POLICIES[name](Image.fromarray(image.numpy())))
        assert torch.equal(pixels.permute(2, 0, 1), expected)


@pytest.mark.parametrize("name", POLICIES)
def test_most_images_are_changed_each_in_its_own_way(name: str) -> None:
    same = random_images(1).expand(300, -1, -1, -1)
    pixels = as_pixels(augment(plain(policy=name), same, torch.arange(300))).round()
    assert (pixels != same).flatten(1).any(1).sum() > 200
    assert len(pixels.flatten(1).unique(dim=0)) > (100 if name == "trivial_augment" else 80)


def test_torchs_own_generator_is_left_as_it_was() -> None:
    torch.manual_seed(1)
    expected = torch.rand(4)
    torch.manual_seed(1)
    augment(plain(policy="trivial_augment"), random_images(4), torch.arange(4))
    assert torch.equal(torch.rand(4), expected)


def test_torchvisions_transforms_are_imported_only_for_a_policy() -> None:
    script = (
        "import sys; from cifarray.config import DataConfig; from cifarray.data import Augmentation;"
        "Augmentation(DataConfig(), (0,) * 3, (1,) * 3, ((0,) * 3,) * 3);"
        "sys.exit('torchvision.transforms' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script]).returncode == 0


def test_no_policy_changes_nothing() -> None:
    images = random_images(8)
    assert torch.equal(as_pixels(augment(PLAIN, images, torch.arange(8))).round(), images.double())

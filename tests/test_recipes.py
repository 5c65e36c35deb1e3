"""The recipes against their sources."""

import pytest

from cifarray import recipes
from cifarray.config import TrainConfig
from cifarray.models import measure


def test_wide_resnet_28_10_is_the_papers() -> None:
    """arXiv:1605.07146 §3 and scripts/train_cifar.sh: SGD with Nesterov momentum, 0.1 × 0.2 at 60, 120, 160 of 200."""
    config = recipes.get("wide_resnet_28_10")
    size = measure(config.model.name, 10, 32, config.model.options)
    assert size.num_params == 36_479_194
    assert (config.epochs, config.batch_size) == (200, 128)
    optimizer, schedule, data = config.optimizer, config.schedule, config.data
    assert (optimizer.name, optimizer.lr, optimizer.momentum, optimizer.nesterov) == ("sgd", 0.1, 0.9, True)
    assert optimizer.weight_decay == 5e-4
    assert (schedule.name, schedule.gamma, schedule.warmup) == ("multistep", 0.2, 0)
    assert [milestone * config.epochs for milestone in schedule.milestones] == pytest.approx([60, 120, 160])
    assert (data.crop_padding, data.padding_mode, data.flip, data.cutout) == (4, "reflect", True, 0)
    assert config.label_smoothing == 0


@pytest.mark.parametrize("name", recipes.RECIPES)
def test_every_recipe_is_a_config_that_can_be_built(name: str) -> None:
    config = recipes.get(name)
    assert isinstance(config, TrainConfig)
    assert measure(config.model.name, 10, config.data.image_size, config.model.options).num_params > 0


def test_every_recipe_names_its_source() -> None:
    for recipe in recipes.RECIPES.values():
        assert "arXiv:" in (recipe.__doc__ or "")


def test_an_unknown_name_is_refused_with_the_choices_and_the_nearest() -> None:
    message = "recipe 'wide_resnet_fst' is not known: choose wide_resnet_28_10 or wide_resnet_fast; did you mean "
    with pytest.raises(ValueError, match=rf"^{message}wide_resnet_fast\?$"):
        recipes.get("wide_resnet_fst")
    with pytest.raises(ValueError, match="choose wide_resnet_28_10 or wide_resnet_fast$"):
        recipes.get("zzz")

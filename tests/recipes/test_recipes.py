"""The recipes against their sources."""

import pytest

from cifarray import recipes
from cifarray.config import TrainConfig
from cifarray.models import check_init, check_stochastic_depth, measure


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
def test_every_recipe_is_a_config_that_its_network_allows(name: str) -> None:
    config = recipes.get(name)
    assert isinstance(config, TrainConfig)
    name, options = config.model.name, config.model.options
    check_init(name, options, config.init.weights, config.init.zero_gamma)
    check_stochastic_depth(name, options, config.stochastic_depth)


NAMED = (
    "alexnet",
    "small_alexnet",
    "resnet13_adamw",
    "resnet13_adam",
    "resnet13_sgd",
    "resnet13_grid",
    "plain_cnn_32_adam",
    "resnet_32_adam",
    "preact_resnet_32_adam",
    "resnet_32",
    "preact_resnet_32",
    "resnet_110",
    "stochastic_depth_110",
    "preact_resnet_1001",
    "wide_resnet_16_8",
    "wide_resnet_28_10",
    "wide_resnet_28_10_dropout",
    "densenet_40_12",
    "densenet_40_12_no_augmentation",
    "densenet_100_24",
    "densenet_bc_100_12",
    "densenet_bc_190_40",
    "pyramidnet_110_48",
    "pyramidnet_110_270",
    "pyramidnet_272_200",
    "resnet_50",
    "resnet_50_b",
    "resnet_50_c",
    "resnet_50_d",
    "resnet_152_d",
)


def test_the_networks_of_the_papers_and_posts_have_a_recipe() -> None:
    assert set(NAMED) <= recipes.RECIPES.keys()


# As the papers print them, or the posts to the digit.
PRINTED = {
    "alexnet": 58_292_074,
    "small_alexnet": 12_417_098,
    "resnet_32": "0.46M",
    "resnet_110": "1.7M",
    "stochastic_depth_110": "1.7M",
    "wide_resnet_16_8": "11.0M",
    "wide_resnet_28_10": "36.5M",
    "densenet_40_12": "1.0M",
    "densenet_100_24": "27.2M",
    "densenet_bc_100_12": "0.8M",
    "densenet_bc_190_40": "25.6M",
    "pyramidnet_110_48": 1_772_706,
}


@pytest.mark.parametrize("name", PRINTED)
def test_a_recipes_network_has_the_printed_number_of_parameters(name: str) -> None:
    config = recipes.get(name)
    found = measure(config.model.name, 10, config.data.input_size, config.model.options).num_params
    printed = PRINTED[name]
    if isinstance(printed, int):
        assert found == printed
    else:
        digits = len(printed.partition(".")[2]) - 1
        assert f"{found / 1e6:.{digits}f}M" == printed


@pytest.mark.parametrize(
    ("name", "epochs", "batch_size", "lr", "weight_decay", "drops"),
    [
        # arXiv:1512.03385 §4.2: 64k steps of 128 of 45,000 images; 0.1 / 10 at 32k and 48k; 1e-4.
        ("resnet_110", 182, 128, 0.1, 1e-4, [91, 136.5]),
        # arXiv:1603.09382 §4: 500 epochs, / 10 at 250 and 375.
        ("stochastic_depth_110", 500, 128, 0.1, 1e-4, [250, 375]),
        # arXiv:1608.06993 §4.2: batches of 64, 300 epochs, / 10 at 50 % and 75 %; 1e-4.
        ("densenet_40_12", 300, 64, 0.1, 1e-4, [150, 225]),
        # arXiv:1610.02915 §4.1: 300 epochs, / 10 at 150 and 225.
        ("pyramidnet_110_48", 300, 128, 0.1, 1e-4, [150, 225]),
        # arXiv:1812.01187 §2.1: 120 epochs of batches of 256, / 10 at 30, 60, 90.
        ("resnet_50_d", 120, 256, 0.1, 1e-4, [30, 60, 90]),
    ],
)
def test_the_papers_settings(
    name: str, epochs: int, batch_size: int, lr: float, weight_decay: float, drops: list[float]
) -> None:
    config = recipes.get(name)
    assert (config.epochs, config.batch_size) == (epochs, batch_size)
    assert (config.optimizer.name, config.optimizer.lr, config.optimizer.weight_decay) == ("sgd", lr, weight_decay)
    assert [milestone * epochs for milestone in config.schedule.milestones] == pytest.approx(drops)
    assert config.schedule.gamma == 0.1


def test_the_tensorflow_posts_settings() -> None:
    """Adam with 0.005, batches of 100, 50 epochs, 10,000 images for validation, no augmentation, no decay."""
    for name in ("plain_cnn_32_adam", "resnet_32_adam", "preact_resnet_32_adam"):
        config = recipes.get(name)
        assert (config.optimizer.name, config.optimizer.lr, config.optimizer.weight_decay) == ("adam", 0.005, 0.0)
        assert (config.epochs, config.batch_size, config.data.validation) == (50, 100, 10_000)
        assert (config.data.crop_padding, config.data.flip) == (0, False)


def test_densenet_has_dropout_only_where_the_data_is_not_augmented() -> None:
    """arXiv:1608.06993 §4.2."""
    plain, augmented = recipes.get("densenet_40_12_no_augmentation"), recipes.get("densenet_40_12")
    assert (plain.model.options["dropout"], plain.data.flip, plain.data.crop_padding) == (0.2, False, 0)
    assert (augmented.model.options["dropout"], augmented.data.flip, augmented.data.crop_padding) == (0.0, True, 4)


def test_every_recipe_names_its_source_and_what_it_is() -> None:
    for recipe in recipes.RECIPES.values():
        assert recipe.published.source
        assert recipe.__doc__


def test_a_published_error_stands_in_the_docstring() -> None:
    for recipe in recipes.RECIPES.values():
        error = recipe.published.error
        if error is not None:
            assert f"{error:.2f} %" in recipe.__doc__ or f"{100 - error:.2f} %" in recipe.__doc__, recipe.name


def test_a_recipe_is_found_by_its_name_and_as_an_attribute() -> None:
    assert recipes.wide_resnet_28_10() == recipes.get("wide_resnet_28_10")


def test_an_unknown_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(ValueError, match="recipe 'wide_resnet_fst' is not known: choose wide_resnet_fast or "):
        recipes.get("wide_resnet_fst")
    with pytest.raises(ValueError, match="jobs/train.py --list"):
        recipes.get("zzz")

"""Training runs with a name and a source, with the figures published there.

A recipe is a function without arguments that returns a train config; vary it with `config.override`.
Not here: what a search varies (`search_spaces/`).
"""

import difflib
from collections.abc import Callable

from cifarray.config import DataConfig, ModelConfig, OptimizerConfig, ScheduleConfig, TrainConfig


def wide_resnet_28_10() -> TrainConfig:
    """WRN-28-10 as Zagoruyko & Komodakis 2016 train it (arXiv:1605.07146 §3, scripts/train_cifar.sh of the authors).

    36,479,194 parameters (the paper prints 36.5M). CIFAR-10 test error 4.00 % with flips and crops and mean/std
    normalisation, median of five runs on all 50,000 training images without dropout; with dropout 0.3 it is 3.89 %
    (both from the authors' README). For that comparison set data.validation to 0: here a tenth is held out, as for
    every search.
    """
    return TrainConfig(
        model=ModelConfig(name="wide_resnet", depth=28, widen_factor=10, dropout=0.0),
        data=DataConfig(padding_mode="reflect"),
        optimizer=OptimizerConfig(name="sgd", lr=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4),
        schedule=ScheduleConfig(name="multistep", milestones=(0.3, 0.6, 0.8), gamma=0.2),
        epochs=200,
        batch_size=128,
    )


def wide_resnet_fast() -> TrainConfig:
    """WRN-16-1 in 5 epochs of one cycle (Smith & Topin 2017, arXiv:1708.07120): minutes on two CPU cores.

    175,066 parameters. The settings are ours, nothing is published for them. On a JPEG copy of CIFAR-10, trained on
    45,000 images of the training split, bf16: 78.6 % accuracy on the other 5,000 (one run, seed 0).
    """
    return TrainConfig(
        model=ModelConfig(name="wide_resnet", depth=16, widen_factor=1, dropout=0.0),
        optimizer=OptimizerConfig(name="sgd", lr=0.4, momentum=0.9, nesterov=True, weight_decay=5e-4),
        schedule=ScheduleConfig(name="one_cycle"),
        epochs=5,
        batch_size=128,
    )


RECIPES: dict[str, Callable[[], TrainConfig]] = {
    recipe.__name__: recipe for recipe in (wide_resnet_28_10, wide_resnet_fast)
}


def get(name: str) -> TrainConfig:
    """The train config of a recipe. Raises ValueError for a name that is not one."""
    if name not in RECIPES:
        similar = difflib.get_close_matches(name, RECIPES, n=1, cutoff=0.4)
        nearest = f"; did you mean {similar[0]}?" if similar else ""
        raise ValueError(f"recipe {name!r} is not known: choose {' or '.join(RECIPES)}{nearest}")
    return RECIPES[name]()

"""ResNet-13 of a post ("CIFAR-10 ResNet13", 2023), with its comparison of optimizers and its 2 × 2 grids."""

from typing import Literal

from cifarray.config import DataConfig, ModelConfig, OptimizerConfig, ScheduleConfig, TrainConfig
from cifarray.recipes.registry import Published, recipe

_SOURCE = "post: CIFAR-10 ResNet13"


def _post(optimizer: Literal["adamw", "adam", "sgd"], *, grid: bool = False) -> TrainConfig:
    """Stated: learning rate, epochs, batch size. Ours: no augmentation, decay 0.01 for AdamW (torch's default)."""
    return TrainConfig(
        model=ModelConfig(name="resnet13", blocks=(2, 2, 1, 1), stem="7x7", max_pool=grid),
        data=DataConfig(crop_padding=0, flip=False, grid=2 if grid else 1),
        optimizer=OptimizerConfig(
            name=optimizer,
            lr=0.1 if optimizer == "sgd" else 0.001,
            nesterov=False,
            weight_decay={"adamw": 0.01, "adam": 0.0, "sgd": 1e-4}[optimizer],
        ),
        schedule=ScheduleConfig(name="constant"),
        epochs=30,
        batch_size=64 if grid else 256,
    )


@recipe(Published(source=_SOURCE, error=25.81))
def resnet13_adamw() -> TrainConfig:
    """AdamW with rate 0.001 on 30 epochs, batches of 256: 74.19 % in the post (it does not say on which images).

    5,280,330 parameters in our reading of "13 convolutions" (`cifarray.models.resnet13`). Not stated and so ours:
    weight decay 0.01, no augmentation, a constant rate.
    """
    return _post("adamw")


@recipe(Published(source=_SOURCE))
def resnet13_adam() -> TrainConfig:
    """As `resnet13_adamw` with Adam, which the post found not to settle; it gives no figure."""
    return _post("adam")


@recipe(Published(source=_SOURCE))
def resnet13_sgd() -> TrainConfig:
    """As `resnet13_adamw` with SGD, which the post avoided by taste. Rate 0.1 and decay 1e-4 are He et al.'s (2015)."""
    return _post("sgd")


@recipe(
    Published(source=_SOURCE, note="precision 53.16 %, recall 72.12 %, per-label accuracy 68.23 %, exact match 1.64 %")
)
def resnet13_grid() -> TrainConfig:
    """CIFAR-10-2x2: four images in a 64 × 64 picture, ten labels of which several are true; batches of 64.

    The post has precision 53.16 %, recall 72.12 %, per-label accuracy 68.23 % (saying no to everything has 65.6 %) and
    exact match 1.64 %. The max pooling after the stem stays, since the pictures are twice as large.
    """
    return _post("adamw", grid=True)

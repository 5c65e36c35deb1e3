"""One small network of each family in a few epochs: minutes on two CPU cores.

The settings are ours and nothing is published for them. Networks have one cycle (Smith & Topin 2017,
arXiv:1708.07120), the linear classifier a cosine.
"""

from typing import Any

from cifarray.config import DataConfig, ModelConfig, OptimizerConfig, ScheduleConfig, TrainConfig
from cifarray.recipes.registry import Published, recipe

_OURS = Published(source="ours")


def _fast(model: dict[str, Any], lr: float = 0.2) -> TrainConfig:
    return TrainConfig(
        model=ModelConfig.model_validate(model),
        optimizer=OptimizerConfig(name="sgd", lr=lr, momentum=0.9, nesterov=True, weight_decay=5e-4),
        schedule=ScheduleConfig(name="one_cycle"),
        epochs=5,
        batch_size=128,
    )


@recipe(_OURS)
def wide_resnet_fast() -> TrainConfig:
    """WRN-16-1 in 5 epochs: 175,066 parameters.

    On a JPEG copy of CIFAR-10, trained on 45,000 images of the training split, bf16: 78.4 ± 0.5 % accuracy on the other
    5,000 (three seeds).
    """
    return _fast({"name": "wide_resnet", "depth": 16, "widen_factor": 1, "dropout": 0.0}, lr=0.4)


@recipe(_OURS)
def linear() -> TrainConfig:
    """A linear classifier on pixels, whose only augmentation is flips: the floor that every comparison shows."""
    return TrainConfig(
        model=ModelConfig(name="linear", side=32),
        data=DataConfig(crop_padding=0, flip=True),
        optimizer=OptimizerConfig(name="sgd", lr=0.002, momentum=0.9, nesterov=True, weight_decay=0.01),
        schedule=ScheduleConfig(name="cosine"),
        epochs=10,
        batch_size=128,
    )


@recipe(_OURS)
def alexnet_fast() -> TrainConfig:
    """SmallAlexNet in 5 epochs. Without batch normalisation it does not move under SGD's large rates: AdamW."""
    return TrainConfig(
        model=ModelConfig(name="alexnet", size="small"),
        optimizer=OptimizerConfig(name="adamw", lr=0.0005, weight_decay=0.01),
        schedule=ScheduleConfig(name="one_cycle"),
        epochs=5,
        batch_size=64,
    )


@recipe(_OURS)
def resnet13_fast() -> TrainConfig:
    """ResNet-13 with the post's stem in 5 epochs."""
    return _fast({"name": "resnet13", "blocks": (2, 2, 1, 1), "stem": "7x7", "max_pool": False})


@recipe(_OURS)
def plain_cnn_fast() -> TrainConfig:
    """A plain CNN of 14 layers in 5 epochs."""
    return _fast({"name": "plain_cnn", "depth": 14, "norm": "batch", "variant": "paper"})


@recipe(_OURS)
def resnet_fast() -> TrainConfig:
    """ResNet-14 in 5 epochs."""
    return _fast({"name": "resnet", "depth": 14, "shortcut": "A", "norm": "batch", "variant": "paper"})


@recipe(_OURS)
def preact_resnet_fast() -> TrainConfig:
    """Pre-activation ResNet-14 in 5 epochs."""
    return _fast({"name": "preact_resnet", "depth": 14, "shortcut": "B", "norm": "batch", "variant": "paper"})


@recipe(_OURS)
def stochastic_depth_fast() -> TrainConfig:
    """ResNet-14 with stochastic depth in 5 epochs; a death rate for so few blocks."""
    return _fast({"name": "stochastic_depth_resnet", "depth": 14, "death_rate": 0.2, "mode": "linear"})


@recipe(_OURS)
def densenet_fast() -> TrainConfig:
    """DenseNet-BC (L=22, k=12) in 5 epochs."""
    model = {"name": "densenet", "depth": 22, "growth_rate": 12, "bottleneck": True, "compression": 0.5}
    return _fast(model)


@recipe(_OURS)
def pyramidnet_fast() -> TrainConfig:
    """PyramidNet-14, α = 24, in 5 epochs."""
    return _fast({"name": "pyramidnet", "depth": 14, "alpha": 24, "bottleneck": False, "widening": "additive"})


@recipe(_OURS)
def imagenet_resnet_fast() -> TrainConfig:
    """ResNet-26-D an eighth as wide, in 5 epochs."""
    return _fast({"name": "imagenet_resnet", "depth": 26, "tweak": "d", "stem": "cifar", "base_width": 8})


@recipe(_OURS)
def torchvision_fast() -> TrainConfig:
    """torchvision's ResNet-18, ImageNet's stem and all, in 5 epochs."""
    return _fast({"name": "torchvision", "arch": "resnet18", "resize": None}, lr=0.1)

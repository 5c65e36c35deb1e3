"""Residual networks for CIFAR: the papers' (He et al. 2015 and 2016, Huang et al. 2016) and a TensorFlow post's."""

from typing import Any

from cifarray.config import DataConfig, ModelConfig, OptimizerConfig, ScheduleConfig, TrainConfig
from cifarray.recipes.registry import Published, recipe

_HE_2015 = "He et al. 2015, arXiv:1512.03385, table 6"
_HE_2016 = "He et al. 2016, arXiv:1603.05027"


def _he(model: dict[str, Any], *, warmup: float = 0.0) -> TrainConfig:
    """§4.2 of arXiv:1512.03385: 64,000 steps of 128 images, the rate divided by 10 at 32,000 and 48,000.

    With 45,000 images that is 182 epochs. The paper subtracts a mean per pixel, we normalise per channel.
    """
    return TrainConfig(
        model=ModelConfig.model_validate(model),
        optimizer=OptimizerConfig(name="sgd", lr=0.1, momentum=0.9, nesterov=False, weight_decay=1e-4),
        schedule=ScheduleConfig(name="multistep", milestones=(0.5, 0.75), gamma=0.1, warmup=warmup),
        epochs=182,
        batch_size=128,
    )


def _post(model: dict[str, Any]) -> TrainConfig:
    """Adam with rate 0.005, batches of 100, 50 epochs, 10,000 images held out, neither augmentation nor decay."""
    return TrainConfig(
        model=ModelConfig.model_validate(model),
        data=DataConfig(validation=10_000, crop_padding=0, flip=False),
        optimizer=OptimizerConfig(name="adam", lr=0.005, weight_decay=0.0),
        schedule=ScheduleConfig(name="constant"),
        epochs=50,
        batch_size=100,
    )


@recipe(Published(source=_HE_2015, error=7.51, params="0.46M", train_images=45_000))
def resnet_32() -> TrainConfig:
    """ResNet-32 (arXiv:1512.03385 §4.2): 464,154 parameters, printed as 0.46M; CIFAR-10 test error 7.51 %.

    Trained on 45,000 images, as here.
    """
    return _he({"name": "resnet", "depth": 32, "shortcut": "A", "norm": "batch", "variant": "paper"})


@recipe(
    Published(source=_HE_2015, error=6.43, params="1.7M", train_images=45_000, note="best of five; 6.61 ± 0.16 in all")
)
def resnet_110() -> TrainConfig:
    """ResNet-110 (arXiv:1512.03385 §4.2): 1,727,962 parameters, printed as 1.7M; test error 6.43 %, best of five runs.

    The paper trains with a rate of 0.01 until the training error is below 80 % (about 400 steps); here the rate rises
    over those 400 steps.
    """
    model = {"name": "resnet", "depth": 110, "shortcut": "A", "norm": "batch", "variant": "paper"}
    return _he(model, warmup=400 / 64_000)


@recipe(Published(source=f"{_HE_2016}, architecture; no figure for this depth"))
def preact_resnet_32() -> TrainConfig:
    """Pre-activation ResNet-32 (arXiv:1603.05027): 464,154 parameters with shortcut A; trained as `resnet_32`.

    The paper gives no figure for this depth.
    """
    return _he({"name": "preact_resnet", "depth": 32, "bottleneck": False, "shortcut": "A", "norm": "batch"})


@recipe(Published(source=f"{_HE_2016}, table 4", error=4.92, params="10.2M", note="4.62 with batches of 64"))
def preact_resnet_1001() -> TrainConfig:
    """Pre-activation ResNet-1001 with bottlenecks (arXiv:1603.05027): 10,327,706 parameters, 10.2M without BN's.

    CIFAR-10 test error 4.92 %, with batches of 64 4.62 % (median of five 4.69 ± 0.20). How many images were trained on
    is not stated in what we read; the first 400 steps warm up.
    """
    model = {"name": "preact_resnet", "depth": 1001, "bottleneck": True, "shortcut": "B", "norm": "batch"}
    return _he(model, warmup=400 / 64_000)


@recipe(
    Published(
        source="Huang et al. 2016, arXiv:1603.09382, table 1",
        error=5.25,
        params="1.7M",
        train_images=45_000,
        note="the epoch with the best validation error; 6.41 without stochastic depth",
    )
)
def stochastic_depth_110() -> TrainConfig:
    """ResNet-110 with stochastic depth (arXiv:1603.09382): 1,727,962 parameters; CIFAR-10 test error 5.25 %.

    500 epochs, the rate divided by 10 after 250 and 375, as in the authors' code. They report the epoch with the best
    validation error, here the last one counts.
    """
    return TrainConfig(
        model=ModelConfig(name="stochastic_depth_resnet", depth=110, death_rate=0.5, mode="linear"),
        optimizer=OptimizerConfig(name="sgd", lr=0.1, momentum=0.9, nesterov=True, weight_decay=1e-4),
        schedule=ScheduleConfig(name="multistep", milestones=(0.5, 0.75), gamma=0.1),
        epochs=500,
        batch_size=128,
    )


@recipe(Published(source="post: ResNet-32 in TensorFlow", note="curves without figures; the CNN did not learn"))
def plain_cnn_32_adam() -> TrainConfig:
    """The post's CNN of 31 convolutions without shortcuts: 465,290 parameters.

    In the post batch normalisation never used a batch's statistics; `--set model.norm=affine` computes the same. Here
    it is batch normalisation.
    """
    return _post({"name": "plain_cnn", "depth": 32, "norm": "batch", "variant": "post"})


@recipe(Published(source="post: ResNet-32 in TensorFlow", note="curves without figures"))
def resnet_32_adam() -> TrainConfig:
    """The post's "original" ResNet-32: 465,290 parameters; on batch normalisation see `plain_cnn_32_adam`."""
    return _post({"name": "resnet", "depth": 32, "shortcut": "A", "norm": "batch", "variant": "post"})


@recipe(Published(source="post: ResNet-32 in TensorFlow", note="curves without figures; better than the other two"))
def preact_resnet_32_adam() -> TrainConfig:
    """The post's "proposed" ResNet-32: 465,194 parameters, BN-ReLU after the stem and none before the pooling."""
    return _post({"name": "preact_resnet", "depth": 32, "shortcut": "A", "norm": "batch", "variant": "post"})

"""ResNet-50 and its tweaks: He et al. 2019, "Bag of Tricks", arXiv:1812.01187, §2.1 and §4.

The published errors are on ImageNet and say nothing of CIFAR. Stems here are for 32 × 32 images.
"""

from cifarray.config import ModelConfig, OptimizerConfig, ScheduleConfig, TrainConfig
from cifarray.recipes.registry import Published, recipe

_SOURCE = "He et al. 2019, arXiv:1812.01187"


def _paper(depth: int, tweak: str) -> TrainConfig:
    """§2.1: NAG, 120 epochs, batches of 256, rate 0.1 divided by 10 after 30, 60 and 90; decay 1e-4 of everything.

    Ours: pad-crop and flip in place of random-resized crops and colours.
    """
    return TrainConfig(
        model=ModelConfig(name="imagenet_resnet", depth=depth, tweak=tweak, stem="cifar", base_width=64),
        optimizer=OptimizerConfig(name="sgd", lr=0.1, momentum=0.9, nesterov=True, weight_decay=1e-4),
        schedule=ScheduleConfig(name="multistep", milestones=(0.25, 0.5, 0.75), gamma=0.1),
        epochs=120,
        batch_size=256,
    )


def _published(error: float | None, params: str, note: str = "") -> Published:
    return Published(f"{_SOURCE}, table 5", error, params, dataset="imagenet", train_images=1_281_167, note=note)


@recipe(_published(23.79, "25,557,032 (1000 classes)"))
def resnet_50() -> TrainConfig:
    """ResNet-50 with the stride on the first 1×1 (arXiv:1812.01187 §4.1): 23,520,842 parameters for 10 classes.

    ImageNet top-1 76.21 %.
    """
    return _paper(50, "none")


@recipe(_published(23.34, "25,557,032 (1000 classes)"))
def resnet_50_b() -> TrainConfig:
    """ResNet-50-B, the stride on the 3×3 (§4.2): 23,520,842 parameters for 10 classes. ImageNet top-1 76.66 %."""
    return _paper(50, "b")


@recipe(_published(23.13, "25,576,264 (1000 classes)"))
def resnet_50_c() -> TrainConfig:
    """ResNet-50-C, B with three 3×3 in the stem (§4.2): 23,547,754 parameters for 10 classes.

    ImageNet top-1 76.87 %.
    """
    return _paper(50, "c")


@recipe(_published(22.84, "25,576,264 (1000 classes)"))
def resnet_50_d() -> TrainConfig:
    """ResNet-50-D, C with a mean before the shortcut's 1×1 (§4.2): 23,547,754 parameters for 10 classes.

    ImageNet top-1 77.16 %.
    """
    return _paper(50, "d")


@recipe(
    Published(
        "He et al. 2019, arXiv:1812.01187, §5.3; figure of gluon-cv",
        19.39,
        "60,212,040 (1000 classes)",
        dataset="imagenet",
        note="the teacher of the distillation; gluon-cv's full recipe",
    )
)
def resnet_152_d() -> TrainConfig:
    """ResNet-152-D, the teacher (§5.3): 58,183,530 parameters for 10 classes. ImageNet top-1 80.61 % (gluon-cv)."""
    return _paper(152, "d")

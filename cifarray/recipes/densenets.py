"""DenseNets: Huang et al. 2017, arXiv:1608.06993, table 2."""

from cifarray.config import DataConfig, ModelConfig, OptimizerConfig, ScheduleConfig, TrainConfig
from cifarray.recipes.registry import Published, recipe


def _paper(depth: int, growth_rate: int, *, bc: bool = False, augmented: bool = True) -> TrainConfig:
    """§4.2: 300 epochs, batches of 64, the rate divided by 10 at 50 % and 75 %; dropout 0.2 without augmentation."""
    return TrainConfig(
        model=ModelConfig(
            name="densenet",
            depth=depth,
            growth_rate=growth_rate,
            bottleneck=bc,
            compression=0.5 if bc else 1.0,
            dropout=0.0 if augmented else 0.2,
            memory_efficient=False,
        ),
        data=DataConfig() if augmented else DataConfig(crop_padding=0, flip=False),
        optimizer=OptimizerConfig(name="sgd", lr=0.1, momentum=0.9, nesterov=True, weight_decay=1e-4),
        schedule=ScheduleConfig(name="multistep", milestones=(0.5, 0.75), gamma=0.1),
        epochs=300,
        batch_size=64,
    )


def _published(error: float, params: str, note: str = "") -> Published:
    return Published("Huang et al. 2017, arXiv:1608.06993, table 2", error, params, train_images=50_000, note=note)


@recipe(_published(5.24, "1.0M"))
def densenet_40_12() -> TrainConfig:
    """DenseNet (L=40, k=12) with augmentation (arXiv:1608.06993): 1,019,722 parameters; CIFAR-10 test error 5.24 %."""
    return _paper(40, 12)


@recipe(_published(7.00, "1.0M", "without augmentation"))
def densenet_40_12_no_augmentation() -> TrainConfig:
    """DenseNet (L=40, k=12), dropout 0.2, no augmentation: 1,019,722 parameters; CIFAR-10 test error 7.00 %."""
    return _paper(40, 12, augmented=False)


@recipe(_published(3.74, "27.2M"))
def densenet_100_24() -> TrainConfig:
    """DenseNet (L=100, k=24) with augmentation: 27,249,082 parameters; CIFAR-10 test error 3.74 %."""
    return _paper(100, 24)


@recipe(_published(4.51, "0.8M"))
def densenet_bc_100_12() -> TrainConfig:
    """DenseNet-BC (L=100, k=12) with augmentation: 769,162 parameters; CIFAR-10 test error 4.51 %."""
    return _paper(100, 12, bc=True)


@recipe(_published(3.46, "25.6M"))
def densenet_bc_190_40() -> TrainConfig:
    """DenseNet-BC (L=190, k=40) with augmentation: 25,624,430 parameters; CIFAR-10 test error 3.46 %."""
    return _paper(190, 40, bc=True)

"""PyramidNets: Han, Kim & Kim 2017, arXiv:1610.02915, table 4."""

from cifarray.config import ModelConfig, OptimizerConfig, ScheduleConfig, TrainConfig
from cifarray.recipes.registry import Published, recipe


def _paper(depth: int, alpha: int, *, bottleneck: bool = False) -> TrainConfig:
    """§4.1 and the authors' README: 300 epochs, batches of 128, rate 0.1 divided by 10 after 150 and 225."""
    return TrainConfig(
        model=ModelConfig(
            name="pyramidnet",
            depth=depth,
            alpha=alpha,
            bottleneck=bottleneck,
            widening="additive",
            block="d",
            shortcut="pad",
            variant="paper",
        ),
        optimizer=OptimizerConfig(name="sgd", lr=0.1, momentum=0.9, nesterov=True, weight_decay=1e-4),
        schedule=ScheduleConfig(name="multistep", milestones=(0.5, 0.75), gamma=0.1),
        epochs=300,
        batch_size=128,
    )


def _published(error: float, params: str, note: str = "") -> Published:
    return Published("Han et al. 2017, arXiv:1610.02915, table 4", error, params, train_images=50_000, note=note)


@recipe(_published(4.62, "1.7M", "a post that sets out for this network builds 104 layers and has 4.81"))
def pyramidnet_110_48() -> TrainConfig:
    """PyramidNet-110, α = 48 (arXiv:1610.02915): 1,772,706 parameters; CIFAR-10 test error 4.62 %.

    A post's 4.81 % are of another network, one block less per stage: `--set model.variant=post`, 1,558,881 parameters.
    """
    return _paper(110, 48)


@recipe(_published(3.73, "28.3M"))
def pyramidnet_110_270() -> TrainConfig:
    """PyramidNet-110, α = 270: 28,485,477 parameters; CIFAR-10 test error 3.73 %."""
    return _paper(110, 270)


@recipe(_published(3.31, "26.0M", "the printed parameters leave out BN's"))
def pyramidnet_272_200() -> TrainConfig:
    """PyramidNet-272, α = 200, bottlenecks: 26,210,842 parameters (26.0M without BN's); CIFAR-10 test error 3.31 %."""
    return _paper(272, 200, bottleneck=True)

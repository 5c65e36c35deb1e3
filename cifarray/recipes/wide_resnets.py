"""Wide residual networks: Zagoruyko & Komodakis 2016, arXiv:1605.07146."""

from cifarray.config import DataConfig, ModelConfig, OptimizerConfig, ScheduleConfig, TrainConfig
from cifarray.recipes.registry import Published, recipe


def _paper(depth: int, widen_factor: int, dropout: float) -> TrainConfig:
    """§3 and scripts/train_cifar.sh of the authors: reflection padding, decay of everything, 200 epochs."""
    return TrainConfig(
        model=ModelConfig(name="wide_resnet", depth=depth, widen_factor=widen_factor, dropout=dropout, variant="paper"),
        data=DataConfig(padding_mode="reflect"),
        optimizer=OptimizerConfig(name="sgd", lr=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4),
        schedule=ScheduleConfig(name="multistep", milestones=(0.3, 0.6, 0.8), gamma=0.2),
        epochs=200,
        batch_size=128,
    )


@recipe(
    Published(
        source="Zagoruyko & Komodakis 2016, arXiv:1605.07146, as a post quotes it",
        error=4.81,
        params="11.0M",
        train_images=50_000,
        note="whitened input; version 4 of the paper has 4.27",
    )
)
def wide_resnet_16_8() -> TrainConfig:
    """WRN-16-8 (arXiv:1605.07146 §3): 10,961,370 parameters, printed as 11.0M.

    CIFAR-10 test error 4.81 % as a post quotes the paper, whose fourth version has 4.27 %; on all 50,000 training
    images, whitened. Ours are normalised by mean and deviation, as in the authors' later code.
    """
    return _paper(16, 8, 0.0)


@recipe(
    Published(
        source="Zagoruyko & Komodakis 2016, arXiv:1605.07146, authors' README",
        error=4.00,
        params="36.5M",
        train_images=50_000,
        note="median of five runs",
    )
)
def wide_resnet_28_10() -> TrainConfig:
    """WRN-28-10 as Zagoruyko & Komodakis 2016 train it (arXiv:1605.07146 §3, scripts/train_cifar.sh of the authors).

    36,479,194 parameters (the paper prints 36.5M). CIFAR-10 test error 4.00 % with flips and crops and mean/std
    normalisation, median of five runs on all 50,000 training images without dropout (the authors' README; the paper's
    4.17 % is on whitened images).
    """
    return _paper(28, 10, 0.0)


@recipe(
    Published(
        source="Zagoruyko & Komodakis 2016, arXiv:1605.07146, authors' README",
        error=3.89,
        params="36.5M",
        train_images=50_000,
        note="median of five runs",
    )
)
def wide_resnet_28_10_dropout() -> TrainConfig:
    """WRN-28-10 with dropout 0.3 between the convolutions of a block (arXiv:1605.07146 §3.3).

    36,479,194 parameters. CIFAR-10 test error 3.89 %, to be compared with the 4.00 % of `wide_resnet_28_10`.
    """
    return _paper(28, 10, 0.3)

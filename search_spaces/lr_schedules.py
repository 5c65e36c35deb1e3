"""Learning-rate schedules around any recipe: which one, and only that one's own parameters.

Milestones as fractions of the epochs: those of WideResNet (60, 120, 160 of 200), DenseNet and PyramidNet (1/2, 3/4) and
ResNet-50 (1/4, 1/2, 3/4). Cosine: Loshchilov & Hutter 2017, arXiv:1608.03983, without restarts. One cycle: Smith &
Topin 2017, arXiv:1708.07120.
"""

from cifarray.config import TrainConfig, override
from cifarray.space.domains import choice, log_uniform, uniform
from cifarray.space.space import SearchSpace


def space(recipe: str, base: TrainConfig) -> SearchSpace:
    """`optimizer.lr` is every schedule's peak, within a factor of 4 of the recipe's."""
    return SearchSpace(
        name=f"lr-schedules-{recipe.replace('_', '-')}",
        # A recipe's own warm-up would be every schedule's.
        base=override(base, {"schedule.warmup": 0.0}),
        domains={
            "schedule.name": choice("multistep", "cosine", "one_cycle"),
            "schedule.milestones": choice((0.3, 0.6, 0.8), (0.5, 0.75), (0.25, 0.5, 0.75)).when(
                "schedule.name", "multistep"
            ),
            "schedule.gamma": choice(0.1, 0.2).when("schedule.name", "multistep"),
            "schedule.warmup": choice(0.0, 0.05, 0.1).when("schedule.name", "cosine"),
            "schedule.pct_start": uniform(0.15, 0.45).when("schedule.name", "one_cycle"),
            "optimizer.lr": log_uniform(base.optimizer.lr / 4, base.optimizer.lr * 4),
        },
    )

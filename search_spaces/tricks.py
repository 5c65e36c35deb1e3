"""Tricks around any recipe: regularisation, augmentation, schedule, decay, initial weights, an average of the weights.

Sources of the values: label smoothing 0.1, Szegedy et al. 2015, arXiv:1512.00567, §7. mixup 0.2 (ImageNet) and 1
(CIFAR), Zhang et al. 2017, arXiv:1710.09412, §3. CutMix 1, Yun et al. 2019, arXiv:1905.04899, §4. Cutout of half the
side (CIFAR-10) and a quarter (CIFAR-100), DeVries & Taylor 2017, arXiv:1708.04552, §4.1. Policies: Müller & Hutter
2021, arXiv:2103.10158; Cubuk et al. 2019, arXiv:1909.13719. Milestones: as in `lr_schedules`. Warm-up: Goyal et al.
2017, arXiv:1706.02677, §2.2. Decay of weights alone: He et al. 2019, arXiv:1812.01187, §3.1. Clipping: Pascanu et al.
2012, arXiv:1211.5063. The averages' decays are ours: over the last 100 and 1,000 steps.
"""

from cifarray.config import TrainConfig, override
from cifarray.space.domains import AnyDomain, choice, log_uniform, uniform
from cifarray.space.space import SearchSpace

SINGLE_IMAGES: dict[str, AnyDomain] = {
    "mixup": choice(0.0, 0.2, 1.0),
    "cutmix": choice(0.0, 1.0),
}
"""Not for 2 × 2 grids."""


def space(recipe: str, base: TrainConfig) -> SearchSpace:
    """`optimizer.lr` is every schedule's peak, within a factor of 4 of the recipe's; weight decay within one of 5."""
    decay = base.optimizer.weight_decay or 1e-4
    side = base.data.crop_size or base.data.image_size
    return SearchSpace(
        name=f"tricks-{recipe.replace('_', '-')}",
        # A recipe's own warm-up would be every schedule's.
        base=override(base, {"schedule.warmup": 0.0}),
        domains={
            "optimizer.lr": log_uniform(base.optimizer.lr / 4, base.optimizer.lr * 4),
            "optimizer.weight_decay": log_uniform(decay / 5, decay * 5),
            "optimizer.decay": choice("all", "weights"),
            "schedule.name": choice("multistep", "cosine", "one_cycle"),
            "schedule.milestones": choice((0.3, 0.6, 0.8), (0.5, 0.75), (0.25, 0.5, 0.75)).when(
                "schedule.name", "multistep"
            ),
            "schedule.gamma": choice(0.1, 0.2).when("schedule.name", "multistep"),
            "schedule.warmup": choice(0.0, 0.05, 0.1).when("schedule.name", "multistep", "cosine"),
            "schedule.pct_start": uniform(0.15, 0.45).when("schedule.name", "one_cycle"),
            "label_smoothing": choice(0.0, 0.1),
            **(SINGLE_IMAGES if base.task == "single_label" else {}),
            "data.cutout": choice(0, side // 4, side // 2),
            "data.policy": choice("none", "trivial_augment", "rand_augment"),
            "init.weights": choice("family", "he_fan_in", "he_fan_out", "xavier"),
            "ema_decay": choice(0.0, 0.99, 0.999),
            "clip_norm": choice(None, 1.0, 5.0),
        },
    )

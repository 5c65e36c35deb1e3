"""torch's learning rate schedulers, stepped once per batch, from their part of the config.

With T steps in all and W of warm-up, step i (from 0) has, with peak `lr`:
  warm-up     f · (i + 1) / W, where f is the first rate of what follows: it is reached in the last step of warm-up
  constant    lr
  multistep   lr · gamma ^ (milestones m with i ≥ m · T)
  step        lr · gamma ^ ⌊(i − W) / (step_size · T)⌋
  cosine      lr · (1 + cos(π (i − W) / (T − W))) / 2
  one_cycle   half cosines from lr / div_factor up to lr and down to lr / (div_factor · final_div_factor)
  polynomial  lr · (1 − (i − W) / (T − W)) ^ power
Not here: momentum and betas, which no schedule moves; scaling `lr` with the batch (`TrainConfig.peak_lr`).
"""

import warnings

from torch.optim import Optimizer
from torch.optim.lr_scheduler import (
    ConstantLR,
    CosineAnnealingLR,
    LinearLR,
    LRScheduler,
    MultiStepLR,
    OneCycleLR,
    PolynomialLR,
    SequentialLR,
    StepLR,
)

from cifarray.config import ScheduleConfig


def build_schedule(optimizer: Optimizer, config: ScheduleConfig, total_steps: int) -> LRScheduler:
    """`total_steps` is the number of batches of the whole training; durations are rounded to whole steps."""
    # Where GradScaler skips the first step, for an overflow, torch takes the order of the calls to be wrong.
    warnings.filterwarnings("ignore", message=r"Detected call of `lr_scheduler.step\(\)` before")
    warmup_steps = min(round(config.warmup * total_steps), total_steps - 1)
    if warmup_steps < 2:  # a warm-up's last step has the whole rate, so that of one step is none
        return _main(optimizer, config, total_steps, 0)
    main = _main(optimizer, config, total_steps, warmup_steps)
    # Built after `main`, since OneCycleLR moves the rate that LinearLR starts from.
    warmup = LinearLR(optimizer, start_factor=1 / warmup_steps, total_iters=warmup_steps - 1)
    return SequentialLR(optimizer, [warmup, main], milestones=[warmup_steps])


def _main(optimizer: Optimizer, config: ScheduleConfig, total_steps: int, warmup_steps: int) -> LRScheduler:
    steps = total_steps - warmup_steps
    match config.name:
        case "constant":
            return ConstantLR(optimizer, factor=1.0)
        case "multistep":
            milestones = [round(fraction * total_steps) - warmup_steps for fraction in config.milestones]
            return MultiStepLR(optimizer, milestones, gamma=config.gamma)
        case "step":
            return StepLR(optimizer, max(1, round(config.step_size * total_steps)), gamma=config.gamma)
        case "cosine":
            return CosineAnnealingLR(optimizer, T_max=steps)
        case "polynomial":
            return PolynomialLR(optimizer, total_iters=steps, power=config.power)
        case "one_cycle":
            return _one_cycle(optimizer, config, steps)


def _one_cycle(optimizer: Optimizer, config: ScheduleConfig, steps: int) -> OneCycleLR:
    # OneCycleLR peaks at step pct_start · steps − 1: made a whole number, or no step would have the peak rate. It
    # divides by zero with fewer than one rising and one falling step.
    steps = max(steps, 3)
    rising = min(max(round(config.pct_start * steps), 2), steps - 1)
    return OneCycleLR(
        optimizer,
        max_lr=optimizer.param_groups[0]["lr"],
        total_steps=steps,
        pct_start=rising / steps,
        div_factor=config.div_factor,
        final_div_factor=config.final_div_factor,
        cycle_momentum=False,
    )

"""How long trials take on CPUs, roughly, before any was measured: so that nobody starts days without knowing.

From multiply-adds alone: a training step costs three times what an evaluation does (Kaplan et al. 2020,
arXiv:2001.08361, §2.1). Not here: what is left of a study that runs, which is measured.
"""

from collections.abc import Callable, Mapping
from typing import Any

from cifarray.study.state import StudyState
from cifarray.training.batches import split_of

MACS_PER_SECOND = 5e10
"""Of one core in training: 9e10 over eleven small networks on cores with AVX512-BF16, about half of it without."""
LONG_SECONDS = 24 * 3600.0
LOOKED_AT = 3
"""Trials that begin first."""


def seconds_on_cpus(config: Mapping[str, Any], macs: int, num_images: int, cores: float) -> float:
    """Of a trial: macs for one image, all of `num_images` that its data has to train on and to hold out."""
    num_train, held_out = split_of(config["data"], num_images)
    return config["epochs"] * macs * (3 * num_train + held_out) / (MACS_PER_SECOND * cores)


def warning_of_days(
    state: StudyState, macs_of: Callable[[Mapping[str, Any]], int], num_images: int, cores: float
) -> str:
    """What a user is told whose first trials would take days; empty where they do not. cores: of each trial."""
    begun = [trial.config for trial in state.unfinished.values()]
    new = range(len(state.trials), min(state.budget, len(state.trials) + LOOKED_AT))
    configs = [*begun, *(state.space.config(state.sample(number)).to_dict() for number in new)][:LOOKED_AT]
    seconds = sorted(seconds_on_cpus(config, macs_of(config), num_images, cores) for config in configs)
    if not seconds or seconds[-1] < LONG_SECONDS:
        return ""
    few, many = in_words(seconds[0]), in_words(seconds[-1])
    span = f"about {many}" if few == many else f"from {few} to {many}"
    first = f"the first {len(seconds)} trials take {span} each" if len(seconds) > 1 else f"the trial takes {span}"
    return (
        f"without a GPU {first}, by a rough count for {cores:g} cores: --epochs, --limit, --max-macs or a smaller "
        "network (--set model.…) make it shorter; Ctrl-C ends it now"
    )


def in_words(seconds: float) -> str:
    """`40 minutes`, `7 hours`, `16 days`."""
    for unit, name in ((24 * 3600, "day"), (3600, "hour"), (60, "minute")):
        count = round(seconds / unit)
        if seconds >= unit or name == "minute":
            return f"{max(1, count)} {name}{'s' if count > 1 else ''}"
    raise AssertionError("the last unit takes all")

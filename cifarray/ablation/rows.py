"""The tricks of He et al. 2019, "Bag of Tricks", arXiv:1812.01187, one after the other around any recipe.

Here: what each trick sets, and the rows of an ablation: the recipe without any of them, then with. Pure functions of
train configs. Not here: which tricks a network or this data allows, and training the rows (`cifarray.cli.ablate`).
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cifarray import models
from cifarray.config import TrainConfig, override
from cifarray.fields import flatten
from cifarray.training.tasks.kinds import SINGLE_LABEL, kind_of

BASELINE = "baseline"
LARGE_BATCH, WARMUP = 4, 0.1

OFF: dict[str, Any] = {
    "schedule.name": "multistep",
    "schedule.milestones": (0.25, 0.5, 0.75),
    "schedule.gamma": 0.1,
    "schedule.warmup": 0.0,
    "optimizer.linear_scaling": False,
    "optimizer.decay": "all",
    "init.zero_gamma": False,
    "precision": "fp32",
    "label_smoothing": 0.0,
    "mixup": 0.0,
    "distillation.teacher": None,
}
"""The paper's baseline (§2.1), whatever else the recipe is; its steps are after 30, 60 and 90 of 120 epochs."""
TWEAKS = ("tweak B", "tweak C", "tweak D")


@dataclass(frozen=True)
class Trick:
    """One row: the fields that it sets and its place in the paper.

    stands_on: alone, without the other tricks, it comes with this one and is compared with it.
    """

    name: str
    fields: Mapping[str, Any]
    source: str
    stands_on: str = BASELINE


@dataclass(frozen=True)
class Row:
    """One row of an ablation; `config` is None where the trick cannot be had, for the `reason`.

    against: the row that it is compared with, whose config differs in `changes` and in nothing else.
    """

    name: str
    config: TrainConfig | None
    against: str = ""
    changes: Mapping[str, Any] = field(default_factory=dict)
    reason: str = ""
    source: str = ""


def tricks(baseline: TrainConfig, values: Mapping[str, Any], large_batch: int, warmup: float) -> tuple[Trick, ...]:
    """Those of §3, in the order of table 4, those of §5, then the tweaks of §4.

    values: of some fields, in place of the paper's; the teacher is always one of them.
    """
    batch_size = baseline.batch_size

    def of(path: str, paper: Any) -> dict[str, Any]:
        return {path: values.get(path, paper)}

    # The rate at the baseline's batch size stays the recipe's: the paper's 0.1 · b / 256 where that size is 256.
    scaling = {"optimizer.linear_scaling": True, "optimizer.lr": baseline.optimizer.lr * 256 / batch_size}
    teacher = {"distillation.teacher": values["distillation.teacher"], **of("distillation.temperature", 20.0)}
    return (
        Trick("large batch", {"batch_size": batch_size * large_batch}, "§3.1, from 256 to 1024"),
        Trick("linear scaling", scaling, "§3.1", stands_on="large batch"),
        # The paper's is 5 of 120 epochs; runs on CIFAR are shorter, and 5 epochs a larger part of them.
        Trick("warm-up", {"schedule.warmup": warmup}, "§3.1", stands_on="linear scaling"),
        Trick("zero gamma", {"init.zero_gamma": True}, "§3.1"),
        Trick("no bias decay", {"optimizer.decay": "weights"}, "§3.1"),
        # The paper's is fp16 on V100s. `auto` may be fp32, and the row would pretend.
        Trick("low precision", of("precision", "bf16"), "§3.2"),
        Trick("cosine", {"schedule.name": "cosine"}, "§5.1"),
        Trick("label smoothing", of("label_smoothing", 0.1), "§5.2"),
        # The paper trains 200 epochs with it in place of 120; here it has no more than the rows around it.
        Trick("mixup", of("mixup", 0.2), "§5.4"),
        Trick("distillation", teacher, "§5.3"),
        # C contains B, and D contains C.
        Trick(TWEAKS[0], {"model.tweak": "b"}, "§4.2"),
        Trick(TWEAKS[1], {"model.tweak": "c"}, "§4.2", stands_on=TWEAKS[0]),
        Trick(TWEAKS[2], {"model.tweak": "d"}, "§4.2", stands_on=TWEAKS[1]),
    )


def without_tricks(recipe: TrainConfig, kept: Collection[str] = (), tweaks: bool = False) -> TrainConfig:
    """The recipe's network, data, batch size and peak rate, with every trick switched off.

    What is no trick of the paper (cutout, CutMix, an average of the weights …) stays as the recipe has it. kept: fields
    that stay too. tweaks: whether the network has them.
    """
    off = {path: value for path, value in OFF.items() if path not in kept}
    off |= {"model.tweak": "none"} if tweaks else {}
    return override(recipe, {**off, "optimizer.lr": recipe.peak_lr})


def rows_of(
    recipe: TrainConfig,
    unavailable: Mapping[str, str],
    *,
    one_at_a_time: bool = False,
    chosen: Collection[str] = (),
    only: Collection[str] = (),
    large_batch: int = LARGE_BATCH,
    warmup: float = WARMUP,
) -> list[Row]:
    """The baseline and a row for each trick, on top of all tricks above it or (`one_at_a_time`) alone.

    unavailable: tricks that cannot be had, with the reason. chosen: fields whose value in the recipe is a trick's or
    the baseline's in place of the paper's. only: these tricks, and what one stands on where it would be alone; all if
    none is named. Raises ValueError for one that is unknown or cannot be had, for a value that the config refuses, or
    for one that the baseline has already.
    """
    kept = {"schedule.milestones", "schedule.gamma"}.intersection(chosen)
    baseline = without_tricks(recipe, kept, tweaks=TWEAKS[0] not in unavailable)
    fields_of_recipe = flatten(recipe.to_dict())
    values = {path: fields_of_recipe[path] for path in {*chosen, "distillation.teacher"}}
    rows = [Row(BASELINE, baseline)]
    with_config = {BASELINE: rows[0]}
    for trick in _wanted(tricks(baseline, values, large_batch, warmup), only, one_at_a_time):
        if trick.name in unavailable:
            if trick.name in only:
                raise ValueError(f"{trick.name} cannot be had here: {unavailable[trick.name]}")
            rows.append(Row(trick.name, None, reason=unavailable[trick.name]))
            continue
        below = with_config[trick.stands_on] if one_at_a_time else list(with_config.values())[-1]
        assert below.config is not None
        config = override(below.config, trick.fields)
        if config == below.config:
            setting = ", ".join(f"{path} {value}" for path, value in trick.fields.items())
            raise ValueError(f"{setting} is what the row {below.name!r} has already: choose another value")
        row = Row(trick.name, config, below.name, dict(trick.fields), source=trick.source)
        rows.append(row)
        with_config[trick.name] = row
    return rows


def _wanted(all_tricks: Sequence[Trick], only: Collection[str], one_at_a_time: bool) -> list[Trick]:
    by_name = {trick.name: trick for trick in all_tricks}
    for name in only:
        if name not in by_name:
            raise ValueError(f"{name!r} is no trick of the ablation: choose some of {', '.join(by_name)}")
    wanted = set(only or by_name)
    for trick in reversed(all_tricks):  # what a trick stands on comes before it
        if one_at_a_time and trick.name in wanted:
            wanted.add(trick.stands_on)
    return [trick for trick in all_tricks if trick.name in wanted]


def unavailable(base: TrainConfig) -> dict[str, str]:
    """Tricks that this recipe cannot have, with the reason."""
    name, options = base.model.name, base.model.options
    reasons = {}
    try:
        models.check_init(name, options, "family", True)
    except ValueError as error:
        reasons["zero gamma"] = str(error)
    if base.optimizer.weight_decay == 0:
        reasons["no bias decay"] = "optimizer.weight_decay is 0, so nothing decays"
    kind = kind_of(base)
    if kind != SINGLE_LABEL:
        reasons |= dict.fromkeys(("mixup", "distillation"), f"it is for single images, not for {kind.sees}")
    elif base.distillation.teacher is None:
        reasons["distillation"] = "give --teacher"
    try:
        models.check_options(name, {**options, "tweak": "b"})
    except ValueError:
        reasons |= dict.fromkeys(TWEAKS, f"{name} has no model.tweak")
    return reasons

"""An ablation: which tricks this network and data allow, the space of its rows × seeds, and what is shown at its end.

Here: flags in, rows out. Not here: what a trick sets (`cifarray.recipes.tricks`), tables (`cifarray.report.ablation`).
"""

import argparse
import re
from collections.abc import Collection, Sequence

from rich.console import Console

from cifarray import models, recipes
from cifarray.cli.flags import apply
from cifarray.config import TrainConfig, override
from cifarray.recipes import tricks
from cifarray.recipes.tricks import BASELINE, LARGE_BATCH, TWEAKS, WARMUP, Row
from cifarray.report.ablation import metrics, remarks, results, table, write_reports
from cifarray.report.ablation_picture import draw
from cifarray.report.leaderboard import short_value
from cifarray.search.domains import choice, parse_assignment
from cifarray.search.plan import StudyError
from cifarray.search.postscript import append_to_ended
from cifarray.search.space import RECIPE, SearchSpace
from cifarray.search.study import Study, StudyResult

ON_OR_OFF = {
    "schedule.name": "cosine",
    "optimizer.linear_scaling": "linear scaling",
    "optimizer.decay": "no bias decay",
    "init.zero_gamma": "zero gamma",
    "model.tweak": "tweak B",
}
"""Fields that have no value to choose: a row switches them."""
VALUES = {
    "mixup": "mixup",
    "label_smoothing": "label smoothing",
    "precision": "low precision",
    "distillation.temperature": "distillation",
    "distillation.weight": "distillation",
}
"""Fields whose value in the recipe is that of a row."""
SMOKE_BATCH, SMOKE_LIMIT = 32, 400


def ablation(recipe: str, flags: argparse.Namespace) -> tuple[list[Row], SearchSpace]:
    """The rows of an ablation of `recipe`, and the space of those that can be had × seeds.

    What --set pins is pinned in the recipe, before the tricks: a batch size or a rate is the baseline's; the value of a
    trick is that of its row. Raises ValueError for what only a row may change.
    """
    pinned = {path for path, _ in map(parse_assignment, flags.set)}
    for path in ON_OR_OFF:
        if path in pinned:
            raise StudyError(f"{path} is what the row {ON_OR_OFF[path]!r} changes: leave it out of --set")
    if "seed" in pinned:
        raise StudyError(
            "seed varies here, for every row alike: give the first with --seed and their number with --seeds"
        )
    if "schedule.warmup" in pinned:
        raise StudyError("schedule.warmup is what the row 'warm-up' changes: give --warmup in place of --set")
    if flags.large_batch < 2:
        raise StudyError(f"large-batch {flags.large_batch} makes no larger batch: choose a whole factor of 2 or more")
    if flags.warmup <= 0:
        raise StudyError(f"warmup {flags.warmup:g} is no warm-up: choose a share of the steps, 0.1 for example")
    base = recipes.get(recipe)
    if flags.smoke:
        base = override(base, {"batch_size": SMOKE_BATCH})
    space = apply(SearchSpace("ablation", base), flags)
    if flags.smoke and flags.limit is None:
        space = space.pin({"data.limit": SMOKE_LIMIT})
    if space.base.data.validation == 0:
        raise StudyError("data.validation 0 leaves nothing to compare rows by: hold some images out")
    if "precision" in pinned and space.base.precision == "auto":
        raise StudyError("precision auto may be fp32, which the baseline has: choose bf16 or fp16")
    only = [name.strip() for name in (flags.only or "").split(",") if name.strip()]
    rows = tricks.rows(
        space.base,
        unavailable(space.base),
        one_at_a_time=flags.one_at_a_time,
        chosen=pinned,
        only=only,
        large_batch=flags.large_batch,
        warmup=flags.warmup,
    )
    _refuse_what_no_row_uses(rows, pinned, flags)
    names = [row.name for row in rows[1:]] if only else []
    parts = ["ablate", recipe, *(["one-at-a-time"] if flags.one_at_a_time else []), *names]
    name = "-".join(re.sub(r"[ _]", "-", part) for part in parts)
    configs = {row.name: row.config for row in rows if row.config is not None}
    domains = {"seed": choice(*range(flags.seed, flags.seed + flags.seeds)), RECIPE: choice(*configs)}
    return rows, SearchSpace(name, configs[BASELINE], domains, configs, space.max_params, space.max_macs)


def _refuse_what_no_row_uses(rows: Sequence[Row], pinned: Collection[str], flags: argparse.Namespace) -> None:
    """Raises StudyError for a value that was given for a row that is not there."""
    there = {row.name for row in rows if row.config is not None}
    given = {f"--set {path}": VALUES[path] for path in VALUES if path in pinned}
    given |= {"--teacher": "distillation"} if flags.teacher else {}
    given |= {"--large-batch": "large batch"} if flags.large_batch != LARGE_BATCH else {}
    given |= {"--warmup": "warm-up"} if flags.warmup != WARMUP else {}
    for flag, name in given.items():
        if name not in there:
            raise StudyError(f"{flag} is for the row {name!r}, which is not among the rows: leave it out")


def unavailable(base: TrainConfig) -> dict[str, str]:
    """Tricks that this recipe cannot have, with the reason. Raises ValueError for a network that does not exist."""
    name, options = base.model.name, base.model.options
    models.count_params(name, 10, options)
    found = {}
    try:
        models.check_init(name, options, "family", True)
    except ValueError as error:
        found["zero gamma"] = str(error)
    if base.optimizer.weight_decay == 0:
        found["no bias decay"] = "optimizer.weight_decay is 0, so nothing decays"
    if base.data.grid == 2:
        found |= dict.fromkeys(("mixup", "distillation"), "it is for single images, not for 2 × 2 grids")
    elif base.distillation.teacher is None:
        found["distillation"] = "give --teacher"
    try:
        models.check_options(name, {**options, "tweak": "b"})
    except ValueError:
        found |= dict.fromkeys(TWEAKS, f"{name} has no model.tweak")
    return found


def show_rows(rows: Sequence[Row], console: Console) -> None:
    """What each row changes in the row that it is compared with."""
    for row in rows:
        if row.config is None:
            told = f"n/a, {row.reason}"
        elif row.against:
            changes = ", ".join(f"{path} = {short_value(value)}" for path, value in row.changes.items())
            told = f"{row.against} with {changes} ({row.source})"
        else:
            told = "the recipe without any trick"
        console.print(f"  {row.name}: {told}", highlight=False, markup=False, soft_wrap=True)


def _title(study: Study) -> str:
    config, seeds = study.space.base, study.space.domains["seed"]
    images = "" if config.data.limit is None else f", {config.data.limit:,} training images"
    data = config.data.source.rstrip("/").rpartition("/")[2]
    return f"{study.name}: {data}{images}, {config.epochs} epochs, seeds {seeds}"


def show_ablation(rows: Sequence[Row], study: Study, result: StudyResult, console: Console) -> None:
    """Table, conclusions, files; when all trials have ended MLflow gets them too."""
    found = results(rows, result.state, study.metric)
    console.print(table(found, study.metric))
    console.print()
    for line in remarks(found, study.metric):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    picture = study.folder / "ablation.png"
    draw(picture, _title(study), found, study.metric)
    artifacts = [*write_reports(found, study.metric, study.folder), str(picture)]
    console.print(f"picture: {picture}", highlight=False, soft_wrap=True)
    if result.reason == "finished":
        event = {"kind": "report", "artifacts": artifacts, "metrics": dict(metrics(found))}
        message = append_to_ended(study.folder, event, study.tracking_uri)
        if message:
            console.print(message, highlight=False, soft_wrap=True)

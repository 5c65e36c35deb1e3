"""`jobs/ablate_tricks.py`: a recipe without its tricks and then with them, row by row × seeds, as one study."""

import argparse
import re
import sys
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NoReturn

from rich.console import Console

from cifarray import recipes
from cifarray.ablation.conclusion import show_ablation, show_rows
from cifarray.ablation.rows import BASELINE, LARGE_BATCH, WARMUP, Row, rows_of, unavailable
from cifarray.cli.flags import BEST_KEPT, apply, checked_seeds, make_study, study_parser
from cifarray.cli.parser import number, whole
from cifarray.cli.running import errors_in_a_sentence, make_console, run_job
from cifarray.config import override
from cifarray.errors import StudyError
from cifarray.space.domains import choice, parse_assignment
from cifarray.space.space import RECIPE, SearchSpace
from cifarray.study.study import Study

if TYPE_CHECKING:
    from cifarray.engine.result import StudyResult

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

EXAMPLES = (
    ("--smoke", "all rows, tiny, on synthetic images"),
    ("--data FOLDER --teacher STUDY", "each row has all tricks above it"),
    ("wide_resnet_16_8 --one-at-a-time", "the baseline with each trick alone"),
)


def ablate(default: str, arguments: Sequence[str] | None = None) -> NoReturn:
    """A recipe without its tricks and then with them, row by row × seeds, as one study. Exits."""
    parser = study_parser("Ablate: a recipe without the tricks of He et al. 2019, then with them.", EXAMPLES)
    add = parser.own.add_argument
    add("recipe", nargs="?", default=default, metavar="RECIPE", help=f"see jobs/train.py --list (default: {default})")
    add("--one-at-a-time", action="store_true", help="each trick alone, not on top of those before it")
    add("--only", metavar="ROW,ROW", help='no other rows, such as "cosine,label smoothing"')
    parser.own.add_argument(
        "--seeds", type=whole, metavar="N", help="every row with seeds SEED … SEED+N-1 (default: 5)"
    )
    add("--large-batch", type=whole, default=LARGE_BATCH, metavar="FACTOR", help="default: %(default)s")
    add("--warmup", type=number, default=WARMUP, metavar="SHARE", help="of all steps: %(default)s")
    flags = parser.parse_args(arguments)
    with errors_in_a_sentence(ValueError):
        limits = flags.max_params is not None or flags.max_macs is not None
        if flags.space or flags.searcher or flags.trials is not None or limits or flags.scheduler not in (None, "none"):
            raise StudyError(
                "ablate runs every row with every seed to its end: leave out --space, --searcher, --trials, "
                "--max-params, --max-macs and --strategy"
            )
        if flags.seeds is None:
            flags.seeds = 2 if flags.smoke else 5
        checked_seeds(flags)
        rows, space = ablation(flags.recipe, flags)
        flags.searcher, flags.trials = "grid", space.grid_size()
        # Which rows help is the question; the networks themselves are not what is wanted afterwards.
        study = replace(make_study(space, flags, scheduler="none"), keep_checkpoints=BEST_KEPT)
    make_console().print("rows")
    show_rows(rows, make_console())

    def conclude(study: Study, result: "StudyResult", console: Console) -> None:
        show_ablation(rows, study, result.state, result.reason == "finished", console)

    sys.exit(run_job(study, flags, conclude))


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
    rows = rows_of(
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

"""What a user types: one function for each job, which reads the command line, runs and exits.

Here: the jobs. Not here: the flags that they share (`cifarray.cli.flags`), what is printed around a study and the exit
codes (`cifarray.cli.running`).
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import NoReturn

from rich.console import Console

from cifarray import recipes
from cifarray.cli.ablating import ablation, show_ablation, show_rows
from cifarray.cli.comparing import beside_baseline, comparison_space
from cifarray.cli.flags import (
    BEST_KEPT,
    add_data,
    add_places,
    apply,
    data_source,
    make_study,
    storage_and_tracking,
    study_parser,
)
from cifarray.cli.running import errors_in_a_sentence, make_console, run
from cifarray.config import TrainConfig
from cifarray.data import open_store, prepare
from cifarray.recipes.tricks import LARGE_BATCH, WARMUP
from cifarray.report.comparison import comparison
from cifarray.report.recipe_table import recipe_table
from cifarray.search.domains import choice
from cifarray.search.final_test import run_final_test
from cifarray.search.journal import FILE_NAME, read_events
from cifarray.search.lesion import run_lesion
from cifarray.search.plan import StudyError
from cifarray.search.space import SearchSpace
from cifarray.search.study import Study, StudyResult
from cifarray.search.study_state import StudyState
from cifarray.search.trial_record import Metric, Outcome

__all__ = ["ablate", "compare", "final_test", "lesion", "prepare_data", "train", "tune", "tune_recipe"]


SpaceOf = Callable[[str, TrainConfig], SearchSpace]
"""What varies around a recipe: from its name and its train config."""


def tune(space: SearchSpace, smoke: SearchSpace, arguments: Sequence[str] | None = None) -> NoReturn:
    """A search over `space`; over `smoke` with `--smoke`. Exits."""
    parser = study_parser(f"Search the space '{space.name}' with Ray Tune on warm DDP worker groups.")
    flags = parser.parse_args(arguments)
    _search(smoke if flags.smoke else space, flags)


def tune_recipe(space_of: SpaceOf, default: str, smoke: str, arguments: Sequence[str] | None = None) -> NoReturn:
    """A search around a recipe that the user may name; around the recipe `smoke` with `--smoke`. Exits."""
    parser = study_parser("Search around a recipe with Ray Tune on warm DDP worker groups.")
    parser.add_argument("recipe", nargs="?", help=f"a recipe of jobs/train.py --list (default: {default})")
    flags = parser.parse_args(arguments)
    with errors_in_a_sentence(ValueError):
        name = flags.recipe or (smoke if flags.smoke else default)
        space = space_of(name, recipes.get(name))
    _search(space, flags)


def _search(space: SearchSpace, flags: argparse.Namespace) -> NoReturn:
    with errors_in_a_sentence(ValueError):
        space = apply(space, flags)
        if flags.searcher == "grid" and flags.trials is None:
            flags.trials = space.grid_size()
        # Early rungs favour what learns fast, and a low rate or a short schedule does.
        risky = [path for path in space.domains if path.startswith("schedule.") or path == "epochs"]
        study = make_study(space, flags, scheduler=flags.scheduler or ("none" if risky else "asha"))
    if risky and study.scheduler:
        make_console().print(
            "warning: ASHA compares trials after few epochs, which favours rates that fall early, and these vary: "
            f"{', '.join(risky)}; --scheduler none runs all to their end",
            highlight=False,
            soft_wrap=True,
        )
    sys.exit(run(study, flags))


def train(arguments: Sequence[str] | None = None) -> NoReturn:
    """One recipe as a study of one trial, or of one for each seed. Exits."""
    parser = study_parser("Train one recipe with Ray Train.")
    parser.add_argument("recipe", nargs="?", default="wide_resnet_fast", help="default: wide_resnet_fast; see --list")
    parser.add_argument("--list", action="store_true", help="show all recipes with their published figures and stop")
    parser.add_argument("--seeds", type=int, default=1, metavar="N", help="train N times, with seeds SEED … SEED+N-1")
    flags = parser.parse_args(arguments)
    if flags.list:
        make_console().print(recipe_table(recipes.RECIPES.values()))
        sys.exit(0)
    with errors_in_a_sentence(ValueError):
        space = SearchSpace(flags.recipe.replace("_", "-"), recipes.get(flags.recipe))
        space = apply(space, flags)
        if _seeds(flags) > 1:
            space = space.vary({"seed": choice(*range(flags.seed, flags.seed + flags.seeds))})
        if flags.searcher is None and not flags.space:
            flags.searcher = "grid"
        if flags.trials is None and flags.searcher == "grid":
            flags.trials = space.grid_size()
        study = make_study(space, flags, scheduler=flags.scheduler or "none")
    sys.exit(run(study, flags))


def compare(default: Sequence[str], smoke: Sequence[str], arguments: Sequence[str] | None = None) -> NoReturn:
    """Recipes × seeds as one study, with a linear classifier beside them. Exits."""
    parser = study_parser("Compare recipes: each is trained with several seeds, in one study.")
    parser.add_argument(
        "recipes", nargs="*", metavar="RECIPE", help="see jobs/train.py --list (default: a fast one of each family)"
    )
    parser.add_argument("--seeds", type=int, metavar="N", help="seeds SEED … SEED+N-1 (default: 3)")
    parser.add_argument(
        "--final",
        action="store_true",
        help="train on as many images as the published figure (on all where that is not stated), then open the test "
        "split once for every trial; the openings are counted",
    )
    flags = parser.parse_args(arguments)
    with errors_in_a_sentence(ValueError):
        if flags.space or flags.searcher:
            raise StudyError("compare varies recipes and seeds alone: vary fields with a tune job, pin them with --set")
        if flags.seeds is None:
            flags.seeds = 1 if flags.smoke else 3
        names = list(dict.fromkeys(flags.recipes or (smoke if flags.smoke else default)))
        space = apply(comparison_space(names, flags.final, _seeds(flags), flags.seed), flags)
        space = beside_baseline(space)
        flags.searcher, flags.trials = "grid", space.grid_size()
        study = make_study(space, flags, scheduler=flags.scheduler or "none")
    if flags.final and not flags.dry_run:
        with errors_in_a_sentence():
            # Found out before anything is trained.
            open_store(space.base.data.source, "test", space.base.data.image_size)
    sys.exit(run(study, flags, _show_final if flags.final else _show_comparison))


def _show_comparison(study: Study, result: StudyResult, console: Console) -> None:
    console.print(comparison(result.state, study.metric))


def _show_final(study: Study, result: StudyResult, console: Console) -> None:
    """The test split is opened when all trials have ended, once for each; the same command again opens it for none."""
    state = result.state
    if result.reason == "finished" and any(trial.outcome is Outcome.COMPLETED for trial in state.trials.values()):
        for line in run_final_test(study.name, study.storage, study.tracking_uri, only_new=True):
            console.print(line, highlight=False, soft_wrap=True)
        state = StudyState.from_events(read_events(study.folder / FILE_NAME))
        console.print()
    name = study.metric.name.removeprefix("val_")
    console.print(comparison(state, Metric(f"test_{name}")))


def ablate(default: str, arguments: Sequence[str] | None = None) -> NoReturn:
    """A recipe without its tricks and then with them, row by row × seeds, as one study. Exits."""
    parser = study_parser("Ablate: a recipe without the tricks of He et al. 2019, then with one after the other.")
    parser.add_argument("recipe", nargs="?", default=default, help=f"see jobs/train.py --list (default: {default})")
    parser.add_argument("--one-at-a-time", action="store_true", help="each trick alone, not on top of those before it")
    parser.add_argument("--only", metavar="ROW,ROW", help='no other rows, such as "cosine,label smoothing"')
    parser.add_argument("--seeds", type=int, metavar="N", help="every row with seeds SEED … SEED+N-1 (default: 5)")
    parser.add_argument("--large-batch", type=int, default=LARGE_BATCH, metavar="FACTOR", help="default: %(default)s")
    parser.add_argument("--warmup", type=float, default=WARMUP, metavar="SHARE", help="of all steps: %(default)s")
    flags = parser.parse_args(arguments)
    with errors_in_a_sentence(ValueError):
        limits = flags.max_params is not None or flags.max_macs is not None
        if flags.space or flags.searcher or flags.trials is not None or limits or flags.scheduler == "asha":
            raise StudyError(
                "ablate runs every row with every seed to its end: leave out --space, --searcher, --trials, "
                "--max-params, --max-macs and --scheduler asha"
            )
        if flags.seeds is None:
            flags.seeds = 2 if flags.smoke else 5
        _seeds(flags)
        rows, space = ablation(flags.recipe, flags)
        flags.searcher, flags.trials = "grid", space.grid_size()
        # Which rows help is the question; the networks themselves are not what is wanted afterwards.
        study = replace(make_study(space, flags, scheduler="none"), keep_checkpoints=BEST_KEPT)
    make_console().print("rows")
    show_rows(rows, make_console())
    sys.exit(run(study, flags, partial(show_ablation, rows)))


def lesion(arguments: Sequence[str] | None = None) -> NoReturn:
    """Silence one residual branch at a time and draw the error. Exits."""
    parser = argparse.ArgumentParser(description="Silence one residual branch of a trained network at a time.")
    parser.add_argument(
        "target", metavar="RUN_OR_CHECKPOINT", help="a checkpoint's path, study, trial (STUDY-NUMBER) or MLflow run id"
    )
    add_data(parser)
    add_places(parser)
    parser.add_argument("--limit", type=int, metavar="N", help="at most N validation images")
    flags = parser.parse_args(arguments)
    console = make_console()
    with errors_in_a_sentence():
        where, uri = storage_and_tracking(flags)
        source = data_source(flags.data) if flags.data else None
        for line in run_lesion(flags.target, where, uri, source, flags.limit):
            console.print(line, highlight=False, soft_wrap=True)
    sys.exit(0)


def final_test(arguments: Sequence[str] | None = None) -> NoReturn:
    """Evaluate on the test split. Exits."""
    parser = argparse.ArgumentParser(description="Evaluate a trained trial on the test split; the opening is counted.")
    parser.add_argument("target", metavar="RUN_OR_STUDY", help="study, trial (STUDY-NUMBER) or MLflow run id")
    add_places(parser)
    flags = parser.parse_args(arguments)
    console = make_console()
    with errors_in_a_sentence():
        for line in run_final_test(flags.target, *storage_and_tracking(flags)):
            console.print(line, highlight=False, soft_wrap=True)
    sys.exit(0)


def prepare_data(arguments: Sequence[str] | None = None) -> NoReturn:
    """Prepare a data source. Exits."""
    parser = argparse.ArgumentParser(description="Download or read a data source and write its memory-mapped store.")
    add_data(parser)
    parser.add_argument("--image-size", type=int, default=32, metavar="SIDE", help="side of the images (default: 32)")
    flags = parser.parse_args(arguments)
    with errors_in_a_sentence():
        source = data_source(flags.data)
        folder = prepare(source, flags.image_size)
        images = open_store(source, "train", flags.image_size)
        text = f"{len(images.labels):,} training images of {images.side}×{images.side}, {len(images.classes)} classes"
        make_console().print(f"{text}: {folder}", highlight=False, soft_wrap=True)
    sys.exit(0)


def _seeds(flags: argparse.Namespace) -> int:
    if flags.seeds < 1:
        raise StudyError(f"seeds {flags.seeds} is too few: choose 1 or more")
    return int(flags.seeds)

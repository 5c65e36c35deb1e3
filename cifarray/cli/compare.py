"""`jobs/compare.py`: recipes × seeds as one study, all with the same data, and a linear classifier beside them."""

import hashlib
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

from rich.console import Console

from cifarray import recipes
from cifarray.cli.flags import apply, checked_seeds, make_study, study_parser
from cifarray.cli.parser import whole
from cifarray.cli.running import errors_in_a_sentence, run_job
from cifarray.config import override
from cifarray.errors import StudyError
from cifarray.journal.journal import FILE_NAME, read_events
from cifarray.report.comparison import comparison
from cifarray.report.sentences import say
from cifarray.space.domains import Choice, choice
from cifarray.space.space import RECIPE, SearchSpace
from cifarray.study.state import StudyState
from cifarray.study.study import Study
from cifarray.study.trial_record import Metric, Outcome
from cifarray.training.tasks.kinds import kind_of

if TYPE_CHECKING:
    from cifarray.engine.result import StudyResult

BASELINE = "linear"
"""The recipe that stands in every comparison."""
LONGEST_NAME = 60
SHARED = ("data.source", "data.limit", "data.validation", "data.image_size", "data.grid")
"""Fields that the baseline takes from the others; the rest of its recipe stays."""

EXAMPLES = (
    ("--data FOLDER --limit 10000", "a fast network of each family, beside a linear classifier"),
    ("resnet_110 pyramidnet_110_48 --seeds 5", "two papers' networks, five seeds each"),
    ("wide_resnet_28_10 --final", "on all training images, then the test split once a trial"),
)


def compare(default: Sequence[str], smoke: Sequence[str], arguments: Sequence[str] | None = None) -> NoReturn:
    """Recipes × seeds as one study, with a linear classifier beside them. Exits."""
    parser = study_parser("Compare recipes: each is trained with several seeds, in one study.", EXAMPLES)
    parser.own.add_argument(
        "recipes", nargs="*", metavar="RECIPE", help="see jobs/train.py --list (default: a fast one of each family)"
    )
    parser.own.add_argument("--seeds", type=whole, metavar="N", help="seeds SEED … SEED+N-1 (default: 3)")
    parser.own.add_argument(
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
        space = apply(comparison_space(names, flags.final, checked_seeds(flags), flags.seed), flags)
        space = beside_baseline(space)
        flags.searcher, flags.trials = "grid", space.grid_size()
        study = make_study(space, flags, scheduler=flags.scheduler or "none")
    if flags.final and not flags.dry_run:
        with errors_in_a_sentence():
            # Found out before anything is trained.
            from cifarray.data import open_store

            open_store(space.base.data.source, "test", space.base.data.image_size)
    sys.exit(run_job(study, flags, _show_final if flags.final else _show_comparison))


def _show_comparison(study: Study, result: "StudyResult", console: Console) -> None:
    console.print(comparison(result.state, study.metric))


def _show_final(study: Study, result: "StudyResult", console: Console) -> None:
    """The test split is opened when all trials have ended, once for each; the same command again opens it for none."""
    from cifarray.cli.progress import progress_on
    from cifarray.examine.final_test import run_final_test

    state = result.state
    if result.reason == "finished" and any(trial.outcome is Outcome.COMPLETED for trial in state.trials.values()):
        with progress_on(console) as tell:
            for line in run_final_test(study.name, study.storage, study.tracking_uri, only_new=True, tell=tell):
                say(console, line)
        state = StudyState.from_events(read_events(study.folder / FILE_NAME))
        console.print()
    name = study.metric.name.removeprefix("val_")
    console.print(comparison(state, Metric(f"test_{name}")))


def comparison_space(names: Sequence[str], final: bool, seeds: int, first_seed: int) -> SearchSpace:
    """Named after its recipes. All are compared on one validation split.

    final: each is trained on as many images as its published figure, on all where none is stated.
    Raises ValueError for an unknown recipe, or for recipes of single images and of grids together.
    """
    configs = {name: recipes.get(name) for name in names}
    seen = list(dict.fromkeys(kind_of(config).sees for config in configs.values()))
    if len(seen) > 1:
        raise StudyError(f"recipes of {' and of '.join(seen)} cannot be compared: name only one kind")
    if final:
        on_all = [name for name in names if recipes.find(name).published.train_images != 45_000]
        configs |= {name: override(configs[name], {"data.validation": 0}) for name in on_all}
    elif len({config.data.validation for config in configs.values()}) > 1:
        configs = {name: override(config, {"data.validation": 0.1}) for name, config in configs.items()}
    name = "-".join(["compare", *(["final"] if final else []), *(name.replace("_", "-") for name in names)])
    if len(name) > LONGEST_NAME:
        kind = "compare-final" if final else "compare"
        name = f"{kind}-{len(names)}-recipes-{hashlib.sha256(name.encode()).hexdigest()[:6]}"
    domains = {"seed": choice(*range(first_seed, first_seed + seeds)), RECIPE: choice(*names)}
    return SearchSpace(name, configs[names[0]], domains, configs)


def beside_baseline(space: SearchSpace) -> SearchSpace:
    """The space with the baseline as one more recipe, which takes the data of the others and nothing else."""
    if BASELINE in space.recipes:
        return space
    base = space.base
    shared = {path: getattr(base.data, path.removeprefix("data.")) for path in SHARED}
    linear = override(recipes.get(BASELINE), shared)
    names = space.domains[RECIPE]
    assert isinstance(names, Choice)
    return SearchSpace(
        space.name,
        base,
        {**space.domains, RECIPE: choice(*names.values, BASELINE)},
        {**space.recipes, BASELINE: linear},
        space.max_params,
        space.max_macs,
    )

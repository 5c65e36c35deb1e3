"""`jobs/train.py`: one recipe as a study of one trial, or of one trial for each seed."""

import sys
from collections.abc import Sequence
from typing import NoReturn

from cifarray import recipes
from cifarray.cli.flags import apply, checked_seeds, make_study, study_parser
from cifarray.cli.parser import whole
from cifarray.cli.running import errors_in_a_sentence, make_console, run_job
from cifarray.report.recipe_table import recipe_table
from cifarray.space.domains import choice
from cifarray.space.space import SearchSpace

EXAMPLES = (
    ("--list", "all recipes, with their published errors"),
    ("wide_resnet_fast --data FOLDER", "a small network on images of your own"),
    ("wide_resnet_28_10 --seeds 3", "the paper's network: mean ± deviation of 3 seeds"),
)


def train(arguments: Sequence[str] | None = None) -> NoReturn:
    """One recipe as a study of one trial, or of one for each seed. Exits."""
    parser = study_parser("Train one recipe with Ray Train.", EXAMPLES)
    parser.own.add_argument(
        "recipe",
        nargs="?",
        default="wide_resnet_fast",
        metavar="RECIPE",
        help="default: wide_resnet_fast; see --list",
    )
    parser.own.add_argument("--list", action="store_true", help="show all recipes with their figures and stop")
    parser.own.add_argument(
        "--seeds", type=whole, default=1, metavar="N", help="train N times, with seeds SEED … SEED+N-1"
    )
    flags = parser.parse_args(arguments)
    if flags.list:
        make_console().print(recipe_table(recipes.RECIPES.values()))
        sys.exit(0)
    with errors_in_a_sentence(ValueError):
        space = SearchSpace(flags.recipe.replace("_", "-"), recipes.get(flags.recipe))
        space = apply(space, flags)
        if checked_seeds(flags) > 1:
            space = space.vary({"seed": choice(*range(flags.seed, flags.seed + flags.seeds))})
        if flags.searcher is None and not flags.space:
            flags.searcher = "grid"
        if flags.trials is None and flags.searcher == "grid":
            flags.trials = space.grid_size()
        study = make_study(space, flags, scheduler=flags.scheduler or "none")
    sys.exit(run_job(study, flags))

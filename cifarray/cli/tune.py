"""`jobs/tune_*.py`: a search over a space, or around a recipe that the user names."""

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from cifarray import recipes
from cifarray.cli.audit import add_audit
from cifarray.cli.budget import add_budget
from cifarray.cli.flags import StudyParser, apply, make_study, study_folder, study_parser
from cifarray.cli.running import errors_in_a_sentence, make_console, run_job
from cifarray.cli.strategies import default_strategy, varied_in_time
from cifarray.cli.warm_start import add_warm_start
from cifarray.config import TrainConfig
from cifarray.journal.folder import began_with
from cifarray.report.sentences import say
from cifarray.space.space import SearchSpace
from cifarray.study.schedulers import Asha, Promote

EXAMPLES = (
    ("--smoke", "a minute's proof on synthetic images"),
    ("--data FOLDER --trials 64 --epochs 20", "64 trials on images of your own"),
    ("--space optimizer.lr=0.01..0.4:log --set model.depth=16", "what varies and what does not"),
)
AROUND = ("resnet_110 --searcher tpe", "around a recipe of jobs/train.py --list, with Optuna's TPE")

SpaceOf = Callable[[str, TrainConfig], SearchSpace]
"""Makes the space around a recipe, from its name and its train config."""


def tune(space: SearchSpace, smoke: SearchSpace, arguments: Sequence[str] | None = None) -> NoReturn:
    """A search over `space`; over `smoke` with `--smoke`. Exits."""
    parser = study_parser(f"Search the space '{space.name}' with Ray Tune on warm DDP worker groups.", EXAMPLES)
    _add_own(parser)
    flags = parser.parse_args(arguments)
    _search(smoke if flags.smoke else space, flags)


def tune_recipe(space_of: SpaceOf, default: str, smoke: str, arguments: Sequence[str] | None = None) -> NoReturn:
    """A search around a recipe that the user may name; around the recipe `smoke` with `--smoke`. Exits."""
    parser = study_parser("Search around a recipe with Ray Tune on warm DDP worker groups.", (*EXAMPLES[:2], AROUND))
    parser.own.add_argument(
        "recipe", metavar="RECIPE", nargs="?", help=f"a recipe of jobs/train.py --list (default: {default})"
    )
    _add_own(parser)
    flags = parser.parse_args(arguments)
    with errors_in_a_sentence(ValueError):
        name = flags.recipe or (smoke if flags.smoke else default)
        space = space_of(name, recipes.get(name))
    _search(space, flags)


def _add_own(parser: StudyParser) -> None:
    """What a search alone has."""
    add_budget(parser.how_much)
    add_audit(parser.how_much)
    add_warm_start(parser.what)


def _search(space: SearchSpace, flags: argparse.Namespace) -> NoReturn:
    with errors_in_a_sentence(ValueError):
        space = apply(space, flags)
        if flags.searcher == "grid" and flags.trials is None:
            flags.trials = space.grid_size()
        risky, default = varied_in_time(space), None
        if risky and not flags.scheduler and not flags.fresh:
            # It was another one before, with which a study goes on.
            default = began_with(study_folder(space, flags))
        default = default or default_strategy(space, flags.searcher)
        study = make_study(space, flags, scheduler=flags.scheduler or default)
    if risky and isinstance(study.scheduler, Asha | Promote):
        say(
            make_console(),
            "warning: ASHA compares trials after few epochs, which favours rates that fall early, and these vary: "
            f"{', '.join(risky)}; --strategy none runs all to their end",
        )
    sys.exit(run_job(study, flags))

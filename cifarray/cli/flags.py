"""The flags that all jobs share, and what they make of a search space: a study.

Not here: running it (`cifarray.cli.running`), which jobs there are (`cifarray.cli`).
"""

import argparse
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from cifarray import recipes, storage
from cifarray.cli.audit import NO_AUDIT, audit_of
from cifarray.cli.budget import DEFAULT_TRIALS, Arguments, how_much
from cifarray.cli.parser import WITHOUT_TRIALS, Examples, Parser, number, whole
from cifarray.cli.strategies import make_scheduler
from cifarray.cli.teachers import with_teachers
from cifarray.cli.warm_start import earlier_trials
from cifarray.config import TrainConfig
from cifarray.data.names import is_known
from cifarray.errors import StudyError
from cifarray.fields import flatten
from cifarray.places import DEFAULT_STORAGE, REMOTE_SCHEMES, default_tracking_uri, results, studies
from cifarray.space.domains import Choice, parse_assignment, parse_domain, parse_value
from cifarray.space.possible import possible
from cifarray.space.space import SearchSpace
from cifarray.study.samplers import SEARCHERS
from cifarray.study.schedulers import SCHEDULERS
from cifarray.study.study import Study
from cifarray.study.trial_record import Metric
from cifarray.tracking.addresses import refuse_unusable
from cifarray.training.tasks.kinds import kind_of

SMOKE_DATA, SMOKE_LIMIT, SMOKE_TRIALS, SMOKE_EPOCHS = "synthetic:2000", 2000, 4, 2
SOURCE = "data.source"
BEST_KEPT = 3
"""Checkpoints that a search keeps."""
GROUPS = ("of this job", "what is trained", "how much", "where it is kept", "how it runs")


def make_parser(description: str, examples: Examples = ()) -> Parser:
    """Of a job without a study: it is done or refused."""
    return Parser(description, examples, WITHOUT_TRIALS)


class StudyParser(Parser):
    """The flags that all jobs with a study share, in groups, to which a job adds its own."""

    def __init__(self, description: str, examples: Examples) -> None:
        super().__init__(description, examples)
        self.own, self.what, self.how_much, self.where, self.how = map(self.add_argument_group, GROUPS)
        _add_what(self.what)
        _add_how_much(self.how_much)
        _add_where(self.where)
        _add_how(self.how)
        self.set_defaults(budget=None, warm_start=[], audit=NO_AUDIT)

    def _about_unknown(self, text: str) -> str:
        word = text.partition("=")[0].lstrip("-").replace("-", "_")
        fields = [field for field in flatten(TrainConfig().to_dict()) if word in (field, field.rpartition(".")[2])]
        if text.startswith("-") and fields:
            return f"{text.partition('=')[0]} is no flag but a field: pin it with --set {fields[0]}=…"
        return super()._about_unknown(text)


def study_parser(description: str, examples: Examples = ()) -> StudyParser:
    return StudyParser(description, examples)


def _add_what(to: Arguments) -> None:
    add = to.add_argument
    add_data(to)
    add(
        "--limit",
        type=whole,
        metavar="N",
        help="train on a stratified subset of N images; the images that are held out stay as many "
        "(--set data.validation=M holds out M)",
    )
    add("--set", nargs="+", action="extend", default=[], metavar="FIELD=VALUE", help="pin a field of the train config")
    add(
        "--space",
        nargs="+",
        action="extend",
        default=[],
        metavar="FIELD=DOMAIN",
        help="vary a field: a,b,c or lo..hi or lo..hi:log",
    )
    add(
        "--teacher",
        metavar="RUN_OR_CHECKPOINT",
        help="distil from it: a checkpoint's path, study, trial (STUDY-NUMBER) or MLflow run id; as --set "
        "distillation.teacher=…",
    )
    add("--searcher", choices=SEARCHERS, metavar="NAME", help=f"{_either(SEARCHERS)} chooses points (default: random)")
    add("--max-params", type=whole, metavar="N", help="no network with more parameters becomes a trial")
    add("--max-macs", type=whole, metavar="N", help="no network with more multiply-adds per image becomes a trial")
    add("--metric", metavar="NAME", help="what trials are compared by (default: val_accuracy; on 2 × 2 grids val_map)")
    add("--seed", type=whole, default=0, metavar="N", help="of the search and of the training runs (default: 0)")


def _add_how_much(to: Arguments) -> None:
    add = to.add_argument
    add("--smoke", action="store_true", help="a minute's proof: small networks, 4 trials × 2 epochs, synthetic images")
    add("--trials", type=whole, metavar="N", help=f"trials in all (default: {DEFAULT_TRIALS}; a grid: all its points)")
    add("--epochs", type=whole, metavar="N", help="epochs of a trial (default: the recipe's)")
    add(
        "--scheduler",
        "--strategy",
        dest="scheduler",
        choices=tuple(SCHEDULERS),
        metavar="NAME",
        help=f"{_either(tuple(SCHEDULERS))}: asha stops trials that fall behind (default for most searches), promote "
        "pauses them and goes on with the best, freeze-thaw with what a model of all curves expects the most of "
        "(default where schedules vary)",
    )
    add("--retry-failed", action="store_true", help="run trials that failed again, from their checkpoints")


def _add_where(to: Arguments) -> None:
    add = to.add_argument
    add("--name", help="the study's name; the same name again goes on where it stopped (default: the space's)")
    add("--fresh", action="store_true", help="move an existing study of that name aside and start anew")
    add("--repair", action="store_true", help="open a damaged journal up to the damage; the rest is put beside it")
    add_places(to)
    add(
        "--no-register",
        dest="register",
        action="store_false",
        help="the winner's network goes to MLflow as a model, and not into its registry",
    )


def _add_how(to: Arguments) -> None:
    add = to.add_argument
    add(
        "--dry-run",
        action="store_true",
        help="show what would run, check that data, limit and batch fit, and stop; nothing is downloaded",
    )
    add(
        "--preflight",
        action="store_true",
        help="first measure some steps of the smallest and the largest network on one worker, and say what the study "
        "will take; with --dry-run stop then",
    )
    add("--price-per-hour", type=number, metavar="X", help="of a worker, for the costs that --preflight tells")
    add("--summary", action="store_true", help="show the base config's network layer by layer and stop")
    add("--workers", type=whole, default=1, metavar="N", help="DDP workers of each trial (default: 1)")
    add("--cpus-per-worker", type=number, metavar="X", help="default: shared out so that all cores are used")
    add(
        "--gpus-per-worker",
        type=number,
        metavar="X",
        help="default: 1 where there are GPUs; a fraction with one worker",
    )
    add("--concurrent", default="auto", metavar="N", help="trials at once, at most (default: auto, as many as fit)")
    add(
        "--stuck-after",
        type=number,
        default=60.0,
        metavar="SECONDS",
        help="restart workers that make no progress for so long, or for 20 steps where those take longer (default: 60)",
    )


def add_data(to: Arguments) -> None:
    add = to.add_argument
    add(
        "--data",
        metavar="SOURCE",
        help="cifar10, cifar100, synthetic, a folder or s3:// or gs:// prefix of Parquet files, or a folder of class "
        "folders (default: $CIFARRAY_DATA or cifar10)",
    )


def add_places(to: Arguments) -> None:
    add = to.add_argument
    add(
        "--storage",
        metavar="PLACE",
        default=results(),
        help="where results go: a folder that all nodes share, s3:// or gs:// "
        f"(default: $CIFARRAY_STORAGE or {DEFAULT_STORAGE})",
    )
    add(
        "--tracking-uri",
        metavar="URI",
        default=os.environ.get("MLFLOW_TRACKING_URI"),
        help="MLflow server or store (default: $MLFLOW_TRACKING_URI or a SQLite file beside the results); a password "
        "goes into the variable, since everybody on a machine sees a command's flags",
    )


def _either(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} or {names[-1]}"


def storage_and_tracking(flags: argparse.Namespace) -> tuple[str, str]:
    """Where results are, and MLflow's store. Raises ValueError for a place that is none."""
    _refuse_half_an_address("storage", flags.storage)
    where = storage.absolute(flags.storage)
    tracking_uri = flags.tracking_uri or default_tracking_uri(where)
    refuse_unusable(tracking_uri)
    return where, tracking_uri


def _refuse_half_an_address(what: str, place: str) -> None:
    """Raises StudyError for `s3:bucket`, which would be a folder here."""
    scheme, colon, rest = place.partition(":")
    if colon and f"{scheme}://" in REMOTE_SCHEMES and not rest.startswith("//"):
        whole_address = f"{scheme}://{rest.lstrip('/')}"
        raise StudyError(f"{what} {place!r} is half an address: did you mean {whole_address}?")


def data_source(flag: str | None) -> str:
    """The data source; a local folder by its full path, since workers change directory.

    A known name means the same in every folder: one that is called so is `./cifar10`.
    """
    source = flag or os.environ.get("CIFARRAY_DATA") or "cifar10"
    _refuse_half_an_address("data", source)
    is_path = not is_known(source) and not storage.is_remote(source) and (os.sep in source or Path(source).is_dir())
    return str(Path(source).expanduser().resolve()) if is_path else source


def apply(space: SearchSpace, flags: argparse.Namespace) -> SearchSpace:
    """The space with what the flags pin and vary. Later flags win: --smoke, then the named ones, --set, --space.

    A teacher's name becomes its checkpoint's address; `flags.notes` say what became of ranges. Raises ValueError for
    what does not exist.
    """
    smoke_data = SMOKE_DATA if flags.smoke and flags.data is None else None
    named = {
        SOURCE: smoke_data or data_source(flags.data),
        "data.limit": SMOKE_LIMIT if flags.smoke and flags.limit is None else flags.limit,
        "epochs": SMOKE_EPOCHS if flags.smoke and flags.epochs is None else flags.epochs,
        "distillation.teacher": flags.teacher,
    }
    if flags.smoke and flags.trials is None:
        flags.trials = SMOKE_TRIALS
    for text in (*flags.set, *flags.space, *map(str, named.values())):
        storage.refuse_keys(text)
    # A seed that varies is shifted by --seed where the job makes it.
    seed = {} if "seed" in space.domains else {"seed": flags.seed}
    pinned = {path: value for path, value in named.items() if value is not None} | seed
    pinned |= {path: parse_value(value) for path, value in map(_assigned, flags.set)}
    if isinstance(source := pinned[SOURCE], str):
        pinned[SOURCE] = data_source(source)
    left = space.domains_beside(pinned)
    varied = {path: parse_domain(text, left.get(path)) for path, text in map(_assigned, flags.space)}
    if isinstance(sources := varied.get(SOURCE), Choice):
        values = (data_source(value) if isinstance(value, str) else value for value in sources.values)
        varied[SOURCE] = replace(sources, values=tuple(values))
    space = space.changed(pinned, varied, flags.max_params, flags.max_macs)
    narrowed = possible(space, max(1, flags.workers))
    flags.notes = narrowed.notes
    return with_teachers(narrowed.space, *storage_and_tracking(flags))


def _assigned(text: str) -> tuple[str, str]:
    """As `parse_assignment`; --set and --space take all that follows, also what was meant for the job itself."""
    if text in recipes.RECIPES:
        raise StudyError(f"the recipe {text} is behind --set or --space, which take all that follows: put it first")
    return parse_assignment(text)


def make_study(space: SearchSpace, flags: argparse.Namespace, scheduler: str) -> Study:
    """Raises ValueError for flags that do not go together."""
    where, tracking_uri = storage_and_tracking(flags)
    if flags.concurrent != "auto" and not flags.concurrent.isdigit():
        raise StudyError(f"concurrent {flags.concurrent!r} is not a number: give one, or auto")
    num_trials, time_budget = how_much(flags, flags.workers)
    metric = Metric(flags.metric or kind_of(space.base).default_metric)
    return Study(
        name=_name(space, flags),
        space=space,
        num_trials=num_trials,
        storage=where,
        tracking_uri=tracking_uri,
        scheduler=make_scheduler(scheduler, space),
        searcher=flags.searcher or "random",
        seed=flags.seed,
        metric=metric,
        workers=flags.workers,
        cpus_per_worker=flags.cpus_per_worker,
        gpus_per_worker=flags.gpus_per_worker,
        concurrent=None if flags.concurrent == "auto" else int(flags.concurrent),
        # A smoke run is no candidate.
        register=flags.register and not flags.smoke,
        patience=flags.stuck_after,
        # Where nothing is selected, each trial's network is wanted afterwards.
        keep_checkpoints=num_trials if space.is_comparison else BEST_KEPT,
        time_budget=time_budget,
        audit=audit_of(flags),
        earlier=earlier_trials(space, metric, flags, where, study_folder(space, flags)) if flags.warm_start else (),
    )


def study_folder(space: SearchSpace, flags: argparse.Namespace) -> Path:
    """Where its journal is, on this disk."""
    return studies(storage_and_tracking(flags)[0]) / _name(space, flags)


def _name(space: SearchSpace, flags: argparse.Namespace) -> str:
    return flags.name or (f"{space.name}-smoke" if flags.smoke else space.name)


def checked_seeds(flags: argparse.Namespace) -> int:
    """How many seeds each config is trained with. Raises StudyError for none."""
    if flags.seeds < 1:
        raise StudyError(f"seeds {flags.seeds} is too few: choose 1 or more")
    return int(flags.seeds)

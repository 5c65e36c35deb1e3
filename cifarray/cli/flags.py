"""The flags that all jobs share, and what they make of a search space: a study.

Not here: running it (`cifarray.cli.running`), which jobs there are (`cifarray.cli`).
"""

import argparse
import os
from dataclasses import replace
from pathlib import Path

from cifarray import storage
from cifarray.cli.teachers import with_teachers
from cifarray.errors import StudyError
from cifarray.output import take_streams
from cifarray.places import DEFAULT_STORAGE, default_tracking_uri, results
from cifarray.space.domains import Choice, parse_assignment, parse_domain, parse_value
from cifarray.space.space import SearchSpace
from cifarray.study.samplers import SEARCHERS
from cifarray.study.schedulers import SCHEDULERS, Asha, RunAll
from cifarray.study.study import Study
from cifarray.study.trial_record import Metric
from cifarray.tracking.addresses import refuse_unusable
from cifarray.training.tasks.kinds import kind_of

SMOKE_DATA, SMOKE_LIMIT, SMOKE_TRIALS, SMOKE_EPOCHS = "synthetic:2000", 2000, 4, 2
DEFAULT_TRIALS = 20
SOURCE = "data.source"
BEST_KEPT = 3
"""Checkpoints that a search keeps."""


def make_parser(description: str) -> argparse.ArgumentParser:
    """The first thing that every job does."""
    take_streams()
    return argparse.ArgumentParser(description=description)


def study_parser(description: str) -> argparse.ArgumentParser:
    parser = make_parser(description)
    add = parser.add_argument
    add("--smoke", action="store_true", help="a minute's proof: small networks, 4 trials × 2 epochs, synthetic images")
    add("--dry-run", action="store_true", help="show what would run and stop")
    add("--summary", action="store_true", help="show the base config's network layer by layer and stop")
    add("--name", help="the study's name; the same name again goes on where it stopped (default: the space's)")
    add("--fresh", action="store_true", help="move an existing study of that name aside and start anew")
    add_data(parser)
    add("--limit", type=int, metavar="N", help="a stratified subset of N training images")
    add(
        "--teacher",
        metavar="RUN_OR_CHECKPOINT",
        help="distil from it: a checkpoint's path, study, trial (STUDY-NUMBER) or MLflow run id; as --set "
        "distillation.teacher=…",
    )
    add("--trials", type=int, metavar="N", help=f"trials in all (default: {DEFAULT_TRIALS}; a grid: all its points)")
    add("--epochs", type=int, metavar="N", help="epochs of a trial (default: the recipe's)")
    add("--scheduler", choices=tuple(SCHEDULERS), help="asha stops trials that fall behind (default for most searches)")
    add("--searcher", choices=SEARCHERS, help="how points are chosen (default: random)")
    add("--metric", metavar="NAME", help="what trials are compared by (default: val_accuracy; on 2 × 2 grids val_map)")
    add("--max-params", type=int, metavar="N", help="no network with more parameters becomes a trial")
    add("--max-macs", type=int, metavar="N", help="no network with more multiply-adds per image becomes a trial")
    add("--workers", type=int, default=1, metavar="N", help="DDP workers of each trial (default: 1)")
    add("--cpus-per-worker", type=float, metavar="X", help="default: shared out so that all cores are used")
    add(
        "--gpus-per-worker", type=float, metavar="X", help="default: 1 where there are GPUs; a fraction with one worker"
    )
    add("--concurrent", default="auto", metavar="N", help="trials at once, at most (default: auto, as many as fit)")
    add(
        "--stuck-after",
        type=float,
        default=60.0,
        metavar="SECONDS",
        help="restart workers that make no progress for so long, or for 20 steps where those take longer (default: 60)",
    )
    add("--retry-failed", action="store_true", help="run trials that failed again, from their checkpoints")
    add("--repair", action="store_true", help="open a damaged journal up to the damage; the rest is put beside it")
    add_places(parser)
    add("--seed", type=int, default=0, metavar="N", help="of the search and of the training runs (default: 0)")
    add("--set", nargs="+", action="extend", default=[], metavar="FIELD=VALUE", help="pin a field of the train config")
    add(
        "--space",
        nargs="+",
        action="extend",
        default=[],
        metavar="FIELD=DOMAIN",
        help="vary a field: a,b,c or lo..hi or lo..hi:log",
    )
    return parser


def add_data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data",
        metavar="SOURCE",
        help="cifar10, cifar100, synthetic, a folder or s3:// or gs:// prefix of Parquet files, or a folder of class "
        "folders (default: $CIFARRAY_DATA or cifar10)",
    )


def add_places(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--storage",
        metavar="PLACE",
        default=results(),
        help="where results go: a folder that all nodes share, s3:// or gs:// "
        f"(default: $CIFARRAY_STORAGE or {DEFAULT_STORAGE})",
    )
    parser.add_argument(
        "--tracking-uri",
        metavar="URI",
        default=os.environ.get("MLFLOW_TRACKING_URI"),
        help="MLflow server or store (default: $MLFLOW_TRACKING_URI or a SQLite file beside the results); a password "
        "goes into the variable, since everybody on a machine sees a command's flags",
    )


def storage_and_tracking(flags: argparse.Namespace) -> tuple[str, str]:
    """Where results are, and MLflow's store. Raises ValueError for a place that is none."""
    where = storage.absolute(flags.storage)
    tracking_uri = flags.tracking_uri or default_tracking_uri(where)
    refuse_unusable(tracking_uri)
    return where, tracking_uri


def data_source(flag: str | None) -> str:
    """The data source; a local folder by its full path, since workers change directory."""
    source = flag or os.environ.get("CIFARRAY_DATA") or "cifar10"
    is_path = not storage.is_remote(source) and (os.sep in source or Path(source).is_dir())
    return str(Path(source).expanduser().resolve()) if is_path else source


def apply(space: SearchSpace, flags: argparse.Namespace) -> SearchSpace:
    """The space with what the flags pin and vary. Later flags win: --smoke, then the named ones, --set, --space.

    A teacher's name becomes its checkpoint's address. Raises ValueError for what does not exist.
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
    pinned |= {path: parse_value(value) for path, value in map(parse_assignment, flags.set)}
    if isinstance(source := pinned[SOURCE], str):
        pinned[SOURCE] = data_source(source)
    left = space.domains_beside(pinned)
    varied = {path: parse_domain(text, left.get(path)) for path, text in map(parse_assignment, flags.space)}
    if isinstance(sources := varied.get(SOURCE), Choice):
        values = (data_source(value) if isinstance(value, str) else value for value in sources.values)
        varied[SOURCE] = replace(sources, values=tuple(values))
    space = space.changed(pinned, varied, flags.max_params, flags.max_macs)
    return with_teachers(space, *storage_and_tracking(flags))


def make_study(space: SearchSpace, flags: argparse.Namespace, scheduler: str) -> Study:
    """Raises ValueError for flags that do not go together."""
    where, tracking_uri = storage_and_tracking(flags)
    if flags.concurrent != "auto" and not flags.concurrent.isdigit():
        raise StudyError(f"concurrent {flags.concurrent!r} is not a number: give one, or auto")
    # Four rungs at most: ASHA with very early rungs favours what learns fast over what learns well.
    asha = Asha(reduction_factor=3, grace_epochs=max(1, space.base.epochs // 27))
    num_trials = DEFAULT_TRIALS if flags.trials is None else flags.trials
    return Study(
        name=flags.name or (f"{space.name}-smoke" if flags.smoke else space.name),
        space=space,
        num_trials=num_trials,
        storage=where,
        tracking_uri=tracking_uri,
        scheduler=asha if scheduler == asha.name else RunAll(),
        searcher=flags.searcher or "random",
        seed=flags.seed,
        metric=Metric(flags.metric or kind_of(space.base).default_metric),
        workers=flags.workers,
        cpus_per_worker=flags.cpus_per_worker,
        gpus_per_worker=flags.gpus_per_worker,
        concurrent=None if flags.concurrent == "auto" else int(flags.concurrent),
        patience=flags.stuck_after,
        # Where nothing is selected, each trial's network is wanted afterwards.
        keep_checkpoints=num_trials if space.is_comparison else BEST_KEPT,
    )


def checked_seeds(flags: argparse.Namespace) -> int:
    """How many seeds each config is trained with. Raises StudyError for none."""
    if flags.seeds < 1:
        raise StudyError(f"seeds {flags.seeds} is too few: choose 1 or more")
    return int(flags.seeds)

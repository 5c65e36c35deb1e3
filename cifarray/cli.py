"""What a user types: the few flags that all jobs share, and the four jobs.

Here: flags to a `Study`, what is printed before and after it, exit codes, errors in one sentence. Not here: how a study
runs (`cifarray.search.study`), what is shown meanwhile (`cifarray.report.live`).
"""

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from rich.console import Console

from cifarray import recipes, storage
from cifarray.config import flatten
from cifarray.data import DataError, open_store, prepare
from cifarray.places import DEFAULT_STORAGE, default_tracking_uri, results
from cifarray.report.leaderboard import seeds_summary, short_value, table
from cifarray.report.live import LineView, TableView
from cifarray.search.asha import Asha
from cifarray.search.final_test import run_final_test
from cifarray.search.plan import StudyError
from cifarray.search.pool import GroupStartError
from cifarray.search.samplers import SEARCHERS
from cifarray.search.space import SearchSpace, choice, parse_assignment, parse_domain, parse_value
from cifarray.search.study import Study, StudyResult, is_finished, run_study, set_aside
from cifarray.search.study_state import Outcome

SMOKE_DATA, SMOKE_LIMIT, SMOKE_TRIALS, SMOKE_EPOCHS = "synthetic:2000", 2000, 4, 2
DEFAULT_TRIALS = 20
INTERRUPTED = 130
"""Exit code after Ctrl-C, as a shell gives it."""


def tune(space: SearchSpace, smoke: SearchSpace, arguments: Sequence[str] | None = None) -> NoReturn:
    """A search over `space`; over `smoke` with `--smoke`. Exits."""
    parser = _parser(f"Search the space '{space.name}' with Ray Tune on warm DDP worker groups.")
    flags = parser.parse_args(arguments)
    with _errors_in_a_sentence(ValueError):
        chosen = _apply(smoke if flags.smoke else space, flags)
        if flags.searcher == "grid" and flags.trials is None:
            flags.trials = chosen.grid_size()
        study = _study(chosen, flags, scheduler=flags.scheduler or "asha")
    sys.exit(_run(study, flags))


def train(arguments: Sequence[str] | None = None) -> NoReturn:
    """One recipe as a study of one trial, or of one for each seed. Exits."""
    parser = _parser("Train one recipe with Ray Train.")
    parser.add_argument("recipe", nargs="?", default="wide_resnet_fast", help="one of: " + ", ".join(recipes.RECIPES))
    parser.add_argument("--seeds", type=int, default=1, metavar="N", help="train N times, with seeds SEED … SEED+N-1")
    flags = parser.parse_args(arguments)
    with _errors_in_a_sentence(ValueError):
        if flags.seeds < 1:
            raise StudyError(f"seeds {flags.seeds} is too few: choose 1 or more")
        space = SearchSpace(flags.recipe.replace("_", "-"), recipes.get(flags.recipe))
        space = _apply(space, flags)
        if flags.seeds > 1:
            space = space.vary({"seed": choice(*range(flags.seed, flags.seed + flags.seeds))})
        if flags.searcher is None and not flags.space:
            flags.searcher = "grid"
        if flags.trials is None and flags.searcher == "grid":
            flags.trials = space.grid_size()
        study = _study(space, flags, scheduler=flags.scheduler or "none")
    sys.exit(_run(study, flags))


def final_test(arguments: Sequence[str] | None = None) -> NoReturn:
    """Evaluate on the test split. Exits."""
    parser = argparse.ArgumentParser(description="Evaluate a trained trial on the test split; the opening is counted.")
    parser.add_argument("target", metavar="RUN_OR_STUDY", help="study, trial (STUDY-NUMBER) or MLflow run id")
    _add_places(parser)
    flags = parser.parse_args(arguments)
    console = _console()
    with _errors_in_a_sentence():
        where = storage.absolute(flags.storage)
        for line in run_final_test(flags.target, where, flags.tracking_uri or default_tracking_uri(where)):
            console.print(line, highlight=False, soft_wrap=True)
    sys.exit(0)


def prepare_data(arguments: Sequence[str] | None = None) -> NoReturn:
    """Prepare a data source. Exits."""
    parser = argparse.ArgumentParser(description="Download or read a data source and write its memory-mapped store.")
    _add_data(parser)
    parser.add_argument("--image-size", type=int, default=32, metavar="SIDE", help="side of the images (default: 32)")
    flags = parser.parse_args(arguments)
    with _errors_in_a_sentence():
        source = _source(flags.data)
        folder = prepare(source, flags.image_size)
        images = open_store(source, "train", flags.image_size)
        text = f"{len(images.labels):,} training images of {images.side}×{images.side}, {len(images.classes)} classes"
        _console().print(f"{text}: {folder}", highlight=False, soft_wrap=True)
    sys.exit(0)


def _parser(description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=description)
    add = parser.add_argument
    add("--smoke", action="store_true", help="a minute's proof: small networks, 4 trials × 2 epochs, synthetic images")
    add("--dry-run", action="store_true", help="show what would run and stop")
    add("--name", help="the study's name; the same name again goes on where it stopped (default: the space's)")
    add("--fresh", action="store_true", help="move an existing study of that name aside and start anew")
    _add_data(parser)
    add("--limit", type=int, metavar="N", help="a stratified subset of N training images")
    add("--trials", type=int, metavar="N", help=f"trials in all (default: {DEFAULT_TRIALS}; a grid: all its points)")
    add("--epochs", type=int, metavar="N", help="epochs of a trial (default: the recipe's)")
    add("--scheduler", choices=("asha", "none"), help="asha stops trials that fall behind (default for searches)")
    add("--searcher", choices=SEARCHERS, help="how points are chosen (default: random)")
    add("--workers", type=int, default=1, metavar="N", help="DDP workers of each trial (default: 1)")
    add("--cpus-per-worker", type=float, metavar="X", help="default: shared out so that all cores are used")
    add(
        "--gpus-per-worker", type=float, metavar="X", help="default: 1 where there are GPUs; a fraction with one worker"
    )
    add("--concurrent", default="auto", metavar="N", help="trials at once, at most (default: auto, as many as fit)")
    _add_places(parser)
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


def _add_data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data",
        metavar="SOURCE",
        help="cifar10, cifar100, synthetic, a folder or s3:// or gs:// prefix of Parquet files, or a folder of class "
        "folders (default: $CIFARRAY_DATA or cifar10)",
    )


def _add_places(parser: argparse.ArgumentParser) -> None:
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
        help="MLflow server or store (default: $MLFLOW_TRACKING_URI or a SQLite file beside the results)",
    )


def _source(flag: str | None) -> str:
    """The data source; a local folder by its full path, since workers change directory."""
    source = flag or os.environ.get("CIFARRAY_DATA") or "cifar10"
    is_path = not storage.is_remote(source) and (os.sep in source or Path(source).is_dir())
    return str(Path(source).expanduser().resolve()) if is_path else source


def _apply(space: SearchSpace, flags: argparse.Namespace) -> SearchSpace:
    """The space with what the flags pin and vary. Later flags win: --smoke, then the named ones, --set, --space."""
    smoke_data = SMOKE_DATA if flags.smoke and flags.data is None else None
    pinned = {
        "data.source": smoke_data or _source(flags.data),
        "data.limit": flags.limit or (SMOKE_LIMIT if flags.smoke else space.base.data.limit),
        "epochs": flags.epochs or (SMOKE_EPOCHS if flags.smoke else space.base.epochs),
        "seed": flags.seed,
    }
    if flags.smoke and flags.trials is None:
        flags.trials = SMOKE_TRIALS
    space = space.pin(pinned)
    space = space.pin({path: parse_value(value) for path, value in map(parse_assignment, flags.set)})
    domains = {path: parse_domain(value, space.domains.get(path)) for path, value in map(parse_assignment, flags.space)}
    return space.vary(domains)


def _study(space: SearchSpace, flags: argparse.Namespace, scheduler: str) -> Study:
    where = storage.absolute(flags.storage)
    if flags.concurrent != "auto" and not flags.concurrent.isdigit():
        raise StudyError(f"concurrent {flags.concurrent!r} is not a number: give one, or auto")
    # Four rungs at most: ASHA with very early rungs favours what learns fast over what learns well.
    asha = Asha(reduction_factor=3, grace_epochs=max(1, space.base.epochs // 27))
    return Study(
        name=flags.name or (f"{space.name}-smoke" if flags.smoke else space.name),
        space=space,
        num_trials=DEFAULT_TRIALS if flags.trials is None else flags.trials,
        storage=where,
        tracking_uri=flags.tracking_uri or default_tracking_uri(where),
        scheduler=asha if scheduler == "asha" else None,
        searcher=flags.searcher or "random",
        seed=flags.seed,
        workers=flags.workers,
        cpus_per_worker=flags.cpus_per_worker,
        gpus_per_worker=flags.gpus_per_worker,
        concurrent=None if flags.concurrent == "auto" else int(flags.concurrent),
    )


def _run(study: Study, flags: argparse.Namespace) -> int:
    """Run, show, and the exit code."""
    console = _console()
    if flags.dry_run:
        _show_plan(study, console)
        return 0
    with _errors_in_a_sentence():
        return _run_and_conclude(study, flags, console)


def _run_and_conclude(study: Study, flags: argparse.Namespace, console: Console) -> int:
    source = study.space.base.data.source
    if source.startswith("synthetic"):
        console.print(f"data: {source}, generated images; --data names real ones", highlight=False)
    else:
        console.print(f"data: {source}", highlight=False, soft_wrap=True)
    # A smoke run that only showed the last one's results would prove nothing.
    if flags.fresh or (flags.smoke and is_finished(study)):
        aside = set_aside(study)
        if aside:
            console.print(f"the study that was there is now {aside}", highlight=False, soft_wrap=True)
    view = TableView(console) if console.is_terminal else LineView(console)
    result = run_study(study, view)
    return _conclude(study, result, console)


def _conclude(study: Study, result: StudyResult, console: Console) -> int:
    completed = sum(trial.outcome is Outcome.COMPLETED for trial in result.state.trials.values())

    def say(text: str) -> None:
        console.print(text, highlight=False, markup=False, soft_wrap=True)

    if result.state.trials:
        console.print()
        console.print(table(result.state))
        console.print()
    summary = seeds_summary(result.state)
    if summary:
        say(summary)
    say(f"results: {study.folder}")
    if result.tracking and result.tracking.message:
        say(result.tracking.message)
    if study.tracking_uri.startswith("sqlite:"):
        say(f"MLflow:  mlflow ui --host 127.0.0.1 --backend-store-uri {study.tracking_uri}")
    else:
        say(f"MLflow:  {study.tracking_uri}")
    if result.reason == "interrupted":
        say(f"interrupted: {result.state.remaining()} trials remain; the same command again goes on with them")
        return INTERRUPTED
    if not completed:
        say("no trial completed")
    return 0 if completed else 1


def _show_plan(study: Study, console: Console) -> None:
    def say(text: str) -> None:
        console.print(text, highlight=False, markup=False, soft_wrap=True)

    say(f"study {study.name} in {study.address}, tracked at {study.tracking_uri}")
    say("\nbase config")
    for path, value in flatten(study.space.base.to_dict()).items():
        say(f"  {path} = {short_value(value)}")
    say("\nwhat varies" if study.space.domains else "\nnothing varies")
    for path, domain in study.space.domains.items():
        say(f"  {path} in {domain}")
    scheduler = (
        f"ASHA, rungs after epochs {study.scheduler.rungs(study.space.base.epochs)}" if study.scheduler else "none"
    )
    say(f"\n{study.new_state().budget} trials, searcher {study.searcher}, scheduler {scheduler}")
    cpus = "auto" if study.cpus_per_worker is None else f"{study.cpus_per_worker:g}"
    gpus = "auto" if study.gpus_per_worker is None else f"{study.gpus_per_worker:g}"
    at_once = "as many trials at once as fit" if study.concurrent is None else f"at most {study.concurrent} at once"
    say(f"{study.workers} workers a trial, CPUs per worker {cpus}, GPUs per worker {gpus}; {at_once}")


def _console() -> Console:
    """Wide enough for a whole line where the output is no terminal."""
    console = Console()
    return console if console.is_terminal else Console(width=200)


@contextmanager
def _errors_in_a_sentence(*more: type[Exception]) -> Iterator[None]:
    """What the user can mend is one sentence and exit code 2; anything else keeps its traceback.

    more: ValueError while configs, spaces and studies are made; one from deeper down is our mistake.
    """
    mendable: tuple[type[Exception], ...] = (
        StudyError,
        DataError,
        storage.StorageError,
        GroupStartError,
        ConnectionError,
    )
    try:
        yield
    except (*mendable, *more) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(INTERRUPTED)

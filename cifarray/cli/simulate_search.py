"""`jobs/simulate_search.py`: which strategy is best on recorded curves, what a search would take, curves of a study.

Not here: the virtual clock and the comparison (`cifarray.simulate`).
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from rich.console import Console
from rich.table import Table

from cifarray.cli.budget import add_budget
from cifarray.cli.flags import add_places, make_parser, storage_and_tracking
from cifarray.cli.parser import Parser, whole
from cifarray.cli.running import errors_in_a_sentence, make_console
from cifarray.cli.strategies import make_scheduler, varied_in_time
from cifarray.errors import StudyError
from cifarray.journal import targets
from cifarray.journal.journal import FILE_NAME, events_in
from cifarray.report.budget import about_the_end
from cifarray.report.sentences import say
from cifarray.study.samplers import SearcherName
from cifarray.study.schedulers import SCHEDULERS
from cifarray.study.state import StudyState
from cifarray.study.time_budget import UNLIMITED, TimeBudget

if TYPE_CHECKING:
    from cifarray.simulate.compare import Comparison, Interval
    from cifarray.simulate.curves import Curves

DEFAULT_TRIALS = 100
EXAMPLES = (
    ("--record wrn > wrn.jsonl", "the curves of a study's completed trials"),
    ("--compare --curves wrn.jsonl --workers 1 8", "which strategy finds the best of them soonest"),
    ("--curves wrn.jsonl --trials 500 --workers 8", "what a search of 500 trials like these would take"),
    ("--workers 1000 --trials 10000", "the same for curves by a formula"),
)


def simulate_search(arguments: Sequence[str] | None = None) -> NoReturn:
    """Compare, simulate or record. Exits."""
    flags = _parser().parse_args(arguments)
    console = make_console()
    with errors_in_a_sentence(ValueError, OSError):
        if flags.record:
            _record(flags)
        elif flags.compare:
            _compare(flags, console)
        else:
            _simulate(flags, console)
    sys.exit(0)


def _parser() -> Parser:
    parser = make_parser("Searches on a virtual clock: the project's own decisions, without a worker.", EXAMPLES)
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--compare", action="store_true", help="all strategies, and Ray Tune's ASHA, on recorded curves")
    how.add_argument(
        "--record", metavar="STUDY", help="print a study's curves, a line of JSON for each completed trial"
    )
    parser.add_argument(
        "--curves", type=Path, metavar="FILE", help="curves, as --record prints them (default: a formula's)"
    )
    parser.add_argument(
        "--workers", type=whole, nargs="+", default=[4], metavar="N", help="worker groups; several with --compare"
    )
    parser.add_argument("--json", action="store_true", help="all figures as JSON")
    alike = parser.add_argument_group("with --compare")
    alike.add_argument("--repetitions", type=whole, default=50, metavar="N", help="default: 50")
    alike.add_argument("--strategies", nargs="+", metavar="NAME", help="of the table's (default: all)")
    alike.add_argument(
        "--reached",
        choices=("any", "complete"),
        default="any",
        help="by any epoch, or by a trial's last (default: any)",
    )
    alike.add_argument(
        "--base",
        choices=("recorded", "top"),
        default="recorded",
        help="the base point: that of the file, or one of the best tenth",
    )
    one = parser.add_argument_group("without --compare")
    one.add_argument("--trials", type=whole, metavar="N", help="default: 100; with --budget as many as it allows")
    add_budget(one)
    one.add_argument("--strategy", choices=tuple(SCHEDULERS), default="asha", help="default: asha")
    one.add_argument("--searcher", choices=("random", "tpe"), default="random", help="default: random")
    one.add_argument("--seed", type=int, default=0, metavar="N")
    one.add_argument(
        "--start-seconds", type=float, default=30.0, metavar="S", help="until a group is ready (default: 30)"
    )
    one.add_argument(
        "--spread",
        type=float,
        default=0.1,
        metavar="S",
        help="how the groups' paces differ: deviation of the logarithm (default: 0.1)",
    )
    one.add_argument("--faults-per-hour", type=float, default=0.0, metavar="N", help="of each group (default: 0)")
    add_places(parser)
    return parser


def _record(flags: argparse.Namespace) -> None:
    from cifarray.simulate.curves import lines_of

    where, _ = storage_and_tracking(flags)
    folder = targets.find(flags.record, where)[0]
    state = StudyState.from_events(list(events_in(folder / FILE_NAME)))
    lines = list(lines_of(folder.name, state))
    if not lines:
        raise StudyError(f"no trial of {folder.name} has run to its end with val_accuracy: there is no curve to record")
    for line in lines:
        print(line)
    others = len(state.trials) - len(lines)
    if others:
        print(f"{others} of {len(state.trials)} trials have not run to their end and are left out", file=sys.stderr)


def _compare(flags: argparse.Namespace, console: Console) -> None:
    from cifarray.simulate.compare import compare, with_base_among_the_best
    from cifarray.simulate.strategies import STRATEGIES

    unknown = [name for name in flags.strategies or () if name not in STRATEGIES]
    if unknown:
        raise StudyError(f"strategy {unknown[0]!r} is not compared here: choose of {', '.join(STRATEGIES)}")
    curves = _curves(flags)
    baseless = [name for name in flags.strategies or () if STRATEGIES[name].base_first]
    if baseless and curves.base is None and flags.base != "top":
        raise StudyError(
            f"{baseless[0]!r} needs a base point, and {flags.curves} has none: give lines of it the study "
            '"default", or --base top'
        )
    names = tuple(flags.strategies or STRATEGIES)
    found = []
    for workers in flags.workers:
        with console.status(f"{workers} workers: 0 of {flags.repetitions} repetitions") as status:

            def told(done: int, workers: int = workers, status: object = status) -> None:
                status.update(f"{workers} workers: {done} of {flags.repetitions} repetitions")  # type: ignore[attr-defined]

            found.append(
                compare(
                    with_base_among_the_best(curves, 0) if flags.base == "top" else curves,
                    workers,
                    flags.repetitions,
                    names,
                    flags.reached,
                    varies_in_time=bool(varied_in_time(curves.space)),
                    progress=told,
                )
            )
    if flags.json:
        print(json.dumps([asdict(comparison) for comparison in found], indent=2))
        return
    count = len(curves.curves)
    say(
        console, f"{flags.curves}: {count} points, {curves.epochs} epochs each, {flags.repetitions} repetitions of 80 %"
    )
    for comparison in found:
        _show(comparison, console)


def _curves(flags: argparse.Namespace) -> "Curves":
    from cifarray.simulate.curves import read

    if flags.curves is None:
        raise StudyError("--compare needs curves that were recorded: give --curves FILE, which --record STUDY prints")
    curves = read(flags.curves)
    if len(curves.curves) < 2:
        raise StudyError(f"{flags.curves} has one point alone, and there is nothing to search: record a study of more")
    return curves


def _show(comparison: "Comparison", console: Console) -> None:
    groups = f"{comparison.workers} worker{'s' if comparison.workers > 1 else ''}"
    say(
        console, f"\n{groups}, budget {comparison.budget / 3600:.2f} worker-hours [90 % intervals over the repetitions]"
    )
    shares, parts = comparison.strategies[0].sooner, comparison.strategies[0].regret
    early = {each: "*" if each in comparison.early else "" for each in shares}
    sooner = _table("times sooner than Ray's ASHA", [f"best {100 * each:.0f} %{early[each]}" for each in shares])
    regret = _table("points short of the best", [f"{100 * part:.0f} % spent" for part in parts])
    for told in comparison.strategies:
        sooner.add_row(told.name, *(_short(told.sooner[each], 1) + _not_reached(told.missed[each]) for each in shares))
        regret.add_row(told.name, *(_short(told.regret[part], 100) for part in parts))
    console.print(sooner)
    if comparison.early:
        say(console, "* reached by Ray's ASHA before each worker could have run 3 trials to their end: tells little")
    if any(share >= 0.005 for told in comparison.strategies for share in told.missed.values()):
        say(console, "† of the repetitions did not reach it within the budget, and count as if they had at its end")
    console.print(regret)


def _table(what: str, headings: Sequence[str]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(what)
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def _not_reached(share: float) -> str:
    """Behind a ratio in which repetitions count as the budget."""
    return "" if share < 0.005 else f" †{share:.0%}"


def _short(interval: "Interval", scale: float) -> str:
    return f"{scale * interval.mean:.1f} [{scale * interval.low:.1f}–{scale * interval.high:.1f}]"


def _simulate(flags: argparse.Namespace, console: Console) -> None:
    from cifarray.simulate.curves import read
    from cifarray.simulate.generator import Fitted, Made
    from cifarray.simulate.machines import Cluster
    from cifarray.simulate.run import simulate
    from cifarray.simulate.study import GeneratedStudy

    if flags.strategy == "freeze-thaw" and flags.searcher != "random":
        raise StudyError("--strategy freeze-thaw chooses points by itself: leave --searcher out")
    if len(flags.workers) > 1:
        raise StudyError("--workers has several numbers, and one search has one: give one, or --compare")
    source = Made(flags.seed) if flags.curves is None else Fitted(read(flags.curves), flags.seed)
    cluster = Cluster(
        flags.workers[0],
        start_seconds=flags.start_seconds,
        spread=flags.spread,
        faults_per_hour=flags.faults_per_hour,
    )
    scheduler = make_scheduler(flags.strategy, source.space)
    searcher: SearcherName = "random" if scheduler.chooses else flags.searcher
    num_trials = flags.trials or DEFAULT_TRIALS
    if flags.budget is not None and flags.trials is None:
        num_trials = UNLIMITED
    study = GeneratedStudy(source.space, num_trials, searcher, scheduler, flags.seed)
    study.time_budget = None if flags.budget is None else TimeBudget(flags.budget)
    study.begin(source.curve_of, source.epochs)
    began = time.monotonic()
    told = simulate(study, cluster)
    best = study.best()
    figures = {
        "strategy": flags.strategy,
        "workers": cluster.groups,
        "trials": len(study.trials),
        "epochs": len(told.seen),
        "paused": sum(trial.is_paused for trial in study.unfinished.values()),
        "share_of_full_runs": len(told.seen) / (len(study.trials) * source.epochs),
        "hours": told.seconds / 3600,
        "worker_hours": told.busy_seconds / 3600,
        "busy": told.busy_seconds / (told.seconds * cluster.groups),
        "faults": told.faults,
        "best_val_accuracy": None if best is None else best.value,
        "best_params": None if best is None else best.params,
    }
    if flags.json:
        print(json.dumps(figures, indent=2))
        return
    what = (
        "a formula's curves, which say nothing of real ones" if flags.curves is None else f"curves like {flags.curves}"
    )
    say(
        console,
        f"{flags.strategy}, {len(study.trials):,} trials of {source.epochs} epochs on {cluster.groups:,} workers, "
        f"{what}: {told.seconds / 3600:.2f} h, {told.busy_seconds / 3600:,.1f} worker-hours "
        f"({figures['busy']:.0%} of the time the workers train)",
    )
    faults = f"; {told.faults:,} groups broke and were replaced" if told.faults else ""
    say(console, f"{len(told.seen):,} epochs, {figures['share_of_full_runs']:.0%} of what full runs would be{faults}")
    if ending := about_the_end(study):
        say(console, ending)
    if best is not None and best.value is not None:
        chosen = " · ".join(f"{path.rpartition('.')[2]} {_number(value)}" for path, value in best.params.items())
        say(console, f"best: {100 * best.value:.2f} %, {chosen}")
    say(console, f"simulated in {time.monotonic() - began:.1f} s")


def _number(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)

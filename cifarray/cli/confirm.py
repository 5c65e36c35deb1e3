"""`jobs/confirm.py`: the best few of a search once more, with new seeds, and which of them is better.

What a search found best was chosen among many by one seed, and owes part of its lead to that seed. Not here: the
verdict (`cifarray.study.winner`) and its words (`cifarray.report.winner`).
"""

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, NoReturn

from rich.console import Console

from cifarray.cli.flags import make_study, storage_and_tracking, study_parser
from cifarray.cli.parser import whole
from cifarray.cli.running import errors_in_a_sentence, run_job
from cifarray.config import TrainConfig
from cifarray.errors import StudyError
from cifarray.journal import targets
from cifarray.journal.journal import FILE_NAME, read_events
from cifarray.report.comparison import comparison, rows_in_order
from cifarray.report.last_screen import labelled
from cifarray.report.winner import lines
from cifarray.space.domains import choice
from cifarray.space.space import RECIPE, SearchSpace
from cifarray.study.events import StudyStarted
from cifarray.study.samplers import point_key
from cifarray.study.state import StudyState
from cifarray.study.study import Study
from cifarray.study.trial_record import Outcome, TrialRecord
from cifarray.study.winner import verdict

if TYPE_CHECKING:
    from cifarray.engine.result import StudyResult

EXAMPLES = (
    ("wrn", "the best 3 of the study wrn, with 3 new seeds each"),
    ("wrn --seeds 5", "goes on with two more seeds of each"),
)
FIXED = (
    *("set", "space", "teacher", "epochs", "limit", "data", "smoke", "max_params", "max_macs"),
    *("searcher", "scheduler", "trials", "metric", "seed"),
)
"""Flags of what the search has settled: the configs, and by what they are compared."""


def confirm(arguments: Sequence[str] | None = None) -> NoReturn:
    """The best of a study with new seeds, as a study of its own. Exits."""
    parser = study_parser("Train the best of a search again with new seeds, and say which is better.", EXAMPLES)
    parser.own.add_argument("study", metavar="STUDY", help="a search, by its name or folder")
    parser.own.add_argument(
        "--best", type=whole, default=3, metavar="N", help="configs that are trained again (default: 3)"
    )
    parser.own.add_argument("--seeds", type=whole, default=3, metavar="N", help="new seeds for each (default: 3)")
    parser.set_defaults(workers=None)
    flags = parser.parse_args(arguments)
    with errors_in_a_sentence(ValueError):
        _refuse_changes(flags)
        folder, number = targets.find(flags.study, storage_and_tracking(flags)[0])
        if number is not None:
            raise StudyError(f"{flags.study} is a trial: name the study that it is of, {folder.name}")
        events = read_events(folder / FILE_NAME)
        state = StudyState.from_events(events)
        chosen = best_configs(state, folder.name, flags.best)
        began = events[0]
        assert isinstance(began, StudyStarted), "as from_events says"
        flags.workers = flags.workers or began.workers
        flags.metric = state.metric.name
        space = confirmation_space(f"{folder.name}-confirmed", state, chosen, flags.seeds)
        flags.searcher, flags.trials, flags.notes = "grid", space.grid_size(), ()
        study = make_study(space, flags, scheduler="none")
    seen = {_name(trial): trial.value for trial in chosen if trial.value is not None}
    sys.exit(run_job(study, flags, partial(_show, seen)))


def best_configs(state: StudyState, name: str, count: int) -> list[TrialRecord]:
    """The best trial of each of the best `count` configs that ran to their end. Raises StudyError if none did."""
    if state.space.is_comparison:
        raise StudyError(f"{name} compares seeds or recipes already: run it again with more --seeds")
    found: dict[str, TrialRecord] = {}
    for trial in state.ranking():
        if trial.outcome is Outcome.COMPLETED and trial.value is not None:
            params = {path: value for path, value in trial.params.items() if path != "seed"}
            found.setdefault(point_key(params), trial)
    if not found:
        raise StudyError(f"no trial of {name} has run to its end with a value: let the search finish first")
    return list(found.values())[:count]


def confirmation_space(name: str, state: StudyState, chosen: Sequence[TrialRecord], seeds: int) -> SearchSpace:
    """Each of the configs with each of so many seeds that no trial of the search had; seed by seed, so that at any time
    all have about as many."""
    configs = {_name(trial): TrainConfig.from_dict(trial.config) for trial in chosen}
    first = 1 + max(int(trial.config.get("seed", 0)) for trial in state.trials.values())
    domains = {"seed": choice(*range(first, first + seeds)), RECIPE: choice(*configs)}
    return SearchSpace(name, next(iter(configs.values())), domains, configs)


def _name(trial: TrialRecord) -> str:
    return f"trial-{trial.number}"


def _refuse_changes(flags: argparse.Namespace) -> None:
    for name in FIXED:
        if getattr(flags, name):
            flag = f"--{name.replace('_', '-')}"
            raise StudyError(f"{flag} is for a search, and this trains the best of one as they were: leave it out")


def _show(seen: dict[str, float], study: Study, result: "StudyResult", console: Console) -> None:
    metric = study.metric
    console.print(comparison(result.state, metric))
    if result.reason != "finished":
        return
    found = verdict({row.name: row.by_seed for row in rows_in_order(result.state, metric)}, metric.lower_is_better)
    if found is None:
        return
    console.print()
    for label, text in lines(found, metric, seen):
        console.print(labelled(label, text, console.width), highlight=False, markup=False, soft_wrap=True)
    # Of its seeds the first, and not the best: that one would be chosen by luck again.
    trial = min(
        (
            trial
            for trial in result.state.trials.values()
            if trial.params.get(RECIPE) == found.name and trial.checkpoint
        ),
        key=lambda trial: trial.number,
        default=None,
    )
    if trial is not None and trial.checkpoint is not None:
        load = f'network = cifarray.load("{trial.checkpoint[1]}")'
        console.print(labelled("load it", load), highlight=False, markup=False, soft_wrap=True)

"""What is printed before and after a study, its exit code, and errors in one sentence.

Ray and torch are imported where a study runs: its plan is shown without them. Not here: how a study runs
(`cifarray.engine.run`), what is shown meanwhile (`cifarray.report.live`).
"""

import argparse
import shlex
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING

from rich.console import Console

from cifarray import output, storage
from cifarray.cli.before import (
    about_data,
    already_done,
    look_at_data,
    notes_on,
    nothing_to_do,
    refuse_numbers_without_images,
    refuse_unknown_data,
    refuse_unwritable_storage,
    unused_settings,
)
from cifarray.cli.layers import show_layers
from cifarray.cli.parser import PAUSED, REFUSED
from cifarray.cli.plan import show_plan
from cifarray.engine.connection import refuse_malformed_address
from cifarray.engine.signals import INTERRUPTED
from cifarray.errors import UserError
from cifarray.journal.folder import is_finished, set_aside
from cifarray.journal.journal import FILE_NAME
from cifarray.redaction import redact
from cifarray.report.audit import about_the_audit
from cifarray.report.budget import about_the_end, remaining, worker_seconds
from cifarray.report.last_screen import COMMANDS, about_the_best, labelled, time_spent
from cifarray.report.leaderboard import table
from cifarray.report.live import view_for
from cifarray.report.page.at_end import PAGE
from cifarray.report.sentences import print_error, say
from cifarray.report.stages import stage
from cifarray.space.domains import parse_assignment
from cifarray.space.sizes import Sizes
from cifarray.study.study import Study
from cifarray.study.trial_record import Outcome
from cifarray.tracking.addresses import unreachable

if TYPE_CHECKING:
    from cifarray.engine.result import StudyResult
    from cifarray.simulate.plan import Plan

Epilogue = Callable[[Study, "StudyResult", Console], None]
"""What a job shows in place of the leaderboard."""


def run_job(study: Study, flags: argparse.Namespace, epilogue: Epilogue | None = None) -> int:
    """Runs the study, shows what came of it, and returns the exit code."""
    console = make_console()
    with errors_in_a_sentence():
        refuse_unknown_data(study.space)
        refuse_unwritable_storage(study)
        if not flags.summary:
            refuse_numbers_without_images(study.space)
        if flags.dry_run:
            sizes = Sizes(study.space, num_classes=10)
            if any(path.startswith("model.") for path, _ in map(parse_assignment, [*flags.set, *flags.space])):
                # The networks of the recipes and of the spaces that come with the project are known to exist.
                sizes.check_networks()
            if flags.max_params is not None or flags.max_macs is not None:
                sizes.check_corners()
            show_plan(study, console, [*look_at_data(study.space), *notes_on(study, flags.notes)])
            with _after_preflight(study, flags, console):
                return 0
        if flags.summary:
            with errors_in_a_sentence(ValueError):
                show_layers(study.space.base, console)
            return 0
        return _run_and_conclude(study, flags, console, epilogue)


def _run_and_conclude(study: Study, flags: argparse.Namespace, console: Console, epilogue: Epilogue | None) -> int:
    # Of a smoke run nobody wants to know how it searches.
    notes = flags.notes if flags.smoke else notes_on(study, flags.notes)
    for line in [about_data(study.space), *notes, *unused_settings()]:
        say(console, line)
    # A smoke run that only showed the last one's results would prove nothing.
    if flags.fresh or (flags.smoke and is_finished(study)):
        aside = set_aside(study)
        if aside:
            say(console, f"the study that was there is now {aside}")
    done = None if flags.repair else already_done(study, flags.retry_failed)
    if done is not None:
        say(console, nothing_to_do(study, done.state, flags))
        return _conclude(study, done, console, epilogue, None)
    refuse_malformed_address()
    if away := unreachable(study.tracking_uri):
        say(console, away)
    # Late: it brings Ray along.
    from cifarray.engine.run import run_study

    began = time.monotonic()
    with _after_preflight(study, flags, console) as plan:
        result = run_study(study, view_for(console), retry_failed=flags.retry_failed, repair=flags.repair)
    return _conclude(study, result, console, epilogue, time.monotonic() - began, plan)


@contextmanager
def _after_preflight(study: Study, flags: argparse.Namespace, console: Console) -> "Iterator[Plan | None]":
    """The block runs on the Ray that the preflight has started, if there was to be one; with what that expects."""
    if not flags.preflight:
        yield None
        return
    from cifarray.cli.preflight import preflight
    from cifarray.engine.connection import connected

    refuse_malformed_address()
    with ExitStack() as stack:
        with stage(console, "starting Ray"):
            stack.enter_context(connected())
        begun = (study.folder / FILE_NAME).exists()
        yield preflight(study, flags.price_per_hour, partial(stage, console), partial(say, console), begun)


def _conclude(
    study: Study,
    result: "StudyResult",
    console: Console,
    epilogue: Epilogue | None,
    seconds: float | None,
    plan: "Plan | None" = None,
) -> int:
    """The last screen, and the exit code. seconds: that the study took this time; None if there was nothing to do.
    plan: what it was expected to take."""
    completed = sum(trial.outcome is Outcome.COMPLETED for trial in result.state.trials.values())

    def tell(label: str, text: str, prose: bool = False) -> None:
        line = labelled(label, text, console.width if prose else None)
        console.print(line, highlight=False, markup=False, soft_wrap=True)

    if result.state.trials:
        console.print()
        if epilogue is not None:
            epilogue(study, result, console)
        else:
            drawn, notes = table(result.state, console.width)
            console.print(drawn)
            for note in notes:
                say(console, note)
            console.print()
            for label, text in about_the_best(study, result.state):
                tell(label, text, prose=label not in COMMANDS)
            if found := about_the_audit(result.state):
                tell("audit", found, prose=True)
        tell("time", time_spent(study, result.state, seconds), prose=True)
        if plan is not None and result.reason == "finished":
            from cifarray.cli.preflight import planned_and_actual

            tell("plan", planned_and_actual(plan, worker_seconds(result.state, study.workers)), prose=True)
        if seconds is not None and result.reason == "finished" and (ending := about_the_end(result.state)):
            tell("budget", ending, prose=True)
    tell("results", str(study.folder))
    if (study.folder / PAGE).exists():
        tell("report", str(study.folder / PAGE))
    elif result.state.trials:
        tell("report", shlex.join(["python", "jobs/report.py", str(study.folder)]))
    if result.tracking and result.tracking.model:
        tell("model", result.tracking.model, prose=True)
    if result.tracking and result.tracking.message:
        say(console, result.tracking.message)
    if study.tracking_uri.startswith("sqlite:"):
        tell("MLflow", f"mlflow ui --host 127.0.0.1 --backend-store-uri {shlex.quote(study.tracking_uri)}")
    else:
        tell("MLflow", redact(study.tracking_uri))
    left, them = remaining(result.state)
    if result.reason == "interrupted":
        text = f"interrupted: {left}; the same command again goes on with {them}"
        say(console, text)
        if output.is_broken():
            print(text, file=sys.stderr)
        return INTERRUPTED
    if result.reason == "paused":
        say(console, f"paused: {result.message}; {left}, the same command goes on with {them}")
        return PAUSED
    if not completed:
        say(console, "no trial completed")
    return 0 if completed else 1


def make_console() -> Console:
    """Wide enough for a whole line where the output is no terminal."""
    console = Console()
    return console if console.is_terminal else Console(width=200)


@contextmanager
def errors_in_a_sentence(*more: type[Exception]) -> Iterator[None]:
    """What the user can mend is one sentence and exit code 2; anything else keeps its traceback.

    more: ValueError while configs, spaces and studies are made; one from deeper down is our mistake.
    """
    mendable: tuple[type[Exception], ...] = (UserError, storage.StorageError, ConnectionError)
    try:
        yield
    except (*mendable, *more) as error:
        print_error(f"error: {redact(str(error))}")
        sys.exit(REFUSED)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(INTERRUPTED)

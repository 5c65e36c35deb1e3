"""What `--dry-run` shows: a study's plan.

Not here: what is checked before (`before`), what `--summary` shows (`layers`).
"""

from collections.abc import Iterable

from rich.console import Console

from cifarray.fields import flatten
from cifarray.redaction import redact
from cifarray.report.audit import audit_rule
from cifarray.report.budget import rule, trials_in_all
from cifarray.report.leaderboard import short_value
from cifarray.report.sentences import say
from cifarray.report.warm_start import learnt
from cifarray.study.samplers import Sampler, shortage
from cifarray.study.study import Study
from cifarray.study.time_budget import UNLIMITED


def show_plan(study: Study, console: Console, notes: Iterable[str]) -> None:
    """What would run; `notes` are sentences about it."""

    space = study.space
    say(console, f"study {study.name} in {study.address}, tracked at {redact(study.tracking_uri)}")
    say(console, "\nbase config")
    for path, value in flatten(space.base.to_dict()).items():
        say(console, f"  {path} = {short_value(value)}")
    say(console, "\nwhat varies" if space.domains else "\nnothing varies")
    for path, domain in space.domains.items():
        say(console, f"  {path} in {domain}")
    for limit, what in ((space.max_params, "parameters"), (space.max_macs, "MACs")):
        if limit is not None:
            say(console, f"  at most {limit:,} {what}")
    scheduler = study.scheduler.describe(space.base.epochs)
    # Whatever the limits: which networks are within them is known when the data are open.
    budget = Sampler(space, study.searcher, study.seed).budget(study.num_trials)
    trials = trials_in_all(budget)
    searcher = "" if study.scheduler.chooses else f"searcher {study.searcher}, "
    say(console, f"\n{trials}, compared by {study.metric.name}, {searcher}scheduler {scheduler}")
    most = study.scheduler.epochs_at_most(budget, space.base.epochs)
    if most is not None and budget < UNLIMITED:
        say(
            console,
            f"as much work as {most} epochs of networks of average size: trials are begun, and those that are paused "
            "go on, until it is done",
        )
    if study.time_budget is not None:
        say(console, rule(study.time_budget))
    if audited := audit_rule(study):
        say(console, audited)
    for event in study.earlier:
        say(console, learnt(event))
    short = None if study.num_trials >= UNLIMITED else shortage(budget, study.num_trials)
    if short:
        say(console, short)
    cpus = "auto" if study.cpus_per_worker is None else f"{study.cpus_per_worker:g}"
    gpus = "auto" if study.gpus_per_worker is None else f"{study.gpus_per_worker:g}"
    at_once = "as many trials at once as fit" if study.concurrent is None else f"at most {study.concurrent} at once"
    workers = f"{study.workers} worker{'s' if study.workers > 1 else ''}"
    say(console, f"{workers} a trial, CPUs per worker {cpus}, GPUs per worker {gpus}; {at_once}")
    for note in notes:
        say(console, note)

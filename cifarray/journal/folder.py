"""What is already there under a study's name: nothing, a study to go on with, a finished one, another one.

Not here: what is in a journal (`journal`), running a study (`cifarray.engine`).
"""

import contextlib
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cifarray import storage
from cifarray.errors import StudyError
from cifarray.journal.differences import differences_of, free_name, table
from cifarray.journal.events import JournalError
from cifarray.journal.journal import FILE_NAME, Journal, StudyRunningError, events_in, read_events
from cifarray.journal.targets import bring_up_to_date
from cifarray.space.space import SearchSpace
from cifarray.study.events import DriverEnded, DriverStarted, Event, StudyStarted, TrialSampled
from cifarray.study.schedulers import from_settings
from cifarray.study.study import Study


class StudyChangedError(StudyError):
    """The study of this name in storage is another one."""


def open_journal(study: Study, repair: bool = False) -> Journal:
    """The study's journal, new or to go on with; `repair` as in Journal.

    Raises StudyChangedError with what differs, StudyRunningError if another driver has it.
    """

    journal = Journal(study.folder, repair=repair)
    if not journal.events:
        return journal
    identity = json.loads(json.dumps(study.identity()))
    before = json.loads(json.dumps(_began(journal).identity()))
    _take_studies_of_teachers(before, identity)
    # Fields that came after the study began have their defaults in it.
    with contextlib.suppress(ValueError):
        before |= json.loads(json.dumps(SearchSpace.from_dict(study.name, before).to_dict()))
    trials = [event for event in journal.events if isinstance(event, TrialSampled)]
    changes = differences_of(_with_more_seeds(before, identity, trials), identity)
    if not changes:
        return journal
    journal.close()
    if trials:
        raise StudyChangedError(
            f"study {study.name!r} is there already, and differs from what is asked for now:\n{table(changes)}\n"
            f"run it as it was, give this one a --name ({free_name(study.folder, changes)} is free), or start anew "
            "with --fresh"
        )
    set_aside(study)
    return Journal(study.folder)


def began_with(folder: Path) -> str | None:
    """The strategy of the study that is there, by name; None where there is none that can be read.

    Of a study in a bucket that never ran on this disk, its journal is fetched from there first.
    """
    try:
        if not (folder / FILE_NAME).exists():
            bring_up_to_date(folder)
        first = next(events_in(folder / FILE_NAME), None)
    except (OSError, ValueError, JournalError, storage.StorageError):
        return None
    if not isinstance(first, StudyStarted):
        return None
    return from_settings(first.scheduler).name


def _began(journal: Journal) -> StudyStarted:
    first = journal.events[0]
    if not isinstance(first, StudyStarted):
        journal.close()
        raise JournalError(f"{journal.path} does not begin with a study: choose another --name, or --fresh")
    return first


def _take_studies_of_teachers(before: dict[str, Any], identity: dict[str, Any]) -> None:
    """Older journals do not say which studies their teachers are of; there the address alone has to agree."""
    pairs = [(before["config"], identity["config"])]
    recipes = before.get("recipes") or {}
    pairs += [(recipes[name], config) for name, config in (identity.get("recipes") or {}).items() if name in recipes]
    for config, now in pairs:
        config.get("distillation", {}).setdefault("studies", now["distillation"]["studies"])


def _with_more_seeds(before: dict[str, Any], identity: dict[str, Any], trials: list[TrialSampled]) -> dict[str, Any]:
    """What is known of a study, with the seeds that are asked for now where those only follow the ones that it has.

    In a grid whose slowest field is the seed, more seeds are more trials after those that are there.
    """
    domains, wanted = before["domains"], identity["domains"]
    if identity["searcher"] != "grid" or not list(domains)[:1] == list(wanted)[:1] == ["seed"]:
        return before
    # Those that it began with, and those that it was given since.
    seeds = list(dict.fromkeys([*domains["seed"].get("values", []), *(trial.params["seed"] for trial in trials)]))
    if wanted["seed"].get("values", [])[: len(seeds)] != seeds:
        return before
    return {**before, "domains": {**domains, "seed": wanted["seed"]}}


def is_finished(study: Study) -> bool:
    """Whether the study of this name came to its end."""
    path = study.folder / FILE_NAME
    last = last_of_driver(read_events(path) if os.path.exists(path) else [])
    return isinstance(last, DriverEnded) and last.reason == "finished"


def last_of_driver(events: Sequence[Event]) -> Event | None:
    """The last DriverStarted or DriverEnded: how the last driver began if it runs or was killed, else its last word.

    A final test or a lesion study may have come after.
    """
    return next((event for event in reversed(events) if isinstance(event, DriverStarted | DriverEnded)), None)


def set_aside(study: Study) -> str | None:
    """Move an existing study of this name out of the way; returns where it is now, None if there was none.

    Raises StudyRunningError if its driver lives.
    """
    if not os.path.exists(study.folder / FILE_NAME) and not storage.exists(study.marker):
        return None
    name = f"{study.name}.{time.strftime('%Y%m%d-%H%M%S')}"
    Journal(study.folder, unread=True).set_aside(name)
    return storage.join(study.storage, name)


def open_ended(folder: Path) -> Journal:
    """The journal in `folder`, to append to after its driver has ended.

    Raises StudyRunningError if a driver of this machine has it open and, for a study in a bucket, if the last
    driver did not end it: that may live on another machine, and would stop at an event that is not its own.
    """
    journal = Journal(folder)
    last = last_of_driver(journal.events)
    if journal.is_copied and isinstance(last, DriverStarted):
        journal.close()
        raise StudyRunningError(
            f"study {folder.name!r} runs on another machine, or was killed: wait for its end, or run it again first"
        )
    return journal

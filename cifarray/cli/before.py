"""What is looked at and said before a study starts: its data, a study that is done already, settings of the shell.

All of it without torch, Ray and MLflow, unless images have to be opened. Not here: what a study refuses by itself
(`cifarray.study.study`), what it is told of once it runs (`running`).
"""

import argparse
import os

from cifarray import storage
from cifarray.cli.flags import SOURCE
from cifarray.data import known_size, resolve, split_sizes
from cifarray.data.names import SYNTHETIC, hidden_folder
from cifarray.engine import UNUSED
from cifarray.engine.result import StudyResult
from cifarray.journal.folder import last_of_driver, open_journal
from cifarray.journal.journal import FILE_NAME
from cifarray.report.budget import about_the_end
from cifarray.space.domains import AnyDomain, Cases, Choice
from cifarray.space.space import SearchSpace
from cifarray.study import decisions
from cifarray.study.events import DriverEnded
from cifarray.study.images import refuse_batches_without_images
from cifarray.study.schedulers import Asha, Promote
from cifarray.study.state import StudyState
from cifarray.study.study import Study
from cifarray.study.trial_record import Outcome
from cifarray.tracking import EXPERIMENT, Tracking, TrackingResult
from cifarray.tracking.state import State


def refuse_unknown_data(space: SearchSpace) -> None:
    """Raises DataError for a source that is no name and no place."""
    for source in _sources(space):
        resolve(source)


def refuse_numbers_without_images(space: SearchSpace) -> None:
    """Raises StudyError for a batch, a limit or a validation split that the images cannot fill, whose number is known
    by name."""
    total = known_size(space.base.data.source)
    if total is not None:
        refuse_batches_without_images(space, total)


def refuse_unwritable_storage(study: Study) -> None:
    """Raises StorageError for a place on a disk where a study's folder cannot be made, as far as that can be seen."""
    if study.is_remote:
        return
    there = next(folder for folder in (study.folder, *study.folder.parents) if os.path.lexists(folder))
    reason = ""
    if not there.is_dir():
        reason = f"{there} is no folder"
    elif not os.access(there, os.W_OK | os.X_OK):
        reason = f"{there} may not be written"
    if reason:
        raise storage.StorageError(
            f"{study.folder} cannot be written ({reason}): choose a folder for --storage that you may write to"
        )


def _sources(space: SearchSpace) -> list[str]:
    configs = [space.base, *space.recipes.values()]
    varied = _values(space.domains[SOURCE]) if SOURCE in space.domains else []
    return list(dict.fromkeys([*(config.data.source for config in configs), *map(str, varied)]))


def _values(domain: AnyDomain) -> list[object]:
    if isinstance(domain, Cases):
        return [value for _, case in domain.cases for value in _values(case)]
    return list(domain.values) if isinstance(domain, Choice) else []


def about_data(space: SearchSpace) -> str:
    """The source, and what --limit leaves of it."""
    data = space.base.data
    text = f"data: {data.source}"
    if hidden := hidden_folder(data.source):
        text += f" ({hidden})"
    if data.source.partition(":")[0] == SYNTHETIC:
        text += ", generated images; --data names real ones"
    if data.limit is None:
        return text
    total = known_size(data.source)
    if total is None:
        held = "those that are held out stay as many"
        return f"{text}; --limit {data.limit:,} is for training images alone, {held} (--set data.validation=N)"
    num_train, held_out = split_sizes(total, data.validation, data.limit)
    everything, _ = split_sizes(total, data.validation, None)
    if num_train == everything:
        return text
    return (
        f"{text}; {num_train:,} of {everything:,} images to train on, and all {held_out:,} that are held out "
        "(--set data.validation=N holds out N)"
    )


def look_at_data(space: SearchSpace) -> list[str]:
    """What there is to train on, in a line; opens what lies on this machine. Raises DataError and StudyError."""
    data = space.base.data
    total = known_size(data.source)
    if total is None and storage.is_remote(data.source):
        return [f"data: {data.source} is opened when the study starts, and limit and batch are checked then"]
    if total is None:
        # Late: it brings torch along.
        from cifarray.data import open_store

        total = len(open_store(data.source, "train", data.image_size).labels)
        refuse_batches_without_images(space, total)
    num_train, held_out = split_sizes(total, data.validation, data.limit)
    of = f" of {split_sizes(total, data.validation, None)[0]:,}" if data.limit is not None else ""
    hidden = hidden_folder(data.source)
    counted = f"data: {num_train:,}{of} images to train on, {held_out:,} held out"
    return [counted, hidden] if hidden else [counted]


def notes_on(study: Study, notes: tuple[str, ...]) -> list[str]:
    """What a user should know of the study; `notes` are those of its flags."""
    found = list(notes)
    epochs = study.space.base.epochs
    if isinstance(study.scheduler, Asha | Promote) and study.scheduler.rungs(epochs)[:1] == (1,):
        found.append(
            f"ASHA compares trials of {epochs} epochs from the first epoch on, which favours what learns fast: raise "
            "--epochs, or give --strategy none to run all to their end"
        )
    return found


def unused_settings() -> list[str]:
    """Of the shell's, those with which no study runs."""
    return [
        f"{name}={value} of this shell is not used: a study runs {f'with {needed}' if needed else 'without it'}"
        for name, (value, needed) in UNUSED.items()
    ]


def already_done(study: Study, retry_failed: bool) -> StudyResult | None:
    """The result of a study that has nothing left to do, which then needs no Ray; None for any other.

    Raises what `open_journal` raises.
    """
    if not (study.folder / FILE_NAME).exists():
        return None
    journal = open_journal(study)
    try:
        state = study.new_state()
        state.replay(journal.events)
        last = last_of_driver(journal.events)
        finished = isinstance(last, DriverEnded) and last.reason == "finished"
        again = retry_failed and any(trial.outcome is Outcome.FAILED for trial in state.ended)
        if not finished or again or decisions.repairs(state) or not state.is_over():
            return None
        told = State.load(journal.path, study.tracking_uri, EXPERIMENT)
        tracking = TrackingResult(True, 0, told.parent_run_id, "", told.model)
        if told.waiting(journal.path):
            # In the background: who asks a finished study does not wait for a store.
            tracking = Tracking(journal.path, study.tracking_uri).finish(timeout=0.0)
    finally:
        journal.close()
    return StudyResult(state, "finished", tracking=tracking)


def nothing_to_do(study: Study, state: StudyState, flags: argparse.Namespace) -> str:
    """What a finished study's user is told, with what would be something to do."""
    if spent := about_the_end(state):
        return f"nothing to do: {spent}, --fresh starts anew"
    done, asked = len(state.trials), min(study.num_trials, state.budget)
    failed = sum(trial.outcome is Outcome.FAILED for trial in state.ended)
    are, trials = ("is", "trial") if done == 1 else ("are", "trials")
    counted = (
        f"{done} of {asked} {trials} {are} done" if done <= asked else f"{done} trials are done, {asked} asked for"
    )
    ways = []
    if "seed" in study.space.domains and vars(flags).get("seeds"):
        ways.append(f"--seeds {2 * flags.seeds} goes on")
    elif study.searcher != "grid" and state.sampler.budget(done + 1) > done:
        ways.append(f"--trials {2 * done} goes on")
    if failed:
        ways.append(f"--retry-failed tries {failed} that failed again")
    return f"nothing to do: {counted}; {', '.join([*ways, '--fresh starts anew'])}"

"""What a user names after training: a study, a trial (`<study>-<number>`), an MLflow run, a checkpoint.

Not here: what is done with it (`final_test`, `lesion`, a teacher in `cifarray.cli.teachers`).
"""

import contextlib
import json
import re
from collections.abc import Callable
from pathlib import Path

from cifarray import places, storage
from cifarray.errors import StudyError
from cifarray.journal.journal import FILE_NAME, Journal, StudyRunningError, read_events
from cifarray.study.events import StudyStarted
from cifarray.study.state import StudyState
from cifarray.study.trial_record import Outcome, TrialRecord

RUN_ID = re.compile(r"[0-9a-f]{32}")
RUN_URI = "runs:/"
TRIAL_FOLDER = re.compile(r"trial-(\d+)")


def find_checkpoint(
    target: str, where: str, checkpoint_of_run: Callable[[str], str], any_epoch: bool = False
) -> tuple[Path, int | None, str]:
    """The folder for what is found out about it, the trial's number if it is one of a study, the checkpoint's address.

    target: a checkpoint's path or address, or what `find` takes, or an MLflow run of another storage, whose checkpoint
    `checkpoint_of_run` gives or raises ValueError. Of a study its best trial is meant. any_epoch: a trial that is named
    may have been stopped early, or run still; its newest checkpoint is meant. The address is absolute.
    Raises StudyError if there is no such thing.
    """
    if storage.is_remote(target):
        return Path.cwd(), None, target
    path = Path(target).expanduser().resolve()
    if target.endswith(".pt") or path.is_file():
        # A checkpoint of a study is <study>/trial-0003/epoch-0012.pt.
        study, trial = path.parent.parent, TRIAL_FOLDER.fullmatch(path.parent.name)
        if (study / FILE_NAME).exists() and trial:
            return study, int(trial[1]), str(path)
        return path.parent, None, str(path)
    try:
        folder, number = find(target, where)
    except StudyError:
        run_id = _run_id(target)
        if not RUN_ID.fullmatch(run_id):
            raise
        try:
            return Path.cwd(), None, checkpoint_of_run(run_id)
        except ValueError as error:
            raise StudyError(str(error)) from None
    # Only read: the study may be running.
    state = StudyState.from_events(read_events(folder / FILE_NAME))
    named = state.trials.get(number) if number is not None else None
    trial_record = named if any_epoch and named and named.checkpoint else choose(state, number, folder.name)[0]
    assert trial_record.checkpoint is not None
    return folder, trial_record.number, trial_record.checkpoint[1]


def find(target: str, where: str) -> tuple[Path, int | None]:
    """The study's folder and the trial's number, None for the whole study.

    target: a study of the storage `where`, `<study>-<number>`, an MLflow run of either by its id or as runs:/ID, or a
    study's or a trial's folder, wherever it is. Raises StudyError if it names nothing.
    """
    target = _run_id(target)
    base = places.studies(where)
    for name in {target, target.rpartition("-")[0]}:
        if name:
            bring_up_to_date(base / name)
    if target and _has_journal(base / target):
        return base / target, None
    study, _, number = target.rpartition("-")
    if number.isdigit() and study and _has_journal(base / study):
        return base / study, int(number)
    for state in base.glob("*/tracking.json"):
        tracked = json.loads(state.read_text())
        for trial, run in tracked.get("runs", {}).items():
            if run == target:
                bring_up_to_date(state.parent)
                return state.parent, int(trial)
        if tracked.get("parent_run_id") == target:
            bring_up_to_date(state.parent)
            return state.parent, None
    folder = Path(target).expanduser().resolve()
    if target and _has_journal(folder):
        return folder, None
    if (trial_folder := TRIAL_FOLDER.fullmatch(folder.name)) and _has_journal(folder.parent):
        return folder.parent, int(trial_folder[1])
    names = sorted(path.parent.name for path in base.glob(f"*/{FILE_NAME}") if _has_journal(path.parent))
    raise StudyError(
        f"{target!r} is no study, trial or MLflow run in {where}: "
        + (f"choose one of {', '.join(names)}" if names else "train something first, or name the storage that has it")
    )


def _run_id(target: str) -> str:
    """Of MLflow's `runs:/ID`; any other target as it is. Raises StudyError for an artifact of a run."""
    if not target.startswith(RUN_URI):
        return target
    run_id, _, artifact = target.removeprefix(RUN_URI).strip("/").partition("/")
    if artifact:
        raise StudyError(
            f"{target} names the artifact {artifact!r} of a run, and a network is a run's checkpoint, whose address it "
            f"knows: give {RUN_URI}{run_id}"
        )
    return run_id


def where_it_is_now(address: str, study_id: str) -> str:
    """The address of a checkpoint of the study with this id, which was once at `address`.

    Where another study of that name writes now, the older one was set aside beside it. Raises ValueError if it is
    nowhere there.
    """
    folder, *inside = address.rsplit("/", 2)
    if not inside[0].startswith("trial-") or id_of_study(folder) in (None, study_id):
        return address
    parent, _, name = folder.rpartition("/")
    for sibling in storage.names(parent):
        if sibling.startswith(f"{name}.") and id_of_study(storage.join(parent, sibling)) == study_id:
            return storage.join(parent, sibling, *inside)
    raise ValueError(
        f"{address} is another study's of that name now, and the one before is not beside it: name its file"
    )


def id_of_study(folder: str) -> str | None:
    """Of the study in a folder; None if it does not tell, as older ones do not."""
    try:
        marker = json.loads(storage.read_bytes(storage.join(folder, "study.json")))
    except (storage.StorageError, ValueError):
        return None
    if "id" in marker:
        return str(marker["id"])
    journal = Path(folder) / FILE_NAME
    first = next(iter(read_events(journal)), None) if not storage.is_remote(folder) and journal.exists() else None
    return first.id if isinstance(first, StudyStarted) else None


def bring_up_to_date(folder: Path) -> None:
    """Of a study in a bucket that ran on another head too, the journal there tells more than this disk's."""
    address = places.address(folder)
    if address is not None and storage.exists(storage.join(address, "study.json")):
        # Where its driver runs on this machine, nothing is newer than this disk.
        with contextlib.suppress(StudyRunningError):
            Journal(folder).close()


def _has_journal(folder: Path) -> bool:
    """A study that was refused before it began leaves an empty one."""
    path = folder / FILE_NAME
    return path.exists() and path.stat().st_size > 0


def choose(state: StudyState, number: int | None, study: str) -> list[TrialRecord]:
    """The trials that a target means: the one, or of a study its best; of seeds and recipes that are compared, all.

    Raises StudyError for one that was not trained to its end or has no checkpoint.
    """
    finished = [t for t in state.ranking() if t.outcome is Outcome.COMPLETED and t.checkpoint]
    if number is not None:
        if number not in state.trials:
            raise StudyError(f"trial {study}-{number} does not exist: choose 0 to {len(state.trials) - 1}")
        if state.trials[number] not in finished:
            kept = ", ".join(f"{study}-{t.number}" for t in finished) or "none"
            raise StudyError(
                f"trial {study}-{number} has no checkpoint of its last epoch: choose one that has ({kept})"
            )
        return [state.trials[number]]
    if not finished:
        raise StudyError(f"study {study!r} has no completed trial with a checkpoint: let it finish first")
    # Seeds of one config are all meant; of configs that compete only the one that validation chose.
    return finished if state.space.is_comparison else finished[:1]

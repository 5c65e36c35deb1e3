"""What a user names after training: a study, a trial (`<study>-<number>`), an MLflow run id.

Not here: what is done with it (`final_test`, `lesion`).
"""

import json
from pathlib import Path

from cifarray import storage
from cifarray.places import home
from cifarray.search.journal import FILE_NAME
from cifarray.search.plan import StudyError
from cifarray.search.study_state import StudyState
from cifarray.search.trial_record import Outcome, TrialRecord


def find(target: str, where: str) -> tuple[Path, int | None]:
    """The study's folder and the trial's number, None for the whole study. Raises StudyError if it names nothing."""
    base = home() / "studies" if storage.is_remote(where) else Path(where)
    if _has_journal(base / target):
        return base / target, None
    study, _, number = target.rpartition("-")
    if number.isdigit() and study and _has_journal(base / study):
        return base / study, int(number)
    for state in base.glob("*/tracking.json"):
        known = json.loads(state.read_text())
        for trial, run in known.get("runs", {}).items():
            if run == target:
                return state.parent, int(trial)
        if known.get("parent_run_id") == target:
            return state.parent, None
    names = sorted(path.parent.name for path in base.glob(f"*/{FILE_NAME}") if _has_journal(path.parent))
    raise StudyError(
        f"{target!r} is no study, trial or MLflow run in {where}: "
        + (f"choose one of {', '.join(names)}" if names else "train something first, or name its --storage")
    )


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

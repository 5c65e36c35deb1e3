"""The errors that ended trials, each once with its traceback, in a file beside the journal.

Not here: what follows from an error (`cifarray.study.faults`).
"""

from pathlib import Path

from cifarray.study.faults import FAILURES_FILE, cause_of
from cifarray.study.state import StudyState
from cifarray.study.trial_record import Outcome, TrialRecord


def write_failures(state: StudyState, folder: Path) -> list[str]:
    """Writes FAILURES_FILE in `folder` and returns its path; nothing where no trial has failed."""
    alike: dict[str, list[TrialRecord]] = {}
    for trial in state.ended:
        if trial.outcome is Outcome.FAILED:
            alike.setdefault(cause_of(trial.message), []).append(trial)
    path = folder / FAILURES_FILE
    if not alike:
        path.unlink(missing_ok=True)
        return []
    parts = [f"{_who(trials)} failed:\n\n{trials[0].message.strip()}\n" for trials in alike.values()]
    path.write_text("\n\n".join(parts), encoding="utf-8")
    return [str(path)]


def _who(trials: list[TrialRecord]) -> str:
    numbers = [str(trial.number) for trial in sorted(trials, key=lambda trial: trial.number)]
    return f"trial {numbers[0]}" if len(numbers) == 1 else f"trials {', '.join(numbers)}"

"""The final test: the one reader of the test split. Every opening is an event of the study's journal.

Here: which trials a target names, evaluating their kept checkpoints, counting. Runs in this process, without Ray: a
test split is 10,000 images. Not here: evaluation itself (`cifarray.training`).
"""

import json
import math
from collections.abc import Iterator
from pathlib import Path

from cifarray import storage
from cifarray.data import open_store
from cifarray.places import home
from cifarray.search.journal import FILE_NAME, Journal
from cifarray.search.plan import StudyError
from cifarray.search.study_state import Outcome, StudyState, TrialRecord
from cifarray.tracking import Tracking
from cifarray.training import evaluate_split, load_classifier


def run_final_test(target: str, where: str, tracking_uri: str) -> Iterator[str]:
    """Evaluate what `target` names on the test split; yields lines for the user.

    target: a study's name, `<study>-<number>`, or an MLflow run id. Raises StudyError if it names nothing that was
    trained to its end and kept its checkpoint.
    """
    folder, number = _find(target, where)
    journal = Journal(folder)
    try:
        state = StudyState.from_events(journal.events)
        trials = _chosen(state, number, folder.name)
        tracking = Tracking(journal.path, tracking_uri)
        accuracies = []
        for trial in trials:
            metrics, num_images = _evaluate(trial)
            opening = trial.test_openings + 1
            event = {"kind": "test", "trial": trial.number, "opening": opening, "metrics": metrics}
            journal.append([event])
            tracking.wake()
            accuracies.append(metrics["test_accuracy"])
            error = math.sqrt(accuracies[-1] * (1 - accuracies[-1]) / num_images)
            yield (
                f"trial {folder.name}-{trial.number}: test accuracy {100 * accuracies[-1]:.2f} % "
                f"(± {100 * error:.2f} from {num_images:,} images), test loss {metrics['test_loss']:.4f}; "
                f"the test split was opened {opening} time{'s' if opening > 1 else ''} for this trial"
            )
        if len(accuracies) > 1:
            mean = sum(accuracies) / len(accuracies)
            deviation = math.sqrt(sum((a - mean) ** 2 for a in accuracies) / (len(accuracies) - 1))
            yield f"mean test accuracy {100 * mean:.2f} % ± {100 * deviation:.2f} (n = {len(accuracies)} seeds)"
        tracked = tracking.finish(timeout=30.0)
        if tracked.message:
            yield tracked.message
    finally:
        journal.close()


def _find(target: str, where: str) -> tuple[Path, int | None]:
    """The study's folder and the trial's number, None for the whole study."""
    base = home() / "studies" if storage.is_remote(where) else Path(where)
    if (base / target / FILE_NAME).exists():
        return base / target, None
    study, _, number = target.rpartition("-")
    if number.isdigit() and study and (base / study / FILE_NAME).exists():
        return base / study, int(number)
    for state in base.glob("*/tracking.json"):
        known = json.loads(state.read_text())
        for trial, run in known.get("runs", {}).items():
            if run == target:
                return state.parent, int(trial)
        if known.get("parent_run_id") == target:
            return state.parent, None
    names = sorted(path.parent.name for path in base.glob(f"*/{FILE_NAME}"))
    raise StudyError(
        f"{target!r} is no study, trial or MLflow run in {where}: "
        + (f"choose one of {', '.join(names)}" if names else "train something first, or name its --storage")
    )


def _chosen(state: StudyState, number: int | None, study: str) -> list[TrialRecord]:
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
    # Seeds of one config are all tested; of configs that compete only the one that validation chose.
    return finished if set(state.space.domains) == {"seed"} else finished[:1]


def _evaluate(trial: TrialRecord) -> tuple[dict[str, float], int]:
    """Metrics of the trial's kept checkpoint on the test split, and how many images that has."""
    assert trial.checkpoint is not None
    classifier = load_classifier(trial.checkpoint[1])
    source = classifier.config.data.source
    metrics = evaluate_split(classifier, source, "test")
    num_images = len(open_store(source, "test", classifier.image_size).labels)
    return {f"test_{name}": value for name, value in metrics.items()}, num_images

"""The final test: the one reader of the test split. Every opening is an event of the study's journal.

Here: evaluating the kept checkpoints of the trials that a target names, and counting. Runs in this process, without
Ray: a test split is 10,000 images. Not here: evaluation itself (`cifarray.training`).
"""

import math
import statistics
from collections.abc import Iterator

from cifarray.data import open_store
from cifarray.journal import targets
from cifarray.journal.folder import open_ended
from cifarray.space.space import RECIPE
from cifarray.study.events import TestOpened
from cifarray.study.state import StudyState
from cifarray.study.trial_record import TrialRecord
from cifarray.tracking import Tracking
from cifarray.training.classifier import load_classifier
from cifarray.training.evaluate import evaluate_split


def run_final_test(target: str, where: str, tracking_uri: str, only_new: bool = False) -> Iterator[str]:
    """Evaluate what `target` names on the test split; yields lines for the user.

    target: a study's name, `<study>-<number>`, or an MLflow run id. only_new: trials that were tested already are left
    alone. Raises StudyError if it names nothing that was trained to its end and kept its checkpoint, StudyRunningError
    if a driver works on the study.
    """
    folder, number = targets.find(target, where)
    journal = open_ended(folder)
    try:
        state = StudyState.from_events(journal.events)
        trials = targets.choose(state, number, folder.name)
        tracking = Tracking(journal.path, tracking_uri)
        accuracies = []
        for trial in trials:
            if only_new and trial.test_openings:
                continue
            metrics, num_images = _evaluate(trial)
            opening = trial.test_openings + 1
            event = TestOpened(trial=trial.number, opening=opening, metrics=metrics)
            # A driver on another head may have begun meanwhile.
            journal.keep()
            journal.append([event])
            tracking.wake()
            yield (
                f"trial {folder.name}-{trial.number}: {_describe(metrics, num_images)}; "
                f"the test split was opened {opening} time{'s' if opening > 1 else ''} for this trial"
            )
            accuracies.append(metrics.get("test_accuracy"))
        measured = [accuracy for accuracy in accuracies if accuracy is not None]
        if len(measured) > 1 and RECIPE not in state.space.domains:
            yield (
                f"mean test accuracy {100 * statistics.fmean(measured):.2f} % ± {100 * statistics.stdev(measured):.2f} "
                f"(n = {len(measured)} seeds)"
            )
        tracked = tracking.finish(timeout=30.0)
        if tracked.message:
            yield tracked.message
    finally:
        journal.close()


def _describe(metrics: dict[str, float], num_images: int) -> str:
    """An accuracy with its error from the number of images; on grids all metrics."""
    if "test_accuracy" not in metrics:
        return ", ".join(f"{name.replace('_', ' ')} {value:.4f}" for name, value in metrics.items())
    accuracy = metrics["test_accuracy"]
    error = math.sqrt(accuracy * (1 - accuracy) / num_images)
    return (
        f"test accuracy {100 * accuracy:.2f} % (± {100 * error:.2f} from {num_images:,} images), "
        f"test loss {metrics['test_loss']:.4f}"
    )


def _evaluate(trial: TrialRecord) -> tuple[dict[str, float], int]:
    """Metrics of the trial's kept checkpoint on the test split, and how many images that has."""
    assert trial.checkpoint is not None
    classifier = load_classifier(trial.checkpoint[1])
    source = classifier.config.data.source
    metrics = evaluate_split(classifier, source, "test")
    num_images = len(open_store(source, "test", classifier.config.data.image_size).labels)
    return {f"test_{name}": value for name, value in metrics.items()}, num_images

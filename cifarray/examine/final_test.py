"""The final test: the one reader of the test split. Every opening is an event of the study's journal.

Here: evaluating the kept checkpoints of the trials that a target names, and counting. A trial that was tested keeps
its result, and the split is opened again only if that is asked for. Runs in this process, without Ray, on a GPU if
there is one: a test split is 10,000 images. Not here: evaluation itself (`cifarray.training`).
"""

import math
import statistics
from collections.abc import Iterator
from contextlib import ExitStack

from cifarray.data import open_store
from cifarray.examine.progress import Tell, counted, tell_nobody
from cifarray.journal import targets
from cifarray.journal.folder import open_ended
from cifarray.journal.journal import FILE_NAME, Journal, read_events
from cifarray.space.space import RECIPE
from cifarray.study.events import TestOpened
from cifarray.study.state import StudyState
from cifarray.study.trial_record import TrialRecord
from cifarray.tracking import Tracking
from cifarray.training.classifier import as_trained, load_classifier
from cifarray.training.evaluate import evaluate_split


def run_final_test(
    target: str, where: str, tracking_uri: str, again: bool = False, only_new: bool = False, tell: Tell = tell_nobody
) -> Iterator[str]:
    """Evaluate what `target` names on the test split; yields lines for the user.

    target: as `targets.find` takes it. again: open the split also for trials that were tested before; else the result
    that was found then is shown, or with only_new nothing. tell: hears how far the evaluation is.
    Raises StudyError if it names nothing that was trained to its end and kept its checkpoint, StudyRunningError if the
    split is to be opened while a driver works on the study.
    """
    folder, number = targets.find(target, where)
    with ExitStack() as stack:
        # Only read: what is known already can be shown while the study runs.
        state = StudyState.from_events(read_events(folder / FILE_NAME))
        trials = targets.choose(state, number, folder.name)
        journal = tracking = None
        if again or not all(trial.test_openings for trial in trials):
            journal = open_ended(folder)
            stack.callback(journal.close)
            tracking = Tracking(journal.path, tracking_uri)
            # Another final test may have come in between.
            state = StudyState.from_events(journal.events)
            trials = targets.choose(state, number, folder.name)
        accuracies = []
        for trial in trials:
            name = f"{folder.name}-{trial.number}"
            if journal is not None and tracking is not None and (again or not trial.test_openings):
                opening = _open(trial, name, journal, tell)
                tracking.wake()
                state.apply(opening)
                yield f"{_result(trial, name)}; the test split was opened {_times(trial)} for this trial"
            elif not only_new:
                before = f"known since the test split was opened, {_times(trial)} so far: --again opens it once more"
                yield f"{_result(trial, name)}; {before}"
            accuracies.append((trial.test or {}).get("test_accuracy"))
        measured = [accuracy for accuracy in accuracies if accuracy is not None]
        if len(measured) > 1 and RECIPE not in state.space.domains:
            yield (
                f"mean test accuracy {100 * statistics.fmean(measured):.2f} % ± {100 * statistics.stdev(measured):.2f} "
                f"(n = {len(measured)} seeds)"
            )
        tracked = tracking.finish(timeout=30.0) if tracking is not None else None
        if tracked is not None and tracked.message:
            yield tracked.message


def _times(trial: TrialRecord) -> str:
    return f"{trial.test_openings} time{'s' if trial.test_openings != 1 else ''}"


def _result(trial: TrialRecord, name: str) -> str:
    """An accuracy with its error from the number of images and what it was computed in, where the journal tells that;
    on grids all metrics."""
    metrics, num_images = trial.test or {}, trial.test_images
    computed = f", in {trial.test_computed}" if trial.test_computed else ""
    if "test_accuracy" not in metrics:
        what = ", ".join(f"{name.replace('_', ' ')} {value:.4f}" for name, value in metrics.items())
        return f"trial {name}: {what}{computed}"
    accuracy = metrics["test_accuracy"]
    error = ""
    if num_images:
        error = f" (± {100 * math.sqrt(accuracy * (1 - accuracy) / num_images):.2f} from {num_images:,} images)"
    return f"trial {name}: test accuracy {100 * accuracy:.2f} %{error}, test loss {metrics['test_loss']:.4f}{computed}"


def _open(trial: TrialRecord, name: str, journal: Journal, tell: Tell) -> TestOpened:
    """Evaluates the trial's kept checkpoint on the test split; the event is in the journal."""
    assert trial.checkpoint is not None
    classifier = load_classifier(trial.checkpoint[1])
    data = classifier.config.data
    num_images = len(open_store(data.source, "test", data.image_size).labels)
    with (
        as_trained(classifier) as computed,
        counted(classifier, f"testing {name}", num_images, tell),
    ):
        metrics = evaluate_split(classifier, data.source, "test")
    event = TestOpened(
        trial=trial.number,
        opening=trial.test_openings + 1,
        metrics={f"test_{name}": value for name, value in metrics.items()},
        images=num_images,
        computed=computed,
    )
    # A driver on another head may have begun meanwhile.
    journal.keep()
    journal.append([event])
    return event

"""What a study that has ended leaves on the terminal: its leaderboard, its best trial and what that is worth, and what
can be done with it next.

Not here: tables of comparisons and ablations, which take the leaderboard's place (`comparison`, `cifarray.ablation`).
"""

import math
import os
import shlex
import statistics
import sys
import textwrap
from collections import defaultdict
from pathlib import Path

from cifarray import places, storage
from cifarray.redaction import redact
from cifarray.report.budget import worker_seconds
from cifarray.report.leaderboard import describe_params, mean_and_deviation
from cifarray.report.progress import clock
from cifarray.study.state import StudyState
from cifarray.study.study import Study
from cifarray.study.time_budget import worker_time
from cifarray.study.trial_record import Metric, Outcome, TrialRecord

LABEL_WIDTH = 9
"""Of what stands before each line."""


def labelled(label: str, text: str, width: int | None = None) -> str:
    """A line of the screen; width: prose goes on below itself where it is longer, while a command stays one line."""
    lines = [text]
    if width is not None:
        lines = textwrap.wrap(text, max(20, width - LABEL_WIDTH), break_long_words=False, break_on_hyphens=False)
    first = f"{label + ':' if label else '':<{LABEL_WIDTH}}"
    return first + f"\n{'':<{LABEL_WIDTH}}".join(lines)


COMMANDS = ("confirm", "test it", "load it", "use it")
"""Labels of what is typed, and so stays one line."""


def about_the_best(study: Study, state: StudyState) -> list[tuple[str, str]]:
    """Labels and what belongs to them: the best trial, its worth, the commands that come next. Empty without trials."""
    best = state.best() or next(iter(state.ranking()), None)
    if best is None or not best.epoch:
        return []
    value = "" if best.value is None else f": {best.metric.label} {best.metric.show(best.value)}"
    ending = "" if best.outcome is Outcome.COMPLETED else f", {best.standing}"
    found = [("best", f"trial {best.number}{value} after epoch {best.epoch} of {best.config['epochs']}{ending}")]
    if best.params:
        found.append(("", describe_params(best)))
    if best.value is not None:
        found.append(("worth", worth(state, best)))
        if _is_of_one_seed(state):
            found.append(("confirm", _command(study, "confirm")))
    if best.checkpoint is None:
        return found
    if any(trial.outcome is Outcome.COMPLETED and trial.checkpoint for trial in state.trials.values()):
        found.append(("test it", _command(study, "final_test")))
    found.append(("load it", f'network = cifarray.load("{best.checkpoint[1]}")'))
    found.append(("use it", 'network.classify("photo.png")'))
    return found


def worth(state: StudyState, best: TrialRecord) -> str:
    """How far the best trial's value may be believed: how much the seed alone changes it, and who comes next.

    The deviation over seeds is that of the best trial's config where it was trained with several, else that of all
    configs which were, pooled.
    """
    values: dict[str, list[float]] = defaultdict(list)
    for trial in state.trials.values():
        if trial.outcome is Outcome.COMPLETED and trial.value is not None:
            values[_config(trial)].append(trial.value)
    own = values.get(_config(best), [])
    repeated = [seeds for seeds in values.values() if len(seeds) > 1]
    if len(own) > 1:
        text = f"{mean_and_deviation(own, best.metric)} over the {len(own)} seeds of this config (mean ± deviation)"
    elif repeated:
        squares = sum(statistics.variance(seeds) * (len(seeds) - 1) for seeds in repeated)
        deviation = math.sqrt(squares / sum(len(seeds) - 1 for seeds in repeated))
        text = f"one seed; in this study seeds have a standard deviation of {_difference(deviation, best.metric)}"
    else:
        text = "one seed: how much another one would change it is not known"
    others = (trial for trial in state.ranking() if trial.outcome is Outcome.COMPLETED and trial.score is not None)
    second = next((trial for trial in others if _config(trial) != _config(best)), None)
    if second is not None and best.outcome is Outcome.COMPLETED and best.score is not None:
        lead = best.score - (second.score or 0.0)
        text += f"; {_difference(lead, best.metric)} ahead of trial {second.number}"
    return text


def time_spent(study: Study, state: StudyState, seconds: float | None) -> str:
    """seconds: that this command took; None where it had nothing to do."""
    this_time = "" if seconds is None else f"{clock(seconds)} this time; "
    return f"{this_time}all trials together took {worker_time(worker_seconds(state, study.workers))}"


def _config(trial: TrialRecord) -> str:
    """What it is but for its seed."""
    return repr(sorted((path, value) for path, value in trial.params.items() if path != "seed"))


def _difference(value: float, metric: Metric) -> str:
    return f"{value:.4f}" if metric.lower_is_better else f"{100 * value:.2f} points"


def _is_of_one_seed(state: StudyState) -> bool:
    """Whether several configs ran to their end, and none of them with a second seed."""
    configs = [
        _config(trial) for trial in state.ended if trial.outcome is Outcome.COMPLETED and trial.value is not None
    ]
    return len(configs) == len(set(configs)) > 1


def _command(study: Study, job_name: str) -> str:
    """As it is typed where this one was."""
    job = Path(sys.argv[0]).with_name(f"{job_name}.py")
    words = ["python", str(job) if job.exists() else f"jobs/{job_name}.py", study.name]
    if study.storage != storage.absolute(places.results()):
        words += ["--storage", study.storage]
    usual = os.environ.get("MLFLOW_TRACKING_URI") or places.default_tracking_uri(study.storage)
    if study.tracking_uri != usual and redact(study.tracking_uri) == study.tracking_uri:
        words += ["--tracking-uri", study.tracking_uri]
    return shlex.join(words)

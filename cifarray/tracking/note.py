"""What MLflow's pages show of a study at a glance: the parent run's description, its table of runs, the data set.

Not here: the words (`wording`), when they change (`summary`).
"""

import json
from collections.abc import Sequence

from mlflow.entities import Dataset, DatasetInput, InputTag
from mlflow.tracking import MlflowClient

from cifarray.study.events import StudyStarted
from cifarray.tracking.changes import STUDY_TAG
from cifarray.tracking.state import State
from cifarray.tracking.summary import DataSet, Totals
from cifarray.tracking.wording import Links, describe, note, table_of_trials

NOTE_TAG = "mlflow.note.content"
VIEW_TAG = "mlflow.sharedViewState."
"""Of an experiment, before a name by which its page is asked for this view."""


def send_note(
    client: MlflowClient, state: State, name: str, started: StudyStarted, best: Sequence[tuple[int, Totals]]
) -> None:
    """The parent run's description as of now, unless somebody has written another one."""
    run = client.get_run(state.parent_run_id)
    if not run.data.tags.get(NOTE_TAG, "").startswith(describe(started)):
        return
    page = f"#/experiments/{state.experiment_id}/runs"
    key = f"cifarray-{started.id}"
    view = json.dumps(table_of_trials(started, STUDY_TAG))
    if len(view) <= 5000:  # MLflow's limit
        client.set_experiment_tag(state.experiment_id, f"{VIEW_TAG}{key}", view)
    trials = {number: f"{page}/{run_id}" for number, _ in best if (run_id := state.runs.get(str(number)))}
    links = Links(name, trials, f"{page}?viewStateShareKey={key}", state.model)
    client.set_tag(state.parent_run_id, NOTE_TAG, note(started, best, links))


def input_of(data_set: DataSet) -> DatasetInput:
    """As `log_inputs` takes it."""
    source_type = "http" if "://" in data_set.source else "local"
    about = Dataset(data_set.name, data_set.digest, source_type, data_set.source, profile=data_set.profile)
    return DatasetInput(about, [InputTag("mlflow.data.context", "training")])

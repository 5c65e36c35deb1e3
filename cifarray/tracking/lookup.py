"""What MLflow has already of a study: its experiment, which is made if it is missing, and its runs.

Not here: what is told to them (`cifarray.tracking.mirror`).
"""

from mlflow.entities import Run, ViewType
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from cifarray.redaction import redact
from cifarray.study.trial_record import Metric
from cifarray.tracking.addresses import sqlite_file
from cifarray.tracking.changes import COPY_TAG, PARENT, STUDY_TAG, TRIAL_TAG, Key

REFUSALS = {"INVALID_PARAMETER_VALUE", "INVALID_STATE", "RESOURCE_DOES_NOT_EXIST", "RESOURCE_ALREADY_EXISTS"}
"""MLflow's answers to a request that is not better the second time (a run that somebody deleted, say)."""


class UnusableError(RuntimeError):
    """MLflow answers, but cannot be used as it is."""


def experiment_id(client: MlflowClient, name: str, tracking_uri: str) -> str:
    """Of the experiment, made if it is missing; beside a local database its artifacts lie beside it too.

    Raises UnusableError for one that was deleted.
    """
    experiment = client.get_experiment_by_name(name)
    if experiment is not None and experiment.lifecycle_stage != "active":
        raise UnusableError(f"experiment {name!r} is deleted in {redact(tracking_uri)}: restore it there")
    if experiment is not None:
        return str(experiment.experiment_id)
    file = sqlite_file(tracking_uri)
    artifacts = file.absolute().with_name("mlartifacts").as_uri() if file is not None else None
    # The kind spares people the question what they want to see, the metric is what MLflow's charts begin with.
    metric = Metric()
    tags = {
        "mlflow.experimentKind": "custom_model_development",
        "mlflow.experiment.primaryMetric.name": metric.name,
        "mlflow.experiment.primaryMetric.greaterIsBetter": str(not metric.lower_is_better),
    }
    return str(client.create_experiment(name, artifact_location=artifacts, tags=tags))


def knows(client: MlflowClient, run_id: str) -> bool:
    """Whether the run is there and not deleted."""
    try:
        return bool(client.get_run(run_id).info.lifecycle_stage == "active")
    except MlflowException as error:
        if error.error_code in REFUSALS:
            return False
        raise


def runs_of(client: MlflowClient, experiment: str, study_id: str, copy: str) -> dict[Key, list[Run]]:
    """The study's runs, or those of a copy of it, that are not deleted; of one that was made twice, both."""
    runs: dict[Key, list[Run]] = {}
    token: str | None = None
    while True:
        page = client.search_runs(
            [experiment],
            filter_string=f"tags.`{STUDY_TAG}` = '{study_id}'",
            run_view_type=ViewType.ACTIVE_ONLY,
            page_token=token,
        )
        for run in page:
            if run.data.tags.get(COPY_TAG, "") != copy:
                continue
            trial = run.data.tags.get(TRIAL_TAG)
            runs.setdefault(PARENT if trial is None else int(trial), []).append(run)
        token = page.token
        if not token:
            return runs


def is_empty(run: Run) -> bool:
    """Whether nobody has told it anything."""
    return not run.data.params and not run.data.metrics

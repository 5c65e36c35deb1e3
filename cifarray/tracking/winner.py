"""The winner of a study in MLflow: its model, the runs that it is linked from, and its place in the registry.

Here: the only code that writes models to MLflow. Every step is looked up before it is done, since it may have been
done though its answer was lost, or the process killed after it. Not here: what is in a model (`model`), who wins and
who becomes champion (`cifarray.study.champion`).
"""

import logging
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from mlflow.entities import LoggedModel, LoggedModelOutput, LoggedModelStatus, Metric
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from cifarray.redaction import redact
from cifarray.study.champion import RULE, Contender, ruling
from cifarray.study.events import WinnerNamed
from cifarray.tracking.lookup import REFUSALS

ALIAS = "champion"
MODEL_TAG = "cifarray.model"
"""Of a run: its model's address."""
WINNER_TAG = "cifarray.winner"
"""Of a model: which study, trial and epoch it is of."""
ACCURACY_TAG, IMAGES_TAG, SPLIT_TAG = "cifarray.accuracy", "cifarray.images", "cifarray.split"
"""Of a version: what the next one is compared with."""
UNABLE = REFUSALS | {"ENDPOINT_NOT_FOUND", "FEATURE_DISABLED", "NOT_IMPLEMENTED", "PERMISSION_DENIED"}
"""Answers of a server that has no models, or none for this user; asked again it says the same."""

log = logging.getLogger(__name__)
Result = TypeVar("Result")


@dataclass(frozen=True)
class Place:
    """Where a winner's model belongs. name: the study's. run_id: of the trial."""

    experiment_id: str
    study_id: str
    name: str
    run_id: str
    parent_run_id: str


def tell_of_winner(client: MlflowClient, place: Place, winner: WinnerNamed) -> str:
    """Log the winner's model, link it from both runs, register it; what came of it, in a sentence for the user.

    Raises whatever an MLflow that is away raises, after which it may be called again; what will not be better the next
    time is told in the sentence.
    """
    who = f"trial {winner.trial}"
    try:
        model = _logged(client, place, winner)
    except _UnableError as error:
        return f"{who} is not in MLflow as a model ({_reason(error)}); its checkpoint is {winner.checkpoint}"
    address = f"models:/{model.model_id}"
    if not winner.register:
        return f"{who} is {address}, and not registered"
    try:
        return f"{who} is {address}; {_registered(client, place, winner, model)}"
    except MlflowException as error:
        if error.error_code not in UNABLE:
            raise
        return f"{who} is {address}, and could not be registered ({_reason(error)})"


def _reason(error: Exception) -> str:
    """In a line: libraries' errors may go on for a page."""
    return (redact(str(error)).strip().splitlines() or [type(error).__name__])[0][:300]


class _UnableError(RuntimeError):
    """There will be no model, however often it is tried."""


def _logged(client: MlflowClient, place: Place, winner: WinnerNamed) -> LoggedModel:
    """The winner's model with its files, linked from its run and from the parent run."""
    key = f"{place.study_id} trial {winner.trial} epoch {winner.epoch}"
    try:
        found = client.search_logged_models([place.experiment_id], filter_string=f"tags.`{WINNER_TAG}` = '{key}'")
        # What was begun is gone on with: its files are written once more.
        model = min(found, key=lambda each: each.status != LoggedModelStatus.READY, default=None)
        if model is None or model.status != LoggedModelStatus.READY:
            model = _upload(client, place, winner, key, model)
        for run_id in (place.run_id, place.parent_run_id):
            run = client.get_run(run_id)
            linked = run.outputs.model_outputs if run.outputs else []
            if model.model_id not in [each.model_id for each in linked]:
                client.log_outputs(run_id, [LoggedModelOutput(model.model_id, winner.epoch)])
            client.set_tag(run_id, MODEL_TAG, f"models:/{model.model_id}")
        return model
    except MlflowException as error:
        if error.error_code not in UNABLE:
            raise
        raise _UnableError(str(error)) from error


def _upload(
    client: MlflowClient, place: Place, winner: WinnerNamed, key: str, begun: LoggedModel | None
) -> LoggedModel:
    # Late: it brings torch along.
    from mlflow.models import Model

    from cifarray.tracking.model import save
    from cifarray.training.classifier import load_classifier
    from cifarray.training.served import Served

    served = _or_unable(lambda: Served(load_classifier(winner.checkpoint)))
    run = client.get_run(place.run_id)
    model = begun or client.create_logged_model(
        place.experiment_id,
        # MLflow takes no dots here.
        f"{place.name}-{winner.trial}".replace(".", "_"),
        source_run_id=place.run_id,
        tags={WINNER_TAG: key},
        params=dict(run.data.params),
        model_type="classifier",
    )
    with tempfile.TemporaryDirectory() as folder:
        files = Path(folder, "model")
        about = Model(
            artifact_path=model.artifact_location,
            model_uuid=model.model_id,
            run_id=place.run_id,
            model_id=model.model_id,
        )
        _or_unable(lambda: save(served, files, about))
        client.log_model_artifacts(model.model_id, str(files))
    values = [
        Metric(metric.key, metric.value, metric.timestamp, metric.step, model_id=model.model_id)
        for name in run.data.metrics
        for metric in client.get_metric_history(place.run_id, name)
        if metric.step == winner.epoch
    ]
    if values:
        client.log_batch(place.run_id, values)
    return client.finalize_logged_model(model.model_id, LoggedModelStatus.READY)


def _or_unable(work: Callable[[], Result]) -> Result:
    """What is done on this machine alone fails the next time too."""
    try:
        return work()
    except Exception as error:
        log.warning("no model", exc_info=True)
        raise _UnableError(f"{type(error).__name__}: {error}") from error


def _registered(client: MlflowClient, place: Place, winner: WinnerNamed, model: LoggedModel) -> str:
    name = place.name
    champion = _champion(client, name)
    if champion is not None and champion.run_id == place.run_id and _source_is(champion, model):
        return f"version {champion.version} of {name} already, and its {ALIAS}"
    newcomer = Contender(f"trial {winner.trial}", winner.accuracy, winner.images, winner.split)
    present = None if champion is None else _contender(champion)
    found = ruling(newcomer, present)
    if not found.takes_over:
        assert champion is not None, "the first one takes over"
        return (
            f"version {champion.version} of {name} stays the {ALIAS}: {found.why} (--name gives a study a champion of "
            "its own)"
        )
    version = _version(client, place, winner, model, f"{found.why}. The rule: {RULE}.")
    client.set_registered_model_alias(name, ALIAS, version.version)
    return f"version {version.version} of {name} and its {ALIAS}: {found.why}"


def _champion(client: MlflowClient, name: str) -> ModelVersion | None:
    try:
        return client.get_model_version_by_alias(name, ALIAS)
    except MlflowException as error:
        # Of a name that nobody has registered, and of one without the alias.
        if error.error_code not in REFUSALS:
            raise
        return None


def _version(client: MlflowClient, place: Place, winner: WinnerNamed, model: LoggedModel, why: str) -> ModelVersion:
    """Made if there is none of this model yet: the alias may have been what was not heard of."""
    name = place.name
    try:
        client.create_registered_model(name, description=f"The champions of the cifarray study {name}: {RULE}.")
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    known = client.search_model_versions(f"name = '{name}'")
    version = next((each for each in known if _source_is(each, model)), None)
    if version is not None:
        return version
    tags = {
        WINNER_TAG: f"{place.study_id} trial {winner.trial} epoch {winner.epoch}",
        IMAGES_TAG: str(winner.images),
        SPLIT_TAG: winner.split,
        **({} if winner.accuracy is None else {ACCURACY_TAG: repr(winner.accuracy)}),
    }
    return client.create_model_version(
        name,
        # The store of a database looks an address of the other kind up wherever this process's own MLflow is.
        model.artifact_location,
        run_id=place.run_id,
        tags=tags,
        description=f"Trial {winner.trial} after epoch {winner.epoch}: {why} It is loaded where cifarray is installed.",
        model_id=model.model_id,
    )


def _contender(version: ModelVersion) -> Contender:
    """A version that somebody registered by hand has none of it."""
    tags: Mapping[str, str] = version.tags
    accuracy = tags.get(ACCURACY_TAG)
    return Contender(
        f"version {version.version}",
        None if accuracy is None else float(accuracy),
        int(tags.get(IMAGES_TAG, 0)),
        tags.get(SPLIT_TAG, ""),
    )


def _source_is(version: ModelVersion, model: LoggedModel) -> bool:
    return version.source in (model.artifact_location, f"models:/{model.model_id}")

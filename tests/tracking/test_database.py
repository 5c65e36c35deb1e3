"""The SQLite database is there as a whole or not at all."""

import sqlite3
from contextlib import closing

import pytest
from mlflow.tracking import MlflowClient

from cifarray.places import default_tracking_uri
from cifarray.tracking import Tracking
from cifarray.tracking.addresses import refuse_unusable
from cifarray.tracking.database import make_database
from cifarray.tracking.mirror import Mirror


def test_database_that_a_kill_left_half_made_is_made_anew(tmp_path):
    with closing(sqlite3.connect(tmp_path / "mlflow.db.partial")) as half:
        half.execute("CREATE TABLE _alembic_tmp_params (key VARCHAR)")
    make_database(tmp_path / "mlflow.db")
    assert MlflowClient(f"sqlite:///{tmp_path}/mlflow.db").get_experiment_by_name("cifarray") is None
    assert not (tmp_path / "mlflow.db.partial").exists()


def test_database_that_is_there_stays_as_it_is(tmp_path):
    (tmp_path / "mlflow.db").write_bytes(b"somebody's")
    make_database(tmp_path / "mlflow.db")
    assert (tmp_path / "mlflow.db").read_bytes() == b"somebody's"


@pytest.mark.slow
def test_studies_that_begin_at_once_share_a_new_database(new_journal, tmp_path):
    tracking_uri = default_tracking_uri(str(tmp_path))
    journals = [new_journal(name, name) for name in ("wrn", "resnet", "densenet")]
    for journal in journals:
        journal.whole_study()
    for tracking in [Tracking(journal.path, tracking_uri) for journal in journals]:
        assert tracking.finish(timeout=100).ok
    client = MlflowClient(tracking_uri)
    found = client.search_runs([client.get_experiment_by_name("cifarray").experiment_id])
    assert sorted(run.info.run_name for run in found) == sorted(
        f"{name}{trial}" for name in ("wrn", "resnet", "densenet") for trial in ("", "-0", "-1")
    )


def test_a_folder_with_unusual_characters_has_database_and_artifacts(new_journal, tmp_path):
    """All that are not refused (`addresses.refuse_unusable`)."""
    folder = tmp_path / "50% of #1 & ä b"
    uri = default_tracking_uri(str(folder))
    refuse_unusable(uri)
    journal = new_journal("study", "wrn")
    report = journal.path.with_name("leaderboard.csv")
    report.write_text("trial\n")
    journal.study()
    journal.ended(artifacts=(str(report),))
    Mirror(journal.path, uri, "cifarray").update(driver_gone=True)
    assert {"mlflow.db", "mlartifacts"} <= {path.name for path in folder.iterdir()}
    assert [path.name for path in (folder / "mlartifacts").rglob("*.csv")] == ["leaderboard.csv"]

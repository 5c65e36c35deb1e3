"""Storage that is full, read-only, gone, slow or out of order in mid-trial: it costs epochs at most, and no trial.

Not here: processes and checkpoints (`test_mid_trial`), how patient a write is (`tests/test_storage.py`), what the
journal does with half a line (`tests/journal/test_journal.py`), MLflow's faults (`tests/tracking`).
"""

import subprocess
import threading
from dataclasses import replace

import boto3
import pytest
from bucket_server import serving_in_any_weather
from mid_trial import (
    Strikes,
    assert_as_if_nothing_had_been,
    epochs_in_mlflow,
    events_of,
    restarts_of,
    trial_folder,
)

from cifarray import storage
from cifarray.engine.run import run_study
from cifarray.study import faults
from cifarray.study.events import CheckpointLost, TrialEnded
from cifarray.tracking.database import make_database

pytestmark = [pytest.mark.faults, pytest.mark.slow, pytest.mark.timeout(600)]


def mount(*arguments):
    subprocess.run(["mount", *map(str, arguments)], check=True)


def full(study, make_disk):
    """The disk that has the journal and the checkpoints."""
    fill = make_disk(study.folder.parent)
    return fill, (study.folder.parent / "filler").unlink


def journal_full(study, make_disk):
    """The journal's disk; the checkpoints are on others, with room."""
    fill = make_disk(study.folder.parent)
    for number in range(study.num_trials):
        make_disk(trial_folder(study, number))
    return fill, (study.folder.parent / "filler").unlink


def read_only(study, make_disk):
    """The disk that has the checkpoints cannot be written any more; the journal's can."""
    folder = trial_folder(study)
    make_disk(folder)
    return (lambda: mount("-o", "remount,ro", folder)), (lambda: mount("-o", "remount,rw", folder))


def gone(study, make_disk):
    """In the folder's place is an empty one, as where a network folder is not mounted any more."""
    folder = study.folder
    return (
        lambda: mount("-t", "tmpfs", "-o", "ro", "tmpfs", folder),
        lambda: subprocess.run(["umount", "--lazy", str(folder)], check=True),
    )


@pytest.fixture
def lose_the_disk(make_equal, make_recorder, make_disk, tmp_path):
    """A function that runs a study under which `lose` strikes, and gives the study, after the disk was mended."""

    def run(lose, told, num_trials=1):
        study = replace(make_equal("lost", num_trials), storage=str(tmp_path / "disk"))
        strike, mend = lose(study, make_disk)
        strikes = Strikes({0: lambda group: strike()})
        paused = run_study(study, make_recorder(strikes))
        mend()
        assert not strikes.errors
        print(f"told: {paused.message}")
        assert paused.reason == "paused"
        assert told in paused.message
        return study

    return run


@pytest.mark.nightly
def test_the_study_pauses_and_goes_on_when_the_journals_disk_has_room_again(
    ray_session, lose_the_disk, make_recorder, undisturbed
):
    """Its last block takes some lines yet, but not all of three trials."""
    study = lose_the_disk(journal_full, "journal.jsonl cannot be written", num_trials=3)
    assert_as_if_nothing_had_been(ray_session, study, run_study(study, make_recorder()), undisturbed)


@pytest.mark.parametrize(
    ("lose", "told", "losses"),
    [
        pytest.param(full, "No space left on device", 1, id="full"),
        pytest.param(full, "No space left on device", faults.MAX_LOSSES, id="full for long", marks=pytest.mark.nightly),
        pytest.param(read_only, "Read-only file system", faults.MAX_LOSSES, id="read-only", marks=pytest.mark.nightly),
        pytest.param(gone, "", faults.MAX_LOSSES, id="gone and back", marks=pytest.mark.nightly),
    ],
)
def test_the_study_pauses_and_goes_on_when_the_disk_is_mended(
    ray_session, lose_the_disk, make_recorder, undisturbed, monkeypatch, lose, told, losses
):
    """It says what is wrong and what helps, and no trial has ended for it; nor for a checkpoint that was torn by it.

    losses: after how many in a row it pauses; each but the last starts new workers.
    """
    monkeypatch.setattr(faults, "MAX_LOSSES", losses)
    study = lose_the_disk(lose, told)
    assert not [event for event in events_of(study) if isinstance(event, TrialEnded)]
    # What a disk does to the newest checkpoint when it goes.
    newest = max(trial_folder(study).glob("epoch-*.pt"))
    newest.write_bytes(newest.read_bytes()[:-1000])
    view = make_recorder()
    result = run_study(study, view)
    assert [storage.join(study.address, "trial-0000", newest.name)] == [
        event.checkpoint for event in view.of(CheckpointLost)
    ]
    assert_as_if_nothing_had_been(ray_session, study, result, undisturbed)


@pytest.mark.nightly
def test_a_bucket_that_is_slow_or_out_of_order_for_a_while_costs_time_alone(
    ray_session, make_equal, make_recorder, undisturbed
):
    """Five seconds a call in the first trial, an error for everything in the second one, for ten seconds."""
    with serving_in_any_weather() as (_, weather):
        boto3.client("s3").create_bucket(Bucket="results")
        study = replace(make_equal("weather", 2, patience=60.0), storage="s3://results/mine")

        def slow(group):
            weather.delay = 5.0

        def out_of_order(group):
            weather.status = "500 Internal Server Error"
            threading.Timer(10.0, fair).start()

        def fair():
            weather.delay, weather.status = 0.0, ""

        strikes = Strikes({0: slow, 1: out_of_order}, after={0: fair})
        result = run_study(study, make_recorder(strikes))
        assert weather.delayed
        assert weather.refused
        for name, number in (("slow", 0), ("out of order", 1)):
            print(f"bucket {name}: next epoch after {strikes.seconds[number]:.1f} s")
            assert not restarts_of(study, number)
        assert_as_if_nothing_had_been(ray_session, study, result, undisturbed)


@pytest.mark.nightly
def test_a_full_disk_under_mlflows_database_costs_nothing(
    ray_session, make_equal, make_recorder, make_disk, undisturbed, tmp_path
):
    """The study trains on; what MLflow has not heard it hears as soon as there is room, once."""
    disk = tmp_path / "disk"
    fill = make_disk(disk)
    make_database(disk / "mlflow.db")
    study = replace(make_equal("unheard", 2, patience=60.0), tracking_uri=f"sqlite:///{disk}/mlflow.db")
    seen = []

    def room():
        seen.append(epochs_in_mlflow(study))
        (disk / "filler").unlink()

    strikes = Strikes({0: lambda group: fill()}, after={0: room})
    result = run_study(study, make_recorder(strikes))
    print(f"mlflow.db full: next epoch after {strikes.seconds[0]:.1f} s; MLflow had {seen[0]} then")
    assert result.tracking.ok
    assert not restarts_of(study, 0)
    assert_as_if_nothing_had_been(ray_session, study, result, undisturbed)

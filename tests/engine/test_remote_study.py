"""A study whose storage is a bucket: real worker groups, a head that is lost, another that goes on."""

import json
from dataclasses import replace

import boto3
import pytest
from histories import driver_ended, driver_started, epoch_ended, sampled, split_opened, study_started

from cifarray import places, storage
from cifarray.cli.train import train
from cifarray.engine import last_word
from cifarray.engine.run import run_study
from cifarray.errors import StudyError
from cifarray.examine.final_test import run_final_test
from cifarray.journal import targets
from cifarray.journal.copy import Segment, chain
from cifarray.journal.folder import began_with, set_aside
from cifarray.journal.journal import Journal, StudyRunningError, read_events
from cifarray.study.events import CheckpointDropped, EpochEnded, LesionStudied, TrialEnded, TrialStarted
from cifarray.study.trial_record import Outcome
from cifarray.tracking.ended import append_to_ended, open_ended


def objects(suffix):
    listed = boto3.client("s3").list_objects_v2(Bucket="results")
    return sorted(entry["Key"] for entry in listed.get("Contents", []) if entry["Key"].endswith(suffix))


@pytest.fixture
def bucket(s3_server):
    boto3.client("s3").create_bucket(Bucket="results")
    return "s3://results/mine"


@pytest.mark.slow
def test_another_head_goes_on_from_the_bucket(
    ray_session, bucket, make_study, make_recorder, tmp_path, cifarray_home, monkeypatch
):
    """The workers' processes were started without the variables that lead to the bucket: the study brings them."""
    study = make_study("remote", num_trials=1, fixed={"epochs": 3}, keep_checkpoints=1)
    study = replace(study, storage=bucket)

    def interrupt(event):
        if isinstance(event, EpochEnded) and event.epoch == 2:
            raise KeyboardInterrupt

    assert run_study(study, make_recorder(interrupt)).reason == "interrupted"
    here = study.folder / "journal.jsonl"
    # The workers may have been an epoch ahead.
    assert "mine/remote/trial-0000/epoch-0002.pt" in objects(".pt")
    assert objects("study.json") == ["mine/remote/study.json"]
    assert not [name for name in objects("") if "/ray/" in name]

    # Another disk, on which only the data is the same.
    monkeypatch.setenv("CIFARRAY_HOME", str(tmp_path / "another-home"))
    (tmp_path / "another-home").mkdir()
    (tmp_path / "another-home" / "data").symlink_to(cifarray_home / "data")
    assert study.folder / "journal.jsonl" != here
    view = make_recorder()
    result = run_study(replace(study, num_trials=2), view)
    assert result.reason == "finished"
    assert [trial.outcome for trial in result.state.trials.values()] == [Outcome.COMPLETED] * 2
    assert [event.epoch for event in view.of(TrialStarted)] == [2, 0]
    there = (study.folder / "journal.jsonl").read_bytes()
    assert there.startswith(here.read_bytes())

    # The best one's last checkpoint is left, and the copy has every event and names it alone.
    best = result.state.ranking()[0].number
    assert objects(".pt") == [f"mine/remote/trial-{best:04d}/epoch-0003.pt"]
    segments = chain(storage.names(f"{bucket}/remote/journal"))
    copy = b"".join(storage.read_bytes(f"{bucket}/remote/journal/{segment.name}") for segment in segments)
    assert copy == there
    assert not (study.folder / "ray").exists()

    aside = set_aside(study)
    assert not storage.exists(study.marker)
    assert storage.exists(f"{aside}/study.json")


def refused(capsys, *arguments):
    with pytest.raises(SystemExit) as exit_:
        train(["wide_resnet_fast", "--data", "synthetic:500", "--name", "t", *arguments])
    assert exit_.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


def test_a_bucket_that_does_not_exist_is_told_before_anything_starts(s3_server, capsys, monkeypatch):
    def start(*arguments, **options):
        raise AssertionError("Ray was started")

    monkeypatch.setattr("ray.init", start)
    assert refused(capsys, "--storage", "s3://nobody-made-this/results") == (
        "error: the bucket 'nobody-made-this' of s3://nobody-made-this/results/t/journal does not exist: "
        "create it, or give another address"
    )


def test_studies_of_one_name_in_two_buckets_are_two(make_study, s3_server):
    one, other = (replace(make_study("wrn"), storage=f"s3://{name}") for name in ("mine", "theirs"))
    assert one.folder != other.folder


def test_a_folder_is_told_from_its_address_and_back(make_study, cifarray_home):
    study = replace(make_study("wrn"), storage="s3://mine/results")
    assert places.address(study.folder) == study.address == "s3://mine/results/wrn"
    assert places.address(make_study("wrn").folder) is None


def test_local_results_where_the_studies_of_buckets_are_kept_are_local(make_study, tmp_path, monkeypatch):
    monkeypatch.setenv("CIFARRAY_HOME", str(tmp_path))
    study = replace(make_study("wrn"), storage=str(tmp_path / "studies"))
    assert places.address(study.folder) is None
    assert not Journal(study.folder).is_copied


def move_to(monkeypatch, tmp_path, head):
    """From here on this is the machine of that name."""
    monkeypatch.setenv("CIFARRAY_HOME", str(tmp_path / head))


def test_a_study_in_a_bucket_goes_on_with_its_strategy_on_a_head_that_never_saw_it(
    bucket, make_study, tmp_path, monkeypatch
):
    study = replace(make_study("wrn"), storage=bucket)
    move_to(monkeypatch, tmp_path, "head")
    storage.write_bytes(study.marker, b"{}")
    journal = Journal(study.folder)
    journal.append([study_started(scheduler={"name": "promote", "reduction_factor": 3, "grace_epochs": 1})])
    journal.keep()
    journal.close()
    assert began_with(study.folder) == "promote"

    move_to(monkeypatch, tmp_path, "other head")
    assert not study.folder.exists()
    assert began_with(study.folder) == "promote"
    assert began_with(study.folder.with_name("another")) is None


def test_nothing_is_added_from_elsewhere_to_a_study_that_runs(bucket, make_study, tmp_path, monkeypatch):
    study = replace(make_study("wrn"), storage=bucket)
    move_to(monkeypatch, tmp_path, "head")
    storage.write_bytes(study.marker, b"{}")
    running = Journal(study.folder)
    done = [
        sampled(0),
        epoch_ended(0, 1, checkpoint="trial-0000/epoch-0001.pt"),
        TrialEnded(trial=0, outcome=Outcome.COMPLETED),
    ]
    running.append([study_started(), *done, driver_ended(), driver_started(), sampled(1)])
    running.keep()

    move_to(monkeypatch, tmp_path, "laptop")
    with pytest.raises(
        StudyRunningError,
        match="study 'wrn' runs on another machine, or was killed: wait for its end, or run it again first",
    ):
        next(run_final_test("wrn", bucket, study.tracking_uri))
    told = append_to_ended(study.folder, LesionStudied(trial=0, metrics={}), study.tracking_uri)
    assert told.startswith("the study is running, or was killed and is to be run again first, so MLflow hears of this")

    running.keep()
    running.append([driver_ended()])
    running.close()
    afterwards = open_ended(study.folder)
    assert [event.kind for event in afterwards.events] == [
        "study",
        "trial",
        "epoch",
        "outcome",
        "ended",
        "driver",
        "trial",
        "ended",
    ]
    afterwards.append([split_opened(0)])
    afterwards.close()
    # What is found out does not make it a study that runs.
    open_ended(study.folder).close()


@pytest.mark.parametrize("is_forked", [False, True])
def test_of_what_a_head_left_in_a_bucket_only_what_its_journal_gave_up_is_swept(
    bucket, make_study, tmp_path, monkeypatch, is_forked
):
    """What no line of it names another head may have written, and where one drives the study all is its own."""
    study = replace(make_study("wrn"), storage=bucket)
    move_to(monkeypatch, tmp_path, "head")
    first, second, third = (storage.join(study.address, "trial-0000", f"epoch-000{epoch}.pt") for epoch in (1, 2, 3))
    for address in (first, second, third):
        storage.write_bytes(address, b"x")
    journal = Journal(study.folder)
    if is_forked:
        storage.write_bytes(storage.join(study.address, "journal", Segment(0, 1, "0" * 8).name), b"{}\n")
    epochs = [epoch_ended(0, 1, first), epoch_ended(0, 2, second)]
    dropped = CheckpointDropped(trial=0, epoch=1, checkpoint=first)
    journal.append([study_started("wrn", study.space), sampled(0), *epochs, dropped])
    last_word.sweep_up(study, journal)
    journal.close()
    assert storage.exists(first) == is_forked
    assert storage.exists(second)
    assert storage.exists(third)


def test_on_one_disk_a_study_that_was_killed_is_added_to(tmp_path):
    journal = Journal(tmp_path / "wrn")
    journal.append([driver_started()])
    with pytest.raises(StudyRunningError, match="has a driver that lives"):
        open_ended(tmp_path / "wrn")
    journal.close()
    open_ended(tmp_path / "wrn").close()


@pytest.mark.parametrize("target", ["wrn", "wrn-0", "0123456789abcdef"])
def test_what_a_name_means_is_what_the_head_made_of_it_since(bucket, make_study, tmp_path, monkeypatch, target):
    study = replace(make_study("wrn"), storage=bucket)
    storage.write_bytes(study.marker, b"{}")
    for head, number in (("head", 1), ("laptop", 1), ("head", 2)):
        move_to(monkeypatch, tmp_path, head)
        journal = Journal(study.folder)
        if head == "head":
            journal.append([driver_started(), driver_ended(message=f"the end of driver {number}")])
        else:
            (study.folder / "tracking.json").write_text(json.dumps({"runs": {"0": "0123456789abcdef"}}))
        journal.close()
    move_to(monkeypatch, tmp_path, "laptop")
    folder, _ = targets.find(target, bucket)
    assert read_events(folder / "journal.jsonl")[-1].message == "the end of driver 2"


def test_what_runs_on_this_machine_is_found_as_it_is_here(bucket, make_study, tmp_path, monkeypatch):
    move_to(monkeypatch, tmp_path, "head")
    study = replace(make_study("wrn"), storage=bucket)
    storage.write_bytes(study.marker, b"{}")
    journal = Journal(study.folder)
    journal.append([driver_started()])
    assert targets.find("wrn", bucket) == (study.folder, None)
    journal.close()


def test_what_was_trained_on_another_head_is_found_and_what_is_found_out_is_kept_there(
    bucket, make_study, tmp_path, monkeypatch
):
    study = replace(make_study("wrn"), storage=bucket)
    storage.write_bytes(study.marker, b"{}")
    journal = Journal(study.folder)
    journal.append([study_started(), sampled(1)])
    journal.close()
    for number, name in enumerate(["wrn", "wrn-1"], start=1):
        monkeypatch.setenv("CIFARRAY_HOME", str(tmp_path / f"home-{number}"))
        folder, _ = targets.find(name, bucket)
        assert folder == study.folder
        journal = Journal(folder)
        assert len(journal.events) == 1 + number
        journal.append([split_opened(1)])
        journal.close()
    with pytest.raises(StudyError, match="'wrm' is no study"):
        targets.find("wrm", bucket)

"""A teacher by name: what a user may call it, and what is refused before any trial. Nothing here starts Ray."""

import json
import os

import pytest
import torch
from histories import epoch_ended, sampled, study_started

from cifarray import data
from cifarray.cli.ablate import ablate
from cifarray.cli.flags import apply, study_parser
from cifarray.cli.train import train
from cifarray.config import TrainConfig, override
from cifarray.data import open_store
from cifarray.examine import networks
from cifarray.fields import difference
from cifarray.journal.journal import Journal
from cifarray.space.space import SearchSpace
from cifarray.study.events import TrialEnded
from cifarray.training.checkpoint import save_checkpoint
from cifarray.training.loop import Training

DATA = "synthetic:300"
BASE = override(TrainConfig(), {"model.depth": 10, "data.source": DATA, "batch_size": 30})
RUN, PARENT_RUN = "ab" * 16, "cd" * 16


@pytest.fixture(scope="module")
def untrained(cifarray_home):
    """What a checkpoint holds, before the first step."""
    training = Training(BASE, torch.device("cpu"), 0, 1)
    try:
        return training.state()
    finally:
        training.close()


@pytest.fixture
def results(tmp_path, monkeypatch, untrained):
    """A study `good` of two trials, of which trial 1 is the better one; trial 0 has lost its checkpoint."""
    monkeypatch.setenv("CIFARRAY_STORAGE", str(tmp_path))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    address = tmp_path / "good" / "trial-0001" / "epoch-0001.pt"
    save_checkpoint(str(address), untrained)
    journal = Journal(tmp_path / "good")
    journal.append([study_started("good", SearchSpace("good", BASE))])
    for number, accuracy, checkpoint in ((0, 0.5, None), (1, 0.7, str(address))):
        epoch = epoch_ended(number, 1, checkpoint, "complete", val_accuracy=accuracy)
        end = TrialEnded(trial=number, outcome="completed")
        journal.append([sampled(number, config=BASE.to_dict()), epoch, end])
    journal.close()
    runs = {"parent_run_id": PARENT_RUN, "runs": {"0": "00" * 16, "1": RUN}}
    (tmp_path / "good" / "tracking.json").write_text(json.dumps(runs))
    return tmp_path


def applied(*arguments, space=None):
    flags = study_parser("").parse_args(["--data", DATA, *arguments])
    return apply(space or SearchSpace("x", BASE), flags)


@pytest.mark.parametrize(
    "name", ["good", "good-1", RUN, PARENT_RUN, "good/trial-0001/epoch-0001.pt", "./good/trial-0001/epoch-0001.pt"]
)
@pytest.mark.parametrize("flag", ["--teacher={}", "--set=distillation.teacher={}"])
def test_every_name_becomes_the_checkpoints_absolute_address(results, name, flag):
    expected = str(results / "good" / "trial-0001" / "epoch-0001.pt")
    assert os.path.isabs(expected)
    assert applied(flag.format(name)).base.distillation.teacher == expected


def test_a_run_of_another_storage_is_asked_for_at_the_tracking_server(results, monkeypatch, untrained):
    address = str(results / "elsewhere.pt")
    save_checkpoint(address, untrained)
    asked = []

    def answer(run, tracking_uri):
        asked.append((run, tracking_uri))
        return address

    monkeypatch.setattr(networks, "checkpoint_of_run", answer)
    space = applied("--teacher", "ef" * 16, "--tracking-uri", "http://host:5000")
    assert space.base.distillation.teacher == address
    assert asked == [("ef" * 16, "http://host:5000")]


def test_a_teacher_is_kept_with_its_study_as_far_as_all_of_them_have_one(results, untrained):
    """Another study's checkpoint at the same address is another teacher, and makes another study of it."""
    address = results / "good" / "trial-0001" / "epoch-0001.pt"
    save_checkpoint(str(address), {**untrained, "study": "first"})
    before = applied("--teacher", "good")
    assert before.base.distillation.studies == ("first",)
    save_checkpoint(str(address), {**untrained, "study": "second"})
    after = applied("--teacher", "good")
    assert difference(before.to_dict(), after.to_dict()) == ["config.distillation.studies: ['first'] → ['second']"]
    save_checkpoint(str(results / "nobodys.pt"), untrained)
    assert applied("--space", "distillation.teacher=good,nobodys.pt").base.distillation.studies == ()


def test_teachers_may_vary_and_no_teacher_may_be_one_of_them(results):
    space = applied("--space", "distillation.teacher=none,good")
    address = str(results / "good" / "trial-0001" / "epoch-0001.pt")
    assert space.domains["distillation.teacher"].values == (None, address)


def test_a_recipes_own_name_is_found_too(results):
    mine = override(BASE, {"distillation.teacher": "good-1"})
    space = applied(space=SearchSpace("x", BASE, recipes={"mine": mine}))
    assert space.recipes["mine"].distillation.teacher == str(results / "good" / "trial-0001" / "epoch-0001.pt")


def test_where_nobody_names_a_teacher_nothing_is_read(monkeypatch, tmp_path):
    def read(*arguments):
        raise AssertionError("read")

    monkeypatch.setattr(data, "open_store", read)
    monkeypatch.setattr(networks, "find_checkpoint", read)
    assert applied("--set", "distillation.temperature=4").base.distillation.teacher is None


def said(capsys, *arguments):
    """Standard error of a job that is refused."""
    with pytest.raises(SystemExit) as exit_:
        train(["wide_resnet_fast", "--data", DATA, "--set", "batch_size=30", *arguments, "--dry-run"])
    assert exit_.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    return error


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("godo", "'godo' is no study, trial or MLflow run in"),
        ("good-7", "trial good-7 does not exist: choose 0 to 1"),
        ("good-0", "trial good-0 has no checkpoint of its last epoch: choose one that has (good-1)"),
        ("no/such.pt", "no/such.pt cannot be read"),
        ("notes.txt", "notes.txt is not a whole checkpoint of cifarray"),
        ("ef" * 16, "mlflow.db does not exist"),
    ],
)
def test_what_is_no_teacher_is_refused_in_a_sentence(results, capsys, name, sentence):
    (results / "notes.txt").write_text("a file, but no network\n")
    assert sentence in said(capsys, "--teacher", name)


def test_a_teacher_of_other_classes_is_refused(results, capsys, untrained):
    names = [f"kind {index}" for index in range(10)]
    other = {**untrained, "data": {**untrained["data"], "classes": names}}
    save_checkpoint(str(results / "other.pt"), other)
    assert open_store(DATA, "train", 32).classes != tuple(names)
    assert "give a teacher that was trained on this data" in said(capsys, "--teacher", "other.pt")


def test_a_teacher_is_in_the_plan_by_its_address(results, capsys):
    with pytest.raises(SystemExit) as exit_:
        ablate("imagenet_resnet_fast", ["--data", DATA, "--teacher", "good", "--dry-run", "--large-batch", "2"])
    text = capsys.readouterr().out
    assert exit_.value.code == 0
    address = results / "good" / "trial-0001" / "epoch-0001.pt"
    assert f"  distillation: mixup with distillation.teacher = {address}, distillation.temperature = 20" in text

"""What a user types and reads: plans, errors in a sentence, exit codes. Nothing here starts Ray."""

import pytest

from cifarray import cli
from search_spaces import wrn


def run(command, *arguments):
    """Exit code of a job called in this process."""
    with pytest.raises(SystemExit) as exit_:
        if command == "tune":
            cli.tune(wrn.space, wrn.smoke, arguments)
        else:
            getattr(cli, command)(arguments)
    return exit_.value.code


@pytest.fixture(autouse=True)
def storage(tmp_path, monkeypatch):
    monkeypatch.setenv("CIFARRAY_STORAGE", str(tmp_path))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return tmp_path


def test_dry_run_shows_config_domains_trials_and_resources(capsys, storage):
    code = run(
        "tune",
        *("--dry-run", "--trials", "16", "--epochs", "4", "--data", "synthetic", "--workers", "2"),
        *("--set", "model.depth=10", "--space", "model.widen_factor=1,2", "schedule.name=multistep,cosine"),
    )
    text = capsys.readouterr().out
    assert code == 0
    for line in (
        f"study wrn in {storage}/wrn, tracked at sqlite:///{storage}/mlflow.db",
        "  model.depth = 10",
        "  data.source = synthetic",
        "  model.widen_factor in {1, 2}",
        "  schedule.name in {multistep, cosine}",
        "  optimizer.lr in 0.01..0.4 (log)",
        "16 trials, searcher random, scheduler ASHA, rungs after epochs (1, 3)",
        "2 workers a trial, CPUs per worker auto, GPUs per worker auto; as many trials at once as fit",
    ):
        assert line in text.splitlines()
    assert "model.depth in" not in text
    assert not list(storage.iterdir())


def test_smoke_is_four_trials_of_two_epochs_on_synthetic_images(capsys, monkeypatch):
    monkeypatch.setenv("CIFARRAY_DATA", "/somewhere/else")
    assert run("tune", "--smoke", "--dry-run") == 0
    text = capsys.readouterr().out
    assert "  data.source = synthetic:2000" in text
    assert "  epochs = 2" in text
    assert "  model.depth = 10" in text
    assert "4 trials" in text


def test_the_environment_gives_the_defaults_of_its_flags(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("CIFARRAY_DATA", "cifar100")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")
    assert run("tune", "--dry-run") == 0
    text = capsys.readouterr().out
    assert "  data.source = cifar100" in text
    assert "tracked at http://127.0.0.1:5000" in text
    assert run("tune", "--dry-run", "--data", "cifar10", "--tracking-uri", "sqlite:///x.db") == 0
    text = capsys.readouterr().out
    assert "  data.source = cifar10\n" in text
    assert "tracked at sqlite:///x.db" in text


def test_train_is_a_study_of_one_trial_or_of_one_for_each_seed(capsys):
    assert run("train", "--dry-run") == 0
    assert "1 trials, searcher grid, scheduler none" in capsys.readouterr().out
    assert run("train", "wide_resnet_28_10", "--dry-run", "--seeds", "3", "--seed", "5") == 0
    text = capsys.readouterr().out
    assert "  seed in {5, 6, 7}" in text
    assert "3 trials" in text


@pytest.mark.parametrize(
    ("command", "arguments", "sentence"),
    [
        ("train", ["wide_resnet_fats"], "recipe 'wide_resnet_fats' is not known"),
        ("train", ["--seeds", "0"], "seeds 0 is too few: choose 1 or more"),
        ("tune", ["--set", "model.depht=16"], "model.depht is not a field of the train config"),
        ("tune", ["--set", "optimizer.lr=-1"], "optimizer.lr -1 is not valid"),
        ("tune", ["--set", "optimizer.lr"], "'optimizer.lr' is not of the form field=value"),
        ("tune", ["--space", "optimizer.lr=0.2..0.1"], "range 0.2..0.1 is empty"),
        ("tune", ["--searcher", "grid"], "optimizer.lr 0.01..0.4 (log) is a range and a grid needs choices"),
        ("tune", ["--concurrent", "many"], "concurrent 'many' is not a number: give one, or auto"),
        ("tune", ["--concurrent", "0"], "concurrent 0 is too few"),
        ("tune", ["--workers", "3"], "batch_size 128 is not divisible by 3 workers"),
        ("tune", ["--trials", "0"], "trials 0 is too few: choose 1 or more"),
        ("tune", ["--name", "a/b"], "study name 'a/b' is not valid"),
        ("tune", ["--set", "data.validation=0"], "set --scheduler none, or hold images out"),
        ("tune", ["--storage", "ftp://host/x"], "storage 'ftp://host/x' has an unknown scheme"),
        ("tune", ["--data", "imagenet"], "imagenet"),
        ("tune", ["--data", "synthetic", "--set", "model.depth=27"], "22 or 28"),
        ("final_test", ["nothing"], "'nothing' is no study, trial or MLflow run in"),
        ("prepare_data", ["--data", "/no/such/folder"], "/no/such/folder"),
    ],
)
def test_wrong_input_is_one_sentence_and_exit_code_2(capsys, command, arguments, sentence):
    assert run(command, *arguments) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert sentence in said
    assert len(said.strip().splitlines()) == 1

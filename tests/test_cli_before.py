"""What is looked at and said before a study starts, and a study that has nothing to do."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from histories import driver_ended, driver_started, epoch_ended, sampled, started

from cifarray import recipes
from cifarray.cli.before import about_data, look_at_data, notes_on
from cifarray.cli.flags import apply, make_study, study_parser
from cifarray.cli.train import train
from cifarray.cli.tune import tune
from cifarray.errors import StudyError
from cifarray.journal.journal import Journal
from cifarray.space.space import SearchSpace
from cifarray.study.events import StudyStarted, TrialEnded
from cifarray.study.trial_record import Outcome
from cifarray.tracking.state import State
from search_spaces import wrn

ROOT = Path(__file__).parents[1]
TINY = ("--data", "synthetic:400", "--limit", "200", "--epochs", "1", "--scheduler", "none")
FIXED = ("--set", "model.depth=10", "model.dropout=0.0", "batch_size=50")
BLOCKED = "import sys; sys.modules.update(dict.fromkeys(['torch', 'ray', 'mlflow']))"


def study_of(*arguments, space=wrn.space, scheduler="none"):
    flags = study_parser("").parse_args([*arguments])
    return make_study(apply(space, flags), flags, scheduler)


def finished(study, failed=()):
    """Writes the journal of a study whose trials have all ended, of which MLflow knows all."""
    state = study.new_state()
    state.num_trials = study.num_trials
    journal = Journal(study.folder)
    begun = {**json.loads(json.dumps(study.identity())), "name": study.name, "id": "f00d"}
    journal.append(
        [StudyStarted(**begun, num_trials=study.num_trials, storage=study.storage, num_classes=10), driver_started()]
    )
    state.replay(journal.events)
    for number in range(state.budget):
        params = state.sample(number)
        config = study.space.config(params).to_dict()
        events = [sampled(number, params, config), started(number)]
        if number in failed:
            events.append(TrialEnded(trial=number, outcome=Outcome.FAILED, message="no luck"))
        else:
            events += [
                epoch_ended(number, 1, decision="complete", val_accuracy=0.5, epoch_seconds=1.0),
                TrialEnded(trial=number, outcome=Outcome.COMPLETED),
            ]
        journal.append(events)
        state.replay(events)
    journal.append([driver_ended()])
    told = {"position": journal.path.stat().st_size, "model": "trial 0 is models:/m-1"}
    State(study.tracking_uri, "cifarray", **told).save(journal.path)
    journal.close()
    return study


def job(name, *arguments):
    """A job in a process that has neither torch nor Ray nor MLflow."""
    code = f"{BLOCKED}; sys.argv = {[f'jobs/{name}.py', *arguments]!r}; sys.path.insert(0, '.')\nimport runpy\n"
    return subprocess.run(
        [sys.executable, "-c", f"{code}runpy.run_path('jobs/{name}.py', run_name='__main__')"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ,
        check=False,
    )


def test_a_finished_study_answers_without_torch_ray_and_mlflow(storage):
    finished(study_of("--trials", "3", *TINY, *FIXED))
    before = (storage / "wrn" / "journal.jsonl").read_bytes()
    done = job("tune_wrn", "--trials", "3", *TINY, *FIXED)
    assert done.returncode == 0, done.stderr
    said = "nothing to do: 3 of 3 trials are done; --trials 6 goes on, --fresh starts anew"
    assert said in done.stdout.splitlines()
    assert "50.00 %" in done.stdout  # the leaderboard
    assert "model:   trial 0 is models:/m-1" in done.stdout.splitlines()
    assert (storage / "wrn" / "journal.jsonl").read_bytes() == before


def test_fewer_trials_than_are_done_are_nothing_to_do_either(storage):
    finished(study_of("--trials", "3", *TINY, *FIXED))
    done = job("tune_wrn", "--trials", "2", *TINY, *FIXED)
    assert "nothing to do: 3 trials are done, 2 asked for; --trials 6 goes on" in done.stdout, done.stdout


def test_what_goes_on_is_what_can(storage):
    """A grid has no more points, more seeds are more trials, and failed trials may be tried again."""
    space = SearchSpace("wide-resnet-fast", recipes.get("wide_resnet_fast"))
    finished(study_of(*TINY, "--set", "batch_size=50", "--trials", "1", "--searcher", "grid", space=space))
    done = job("train", *TINY, "--set", "batch_size=50")
    assert "nothing to do: 1 of 1 trial is done; --fresh starts anew" in done.stdout
    grid = ("--searcher", "grid", "--space", "model.widen_factor=1,2", "optimizer.lr=0.1", "optimizer.weight_decay=0.1")
    finished(study_of("--name", "g", "--trials", "2", *grid, *TINY, *FIXED), failed=[1])
    done = job("tune_wrn", "--name", "g", *grid, *TINY, *FIXED)
    assert (
        "nothing to do: 2 of 2 trials are done; --retry-failed tries 1 that failed again, --fresh starts anew"
        in done.stdout
    )


def test_a_study_that_was_killed_is_not_done(storage):
    study = finished(study_of("--trials", "2", *TINY, *FIXED))
    journal = Journal(study.folder)
    journal.append([driver_started()])
    journal.close()
    assert "nothing to do" not in job("tune_wrn", "--trials", "2", *TINY, *FIXED).stdout


def refused(capsys, *arguments):
    with pytest.raises(SystemExit) as exit_:
        tune(wrn.space, wrn.smoke, arguments)
    assert exit_.value.code == 2
    return capsys.readouterr().err


def test_another_study_of_that_name_is_refused_with_a_short_table_and_a_name_that_is_free(capsys, storage):
    finished(study_of("--trials", "2", *TINY, *FIXED))
    changed = [*TINY, *FIXED, "--epochs", "2", "--limit", "100", "--space", "optimizer.lr=0.1,0.2"]
    said = refused(capsys, "--trials", "2", *changed)
    assert said.splitlines() == [
        "error: study 'wrn' is there already, and differs from what is asked for now:",
        "  field         there            asked for",
        "  data.limit    200              100",
        "  optimizer.lr  0.01..0.4 (log)  {0.1, 0.2}",
        "  epochs        1                2",
        "run it as it was, give this one a --name (wrn-limit-100-epochs-2 is free), or start anew with --fresh",
    ]


def test_data_that_does_not_exist_is_told_before_a_difference_of_studies(capsys, storage):
    finished(study_of("--trials", "2", *TINY, *FIXED))
    said = refused(capsys, "--trials", "2", *TINY, *FIXED, "--data", "/no/such/folder")
    assert said.startswith("error: data '/no/such/folder' is neither a known name nor a folder")


def test_a_limit_says_how_many_are_held_out_all_the_same(tmp_path):
    space = study_of("--storage", str(tmp_path), "--limit", "1000").space
    assert about_data(space) == (
        "data: cifar10; 1,000 of 45,000 images to train on, and all 5,000 that are held out "
        "(--set data.validation=N holds out N)"
    )
    assert look_at_data(space) == ["data: 1,000 of 45,000 images to train on, 5,000 held out"]
    assert about_data(study_of("--storage", str(tmp_path)).space) == "data: cifar10"


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--limit", "100"], "batch_size 128 is more than the 100 training images"),
        (["--data", "synthetic:100"], "batch_size 128 is more than the 90 training images"),
        (["--space", "batch_size=64,2048", "--limit", "1000"], "batch_size 2048 is more than the 1000 training images"),
        (["--space", "data.limit=50,500"], "batch_size 128 is more than the 50 training images"),
        (["--set", "data.validation=50000"], "data.validation 50000 leaves none of 50000 images to train on"),
    ],
)
@pytest.mark.parametrize("dry", [True, False])
def test_data_limit_and_batch_that_do_not_fit_are_refused_before_anything_starts(capsys, storage, flags, sentence, dry):
    assert sentence in refused(capsys, *flags, *(["--dry-run"] if dry else []))
    assert not list(storage.iterdir())


def test_a_dry_run_opens_the_images_of_a_folder(capsys, storage, tmp_path):
    from PIL import Image

    for name in ("ant", "bee"):
        (tmp_path / "data" / name).mkdir(parents=True)
        for number in range(30):
            Image.new("RGB", (32, 32), (number, 0, 0)).save(tmp_path / "data" / name / f"{number}.png")
    assert "batch_size 128 is more than the 54 training" in refused(capsys, "--dry-run", "--data", f"{tmp_path}/data")
    with pytest.raises(SystemExit) as exit_:
        tune(wrn.space, wrn.smoke, ["--dry-run", "--data", f"{tmp_path}/data", "--set", "batch_size=20"])
    assert exit_.value.code == 0
    assert "data: 54 images to train on, 6 held out" in capsys.readouterr().out


@pytest.mark.parametrize(("epochs", "said"), [(1, False), (2, True), (26, True), (54, False)])
def test_asha_that_compares_after_the_first_epoch_says_so(tmp_path, epochs, said):
    """A twenty-seventh of the epochs is grace, at least one."""
    study = study_of("--storage", str(tmp_path), "--epochs", str(epochs), scheduler="asha")
    notes = notes_on(study, ())
    assert any("from the first epoch on" in note for note in notes) is said
    assert notes_on(study_of("--storage", str(tmp_path), "--epochs", "2"), ("first",)) == ["first"]


def test_a_range_of_depths_is_told_in_the_plan(capsys, storage):
    with pytest.raises(SystemExit):
        tune(wrn.space, wrn.smoke, ["--dry-run", "--space", "model.depth=10..28", *FIXED[:1], "model.widen_factor=1"])
    lines = capsys.readouterr().out.splitlines()
    assert "  model.depth in {10, 16, 22, 28}" in lines
    assert any(line.startswith("model.depth 10..28 is drawn from {10, 16, 22, 28}") for line in lines)


def test_settings_of_the_shell_that_no_study_runs_with_are_named(monkeypatch):
    code = (
        f"{BLOCKED}\nfrom cifarray.cli.before import unused_settings\n"
        "print(*unused_settings(), sep='\\n')\nimport os; print(os.environ['RAY_TRAIN_V2_ENABLED'])"
    )
    for name, value in {"RAY_TRAIN_V2_ENABLED": "0", "RAY_AIR_NEW_OUTPUT": "1", "TUNE_RESULT_DIR": "/r"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("TUNE_RESULT_BUFFER_LENGTH", "1")
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        "RAY_TRAIN_V2_ENABLED=0 of this shell is not used: a study runs with 1",
        "RAY_AIR_NEW_OUTPUT=1 of this shell is not used: a study runs with 0",
        "TUNE_RESULT_DIR=/r of this shell is not used: a study runs without it",
        "1",
    ]


@pytest.mark.parametrize("place", ["FILE/below", "FILE"])
def test_a_storage_that_cannot_be_written_is_one_sentence(capsys, tmp_path, place):
    (tmp_path / "file").write_text("")
    place = place.replace("FILE", str(tmp_path / "file"))
    for more in ([], ["--fresh"], ["--dry-run"]):
        said = refused(capsys, "--data", "synthetic:400", "--storage", place, *more)
        assert said.startswith("error: ")
        assert said.count("\n") == 1
        assert "choose a folder for --storage that you may write to" in said


def test_one_recipe_whose_batch_does_not_fit_is_named(tmp_path):
    from cifarray.config import override
    from cifarray.space.domains import choice
    from cifarray.study.images import refuse_batches_without_images

    small = override(recipes.get("wide_resnet_fast"), {"batch_size": 64})
    both = {"small": small, "large": override(small, {"batch_size": 512})}
    space = SearchSpace("batches", small, {"recipe": choice("small", "large")}, both)
    with pytest.raises(StudyError, match="large: batch_size 512 is more than the 450 training images"):
        refuse_batches_without_images(space, 500)
    refuse_batches_without_images(space, 600)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("pyramidnet_110_48", "--set", "model.alpha=-1"), "model.alpha -1 is not a number > 0: choose 48, 84 or 270"),
        (
            ("pyramidnet_110_48", "--set", "model.block=e"),
            "model.block 'e' is not one of its values: choose a, b, c",
        ),
        (
            ("densenet_40_12", "--space", "model.growth_rate=0,12"),
            "model.growth_rate 0 is not a whole number ≥ 1: choose 12, 24 or 40",
        ),
        (("wide_resnet_fast", "--space", "model.dropout=0..1.5"), "model.dropout 1.5 is not in [0, 1): choose 0 or"),
        (
            ("imagenet_resnet_fast", "--space", "model.base_width=4..8"),
            "not all of model.base_width 4..8 makes a network (model.base_width 5 is odd: choose 4 or 6): name values "
            "that do, --space model.base_width=4,6,8",
        ),
        (("--set", "model.widht=4"), "model.widht is not an option of wide_resnet: did you mean widen_factor? (or "),
        (("--set", "init.zero_gamma=true"), "init.zero_gamma true needs residual branches that end in a norm, and"),
        (("densenet_40_12", "--set", "stochastic_depth=0.2"), "stochastic_depth 0.2 needs residual blocks, and Dens"),
    ],
)
def test_a_network_that_cannot_be_is_refused_without_torch_ray_and_mlflow(storage, arguments, sentence):
    done = job("train", *arguments, "--data", "synthetic:400")
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith(f"error: {sentence}")
    assert done.stderr.count("\n") == 1
    assert not list(storage.iterdir())


def test_train_says_which_recipe_is_meant(capsys, storage):
    with pytest.raises(SystemExit):
        train(["wide_resnet_fats"])
    assert "'wide_resnet_fats' is not known: choose wide_resnet_fast or" in capsys.readouterr().err

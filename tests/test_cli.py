"""What a user types and reads: plans, errors in a sentence, exit codes. Nothing here starts Ray."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from called_jobs import run
from histories import study_started

from cifarray import recipes
from cifarray.cli.compare import compare as compare_job
from cifarray.cli.tune import tune_recipe
from cifarray.engine.result import StudyResult
from cifarray.journal.journal import Journal
from cifarray.tracking import TrackingResult

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.usefixtures("storage")


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
        "16 trials, compared by val_accuracy, scheduler freeze-thaw, all run to their end",
        "2 workers a trial, CPUs per worker auto, GPUs per worker auto; as many trials at once as fit",
    ):
        assert line in text.splitlines()
    assert "model.depth in" not in text
    assert not list(storage.iterdir())


PLANS = (
    *("train", "compare", "tune_wrn", "tune_densenet", "tune_pyramidnet", "tune_imagenet_resnet"),
    *("tune_lr_schedules", "tune_tricks", "ablate_tricks"),
)


@pytest.mark.parametrize("arguments", [*(f"{job} --dry-run" for job in PLANS), "train --list"])
def test_plans_and_the_list_of_recipes_are_shown_without_torch_ray_and_mlflow(arguments):
    """Their import alone takes longer than all the rest."""
    job, *flags = arguments.split()
    code = (
        f"import runpy, sys; sys.modules.update(dict.fromkeys(['torch', 'ray', 'mlflow', 'optuna']))\n"
        f"sys.argv = ['jobs/{job}.py', *{flags!r}]; sys.path.insert(0, '.')\n"
        f"runpy.run_path('jobs/{job}.py', run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert ("published error" if "--list" in flags else "compared by val_accuracy") in done.stdout


def test_the_plan_of_a_space_with_fewer_points_than_trials_says_so(capsys):
    pinned = ("optimizer.lr=0.1", "optimizer.weight_decay=0.001", "model.depth=10")
    assert run("tune", "--dry-run", "--trials", "20", "--set", *pinned) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("12 trials, compared by") for line in lines)  # 6 widening factors × 2 dropouts
    assert "the space has only 12 points: 12 of 20 trials are run" in lines


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
    assert "1 trial, compared by val_accuracy, searcher grid, scheduler none" in capsys.readouterr().out
    assert run("train", "wide_resnet_28_10", "--dry-run", "--seeds", "3", "--seed", "5") == 0
    text = capsys.readouterr().out
    assert "  seed in {5, 6, 7}" in text
    assert "3 trials" in text


@pytest.mark.parametrize(
    ("command", "arguments", "sentence"),
    [
        ("train", ["wide_resnet_fats"], "recipe 'wide_resnet_fats' is not known"),
        ("train", ["--seeds", "0"], "seeds 0 is too few: choose 1 or more"),
        ("tune", ["--set", "optimizer.rate=16"], "optimizer.rate is not a field of the train config"),
        ("tune", ["--set", "model.depht=16", "--dry-run"], "model.depht is not an option of wide_resnet"),
        ("tune", ["--set", "optimizer.lr=-1"], "optimizer.lr -1 is not valid"),
        ("tune", ["--set", "optimizer.lr"], "'optimizer.lr' is not of the form field=value"),
        ("tune", ["--space", "optimizer.lr=0.2..0.1"], "range 0.2..0.1 is empty"),
        ("tune", ["--searcher", "grid"], "optimizer.lr 0.01..0.4 (log) is a range and a grid needs choices"),
        ("tune", ["--concurrent", "many"], "concurrent 'many' is not a number: give one, or auto"),
        ("tune", ["--concurrent", "0"], "concurrent 0 is too few"),
        ("tune", ["--workers", "3"], "batch_size 128 is not divisible by 3 workers"),
        ("tune", ["--dry-run", "--workers", "2", "--gpus-per-worker", "0.5"], "NCCL allows no two workers on one GPU"),
        ("tune", ["--dry-run", "--gpus-per-worker=-1"], "gpus_per_worker -1 is not possible"),
        ("tune", ["--dry-run", "--gpus-per-worker", "1.5"], "gpus_per_worker 1.5 is not possible"),
        ("tune", ["--dry-run", "--cpus-per-worker", "0"], "cpus_per_worker 0 is not possible"),
        (
            "tune",
            ["--dry-run", "--tracking-uri", "./mlruns"],
            "'./mlruns' is none that MLflow keeps runs in: give a server",
        ),
        ("tune", ["--dry-run", "--tracking-uri", "ftp://host"], "'ftp://host' is none that MLflow keeps runs in"),
        ("tune", ["--trials", "0"], "trials 0 is too few: choose 1 or more"),
        ("tune", ["--name", "a/b"], "study name 'a/b' is not valid"),
        (
            "tune",
            ["--strategy", "freeze-thaw", "--searcher", "tpe"],
            "leave --searcher out, or take --strategy promote",
        ),
        ("tune", ["--set", "data.validation=0"], "set --strategy none, or hold images out"),
        ("tune", ["--storage", "ftp://host/x"], "storage 'ftp://host/x' has an unknown scheme"),
        ("tune", ["--data", "imagenet"], "imagenet"),
        ("tune", ["--data", "synthetic", "--set", "model.depth=27"], "22 or 28"),
        ("tune", ["--dry-run", "--set", "model.depth=27"], "22 or 28"),
        (
            "tune",
            ["--space", "model.depth=11..15"],
            "model.depth 11..15 has no values that make a wide_resnet (6n + 4)",
        ),
        ("tune", ["--space", "model.depth=10,11"], "model.depth 11 is not 6n + 4"),
        ("tune", ["--dry-run", "--space", "model.dropout=0..1.5"], "model.dropout 1.5 is not in [0, 1)"),
        ("tune", ["--workers", "2", "--space", "batch_size=64,65"], "batch_size 65 is not divisible by 2 workers"),
        ("tune", ["--space", "batch_size=64,128,64"], "{64, 128, 64} has 64 twice: give each value once"),
        ("final_test", ["nothing"], "'nothing' is no study, trial or MLflow run in"),
        ("lesion", ["nothing"], "'nothing' is no study, trial or MLflow run in"),
        ("export", ["nothing"], "'nothing' is no study, trial or MLflow run in"),
        ("export", ["nothing", "--to", "tflite"], "--to 'tflite' is not one of its values: choose onnx"),
        ("prepare_data", ["--data", "/no/such/folder"], "/no/such/folder"),
    ],
)
def test_wrong_input_is_one_sentence_and_exit_code_2(capsys, command, arguments, sentence):
    assert run(command, *arguments) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert sentence in said
    assert len(said.strip().splitlines()) == 1


def test_asha_is_the_default_of_searches_but_not_where_schedules_vary(capsys):
    assert run("tune", "--dry-run", "--epochs", "4") == 0
    assert "scheduler ASHA, rungs after epochs (1, 3)" in capsys.readouterr().out
    varied = ("--dry-run", "--space", "schedule.name=multistep,cosine")
    for more, expected in (
        ((), "scheduler freeze-thaw, all run to their end"),
        (("--searcher", "tpe"), "searcher tpe, scheduler none"),
        (("--searcher", "random"), "searcher random, scheduler none"),
        (("--set", "data.validation=0"), "scheduler none"),
    ):
        assert run("tune", *varied, *more) == 0
        text = capsys.readouterr().out
        assert expected in text
        assert "warning" not in text
    assert run("tune", *varied, "--scheduler", "asha") == 0
    text = capsys.readouterr().out
    assert "warning: ASHA compares trials after few epochs, which favours rates that fall early" in text
    assert "scheduler ASHA" in text


def test_a_strategy_is_planned_with_what_it_spends(capsys):
    """Of 200 epochs, from a 27th of them on: 200 + 20 · 7 + 10 · 6 + 5 · 12 + 3 · 25 + 2 · 50 + 100."""
    assert run("tune", "--dry-run", "--strategy", "freeze-thaw", "--epochs", "200") == 0
    text = capsys.readouterr().out
    assert (
        "20 trials, compared by val_accuracy, scheduler freeze-thaw, pauses after epochs (7, 13, 25, 50, 100)" in text
    )
    assert "\nas much work as 735 epochs of networks of average size: trials are begun" in text
    assert run("tune", "--dry-run", "--strategy", "promote", "--epochs", "4", "--searcher", "tpe") == 0
    assert "searcher tpe, scheduler ASHA that pauses and promotes, rungs after epochs (1, 3)" in capsys.readouterr().out


def test_where_schedules_vary_freeze_thaw_runs_all_to_their_end(capsys):
    varied = ("--space", "schedule.name=multistep,cosine")
    assert run("tune", "--dry-run", *varied, "--strategy", "freeze-thaw") == 0
    text = capsys.readouterr().out
    assert "scheduler freeze-thaw, all run to their end" in text
    assert "as much work" not in text
    assert "warning" not in text


def test_schedules_are_searched_around_the_recipe_that_is_named(capsys):
    from search_spaces import lr_schedules

    with pytest.raises(SystemExit):
        tune_recipe(lr_schedules.space, "wide_resnet_16_8", "wide_resnet_fast", ["densenet_bc_100_12", "--dry-run"])
    text = capsys.readouterr().out
    assert "study lr-schedules-densenet-bc-100-12" in text
    assert "  schedule.gamma in {0.1, 0.2} where schedule.name is multistep" in text
    assert "  optimizer.lr in 0.025..0.4 (log)" in text


def compare(*arguments):
    with pytest.raises(SystemExit) as exit_:
        compare_job(["resnet_fast", "linear"], ["resnet_fast"], arguments)
    return exit_.value.code


def test_compare_is_recipes_times_seeds_beside_a_linear_classifier(capsys):
    assert compare("pyramidnet_fast", "densenet_fast", "--seeds", "2", "--dry-run") == 0
    text = capsys.readouterr().out
    assert "study compare-pyramidnet-fast-densenet-fast in" in text
    assert "  seed in {0, 1}" in text
    assert "  recipe in {pyramidnet_fast, densenet_fast, linear}" in text
    assert "6 trials" in text


def test_what_is_pinned_in_a_comparison_reaches_the_recipes_and_leaves_the_baseline_its_own(capsys):
    from cifarray.cli.compare import beside_baseline, comparison_space

    space = comparison_space(["resnet_fast", "densenet_fast"], final=False, seeds=1, first_seed=0)
    space = beside_baseline(space.pin({"optimizer.lr": 0.7, "data.limit": 500}))
    assert [config.optimizer.lr for config in space.recipes.values()] == [0.7, 0.7, 0.002]
    assert [config.data.limit for config in space.recipes.values()] == [500, 500, 500]
    assert compare("wide_resnet_fast", "--set", "model.dropout=0.3", "--dry-run") == 0


def test_recipes_are_compared_on_one_split():
    """The post's recipe holds 10,000 images out, the paper's a tenth."""
    from cifarray.cli.compare import comparison_space

    space = comparison_space(["resnet_32_adam", "resnet_32"], final=False, seeds=1, first_seed=0)
    assert {config.data.validation for config in space.recipes.values()} == {0.1}


def test_a_final_comparison_trains_on_as_many_images_as_the_published_figure():
    """arXiv:1605.07146 trains on 50,000 images, arXiv:1512.03385 on 45,000."""
    from cifarray.cli.compare import comparison_space

    space = comparison_space(["wide_resnet_28_10", "resnet_110"], final=True, seeds=1, first_seed=0)
    assert [config.data.validation for config in space.recipes.values()] == [0, 0.1]


def test_grids_are_compared_with_a_linear_classifier_of_grids_and_not_with_single_images(capsys):
    assert compare("resnet13_grid", "--dry-run") == 0
    assert "compared by val_map" in capsys.readouterr().out
    assert compare("resnet13_grid", "resnet13_adamw", "--dry-run") == 2
    assert "name only one kind" in capsys.readouterr().err


def test_a_study_goes_on_with_the_strategy_that_it_began_with(storage, capsys):
    """Also where another one has become the default since."""
    varied = ("--space", "schedule.name=multistep,cosine")
    journal = Journal(storage / "wrn")
    journal.append([study_started(scheduler=None)])
    journal.close()
    assert run("tune", "--dry-run", *varied) == 0
    assert "searcher random, scheduler none" in capsys.readouterr().out
    assert run("tune", "--dry-run", *varied, "--fresh") == 0
    assert "scheduler freeze-thaw" in capsys.readouterr().out


def test_compare_refuses_what_would_be_averaged_into_its_rows(capsys):
    assert compare("resnet_fast", "--space", "optimizer.lr=0.1,0.2", "--dry-run") == 2
    assert "compare varies recipes and seeds alone" in capsys.readouterr().err


def test_tricks_are_searched_around_the_recipe_that_is_named(capsys):
    from search_spaces import tricks

    with pytest.raises(SystemExit):
        tune_recipe(tricks.space, "wide_resnet_16_8", "wide_resnet_fast", ["resnet_110", "--dry-run"])
    text = capsys.readouterr().out
    assert "study tricks-resnet-110" in text
    assert "  schedule.warmup in {0.0, 0.05, 0.1} where schedule.name is multistep or cosine" in text
    assert "  mixup in {0.0, 0.2, 1.0}" in text
    assert "scheduler freeze-thaw, all run to their end" in text


def test_list_shows_every_recipe_with_its_published_error(capsys):
    assert run("train", "--list") == 0
    text = capsys.readouterr().out
    assert "36,479,194" in text
    assert "4.00 % CIFAR-10" in text
    assert all(name in text for name in recipes.RECIPES)


@pytest.mark.parametrize("value", ["none", "none,d"])
def test_no_tweak_can_be_typed(capsys, value):
    flag = "--space" if "," in value else "--set"
    arguments = ("resnet_50", "--data", "synthetic:200", flag, f"model.tweak={value}", "--summary")
    assert run("train", *arguments) == 0


def test_summary_goes_to_the_layers_and_its_units_are_right(capsys):
    """WRN-16-1, counted by hand: a 3 × 3 convolution from 16 to 16 channels has 9 · 16 · 16 weights, each used at all
    32 × 32 places. There are 4 of those; each of the other two
    groups has 1 of half and 3 of all of that cost, and one of 1 × 1."""
    macs = (
        9 * 3 * 16 * 32**2 + 4 * 9 * 16**2 * 32**2 + 2 * (9 * 16 * 32 * 16**2 + 3 * 9 * 32**2 * 16**2 + 16 * 32 * 16**2)
    )
    macs += 64 * 10
    assert run("train", "wide_resnet_fast", "--summary", "--data", "synthetic:200") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "WideResNet for 10 classes, one image of 3 × 32 × 32"
    (conv, *_) = (line.split() for line in lines if "conv1 Conv2d" in line)
    assert conv == ["conv1", "Conv2d", "16", "×", "32", "×", "32", "2,304", "2.359"]
    assert sum("Conv2d" in line for line in lines) == 1 + 6 * 2 + 2  # the stem, two in each of 6 blocks, 2 projections
    assert lines[-1].startswith(f"175,066 parameters (0.18 M), {macs / 1e6:.1f} M multiply-adds (MACs) an image")
    assert max(map(len, lines[:-1])) <= 80


def test_a_metric_that_is_not_measured_is_refused_with_those_that_are(capsys):
    assert run("train", "--dry-run", "--metric", "val_f1") == 2
    assert "metric 'val_f1' is not measured here: choose one of val_accuracy, val_loss" in capsys.readouterr().err
    assert run("train", "resnet13_grid", "--dry-run", "--metric", "val_f1") == 0
    assert "compared by val_f1" in capsys.readouterr().out
    assert run("train", "resnet13_grid", "--dry-run") == 0
    assert "compared by val_map" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("wide_resnet_fast", "--set", "model.depth=27"), r"6n \+ 4 with n ≥ 1: choose 22 or 28"),
        (("pyramidnet_110_48", "--set", "model.alpha=-1"), "model.alpha -1 is not a number > 0: choose 48, 84 or 270"),
        (("densenet_40_12", "--set", "model.depth=41"), r"3n \+ 4 with n ≥ 1: choose 40 or 43"),
        (("resnet_110", "--set", "model.depth=1001"), "choose 998 or 1004, or model.bottleneck=true for 1001"),
        (("resnet_fast", "--set", "model.width=3"), "model.width is not an option of resnet: choose "),
    ],
)
def test_a_network_that_cannot_be_is_refused(capsys, monkeypatch, arguments, message):
    # Some are known by then that Ray is asked for, which is not to be whatever lives on this machine.
    monkeypatch.setenv("RAY_ADDRESS", "local")
    assert run("train", *arguments, "--data", "synthetic:200") == 2
    error = capsys.readouterr().err
    assert re.search(message, error)
    assert error.count("\n") == 1


def test_a_study_that_was_refused_before_it_began_is_none(capsys):
    assert run("train", "--data", "synthetic:200", "--set", "model.depth=27", "--name", "refused") == 2
    capsys.readouterr()
    assert run("final_test", "refused") == 2
    assert "'refused' is no study, trial or MLflow run" in capsys.readouterr().err


@pytest.mark.parametrize("flag", ["--data", "--set", "--space"])
def test_a_folder_of_data_is_told_by_its_full_path(capsys, tmp_path, monkeypatch, flag):
    """Workers change directory."""
    from PIL import Image

    for name in ("ant", "bee"):
        (tmp_path / "images" / name).mkdir(parents=True)
        for number in range(10):
            Image.new("RGB", (32, 32), (number, 0, 0)).save(tmp_path / "images" / name / f"{number}.png")
    monkeypatch.chdir(tmp_path)
    value = {"--data": "./images", "--set": "data.source=images", "--space": "data.source=./images,cifar100"}[flag]
    assert run("tune", "--dry-run", "--set", "batch_size=10", flag, value) == 0
    said = {"--space": f"data.source in {{{tmp_path}/images, cifar100}}"}
    assert said.get(flag, f"data.source = {tmp_path}/images\n") in capsys.readouterr().out


def test_passwords_are_not_shown(capsys, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:hunter22@mlflow:5000")
    assert run("tune", "--dry-run") == 0
    assert "tracked at http://me:***@mlflow:5000" in capsys.readouterr().out
    for flags in (
        ["--storage", "s3://A:hunter22@b"],
        ["--data", "s3://A:hunter22@b"],
        ["--teacher", "s3://A:hunter22@b"],
    ):
        assert run("tune", "--dry-run", *flags) == 2
        said = capsys.readouterr()
        assert "s3://A:***@b has keys in it" in said.err
        assert "hunter22" not in said.err + said.out
    assert run("tune", "--dry-run", "--set", "data.source=s3://A:hunter22@b") == 2
    assert "hunter22" not in capsys.readouterr().err


@pytest.mark.parametrize(("folder", "part"), [("a%20b", "%20"), ("a?b", "?")])
def test_a_storage_whose_database_mlflow_would_look_for_elsewhere_is_refused(capsys, tmp_path, folder, part):
    assert run("tune", "--dry-run", "--storage", str(tmp_path / folder)) == 2
    said = capsys.readouterr().err
    assert f"{folder}/mlflow.db has {part!r} in its path, which MLflow reads as something else: choose another" in said
    assert run("tune", "--dry-run", "--storage", str(tmp_path / folder), "--tracking-uri", "http://127.0.0.1:5000") == 0


@pytest.mark.parametrize(
    ("flags", "registers"),
    [(["--trials", "4"], True), (["--trials", "4", "--no-register"], False), (["--smoke"], False)],
)
def test_a_winner_may_become_champion_but_for_smoke_runs_and_where_the_user_says_no(
    monkeypatch, capsys, flags, registers
):
    studies = []

    def run_study(study, view, **options):
        studies.append(study)
        told = TrackingResult(True, 0, "", "", "trial 2 is models:/m-1; version 1 of wrn and its champion")
        return StudyResult(study.new_state(), "finished", tracking=told)

    monkeypatch.setattr("cifarray.engine.run.run_study", run_study)
    run("tune", "--data", "synthetic", *flags)
    assert [study.register for study in studies] == [registers]
    assert "\nmodel:   trial 2 is models:/m-1; version 1 of wrn and its champion\n" in capsys.readouterr().out


def test_a_paused_study_says_what_to_mend_and_exits_with_3(monkeypatch, capsys):
    """No trial's fault: full disks, buckets that are away, workers that cannot start."""

    def paused(study, view, **options):
        return StudyResult(study.new_state(), "paused", "/results cannot be written: make room for it")

    monkeypatch.setattr("cifarray.engine.run.run_study", paused)
    assert run("tune", "--data", "synthetic", "--trials", "4") == 3
    said = capsys.readouterr().out
    assert "paused: /results cannot be written: make room for it; 4 trials remain, the same command goes on" in said

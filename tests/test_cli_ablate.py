"""The ablation job's command line: the plan, and what is refused. Its study and table: `test_jobs`, `report`."""

import pytest

from cifarray.cli.ablate import ablate as ablate_job

pytestmark = pytest.mark.usefixtures("storage")


def ablate(*arguments):
    with pytest.raises(SystemExit) as exit_:
        ablate_job("imagenet_resnet_fast", arguments)
    return exit_.value.code


def test_ablate_is_rows_times_seeds_and_the_plan_says_what_each_row_changes(capsys):
    assert ablate("--data", "synthetic:2000", "--dry-run") == 0
    text = capsys.readouterr().out
    for line in (
        "  baseline: the recipe without any trick",
        "  large batch: baseline with batch_size = 512 (§3.1, from 256 to 1024)",
        "  linear scaling: large batch with optimizer.linear_scaling = True, optimizer.lr = 0.4 (§3.1)",
        "  distillation: n/a, give --teacher",
        "  tweak B: mixup with model.tweak = b (§4.2)",
        "  seed in {0, 1, 2, 3, 4}",
    ):
        assert line in text.splitlines()
    assert "study ablate-imagenet-resnet-fast in" in text
    assert "65 trials, compared by val_accuracy, searcher grid, scheduler none" in text  # (14 - 1) rows × 5 seeds


def test_ablate_one_at_a_time_is_a_study_of_its_own(capsys):
    arguments = ("wide_resnet_fast", "--one-at-a-time", "--seeds", "2", "--seed", "3", "--dry-run")
    assert ablate(*arguments, "--data", "synthetic:2000") == 0
    text = capsys.readouterr().out
    assert "study ablate-wide-resnet-fast-one-at-a-time in" in text
    assert "  cosine: baseline with schedule.name = cosine" in text
    assert "  tweak C: n/a, wide_resnet has no model.tweak" in text
    assert "  seed in {3, 4}" in text
    assert "18 trials" in text  # baseline, 8 tricks


def test_ablate_pins_the_recipe_before_the_tricks(capsys):
    pinned = ("batch_size=256", "optimizer.lr=0.1", "mixup=0.4", "precision=fp16")
    assert ablate("--set", *pinned, "--data", "synthetic:2000", "--dry-run") == 0
    text = capsys.readouterr().out
    assert "  large batch: baseline with batch_size = 1024" in text
    assert "optimizer.lr = 0.1\n" in text
    assert "  low precision: no bias decay with precision = fp16" in text
    assert "  mixup: label smoothing with mixup = 0.4" in text
    assert "  mixup = 0\n" in text


def test_ablate_smoke_has_all_rows_but_tiny(capsys):
    assert ablate("--smoke", "--dry-run") == 0
    text = capsys.readouterr().out
    assert "26 trials" in text
    for line in ("  batch_size = 32", "  data.limit = 400", "  epochs = 2", "  data.source = synthetic:2000"):
        assert line in text.splitlines()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--space", "mixup=0,1"], "ablate runs every row with every seed to its end"),
        (["--scheduler", "asha"], "ablate runs every row with every seed to its end"),
        (["--set", "schedule.name=cosine"], "schedule.name is what the row 'cosine' changes: leave it out of --set"),
        (["--set", "optimizer.decay=all"], "optimizer.decay is what the row 'no bias decay' changes"),
        (["--set", "schedule.warmup=0.1"], "schedule.warmup is what the row 'warm-up' changes: give --warmup"),
        (["--set", "precision=auto"], "precision auto may be fp32, which the baseline has: choose bf16 or fp16"),
        (["--set", "precision=fp32"], "precision fp32 is what the row 'no bias decay' has already"),
        (["--set", "label_smoothing=0"], "is what the row 'cosine' has already: choose another value"),
        (["--large-batch", "1"], "large-batch 1 makes no larger batch: choose a whole factor of 2 or more"),
        (["--warmup", "0"], "warmup 0 is no warm-up"),
        (["--warmup", "0.3"], "schedule.warmup 0.3 reaches past the first milestone 0.25: choose less"),
        (["--seeds", "0"], "seeds 0 is too few"),
        (
            ["--trials", "3"],
            "ablate runs every row with every seed to its end: leave out --space, --searcher, --trials",
        ),
        (["--epochs", "0"], "epochs 0 is not valid: it must be more than 0"),
        (["--limit", "0"], "data.limit 0 is not valid: it must be more than 0"),
        (["--set", "seed=7"], "seed varies here, for every row alike: give the first with --seed"),
        (["--set", "data.validation=0"], "data.validation 0 leaves nothing to compare rows by: hold some images out"),
        (["--set", "model.depth=18"], "model.depth 18 is not one of its values: choose 26, 50, 101 or 152"),
        (["--only", "warmup"], "'warmup' is no trick of the ablation: choose some of large batch"),
        (["--only", "cosine", "--set", "mixup=0.4"], "--set mixup is for the row 'mixup', which is not among the rows"),
        (["--only", "cosine", "--large-batch", "8"], "--large-batch is for the row 'large batch', which is not among"),
        (["--set", "distillation.temperature=4"], "--set distillation.temperature is for the row 'distillation'"),
        (["--set", "model.depht=26"], "model.depht is not an option of imagenet_resnet"),
        (["--workers", "3"], "batch_size 128 is not divisible by 3 workers"),
        (["imagenet_resnet_fats"], "recipe 'imagenet_resnet_fats' is not known"),
    ],
)
def test_what_cannot_be_ablated_is_one_sentence(capsys, arguments, sentence):
    assert ablate(*arguments, "--data", "synthetic:2000") == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert sentence in said
    assert said.count("\n") == 1


def test_the_order_in_which_rows_are_asked_for_is_no_other_study(capsys):
    for only in ("mixup,cosine", "cosine, mixup,,mixup"):
        assert ablate("--only", only, "--data", "synthetic:2000", "--dry-run") == 0
        assert "study ablate-imagenet-resnet-fast-cosine-mixup in" in capsys.readouterr().out

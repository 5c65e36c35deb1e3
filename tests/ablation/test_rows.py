"""The rows of an ablation: which field differs between which two, and the rates by hand."""

import pytest

from cifarray import recipes
from cifarray.ablation.rows import rows_of, unavailable
from cifarray.config import override
from cifarray.fields import flatten

NAMES = [
    "baseline",
    "large batch",
    "linear scaling",
    "warm-up",
    "zero gamma",
    "no bias decay",
    "low precision",
    "cosine",
    "label smoothing",
    "mixup",
    "distillation",
    "tweak B",
    "tweak C",
    "tweak D",
]
FIELDS = {
    "large batch": {"batch_size": 512},
    "warm-up": {"schedule.warmup": 0.1},
    "zero gamma": {"init.zero_gamma": True},
    "no bias decay": {"optimizer.decay": "weights"},
    "low precision": {"precision": "bf16"},
    "cosine": {"schedule.name": "cosine"},
    "label smoothing": {"label_smoothing": 0.1},
    "mixup": {"mixup": 0.2},
    "distillation": {"distillation.teacher": "teacher.pt"},
    "tweak B": {"model.tweak": "b"},
    "tweak C": {"model.tweak": "c"},
    "tweak D": {"model.tweak": "d"},
}
"""arXiv:1812.01187, §3.1, §3.2, §4.2, §5, around a batch size of 128."""
RECIPES = ("imagenet_resnet_fast", "wide_resnet_fast", "resnet_fast", "densenet_fast")


def ablation_of(recipe, one_at_a_time=False, pinned=(), **more):
    pinned = {"distillation.teacher": "teacher.pt", **dict(pinned)}
    base = override(recipes.get(recipe), pinned)
    return rows_of(base, unavailable(base), one_at_a_time=one_at_a_time, chosen=pinned, **more)


def differing(config, other):
    ours, theirs = flatten(config.to_dict()), flatten(other.to_dict())
    return {path: ours[path] for path in ours if ours[path] != theirs[path]}


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("one_at_a_time", [False, True])
def test_every_row_differs_from_its_comparison_row_in_its_tricks_fields_alone(recipe, one_at_a_time):
    found = ablation_of(recipe, one_at_a_time)
    assert [row.name for row in found] == NAMES
    configs = {row.name: row.config for row in found if row.config is not None}
    for row in found[1:]:
        if row.config is None:
            continue
        changed = differing(row.config, configs[row.against])
        if row.name == "linear scaling":
            assert changed.keys() == {"optimizer.linear_scaling", "optimizer.lr"}
        else:
            assert changed == FIELDS[row.name]


def test_on_top_of_each_other_every_row_is_compared_with_the_one_above():
    found = ablation_of("imagenet_resnet_fast")
    assert [row.against for row in found[1:]] == NAMES[:-1]
    last = found[-1].config
    for fields in FIELDS.values():
        for path, value in fields.items():
            assert flatten(last.to_dict())[path] == (value if path != "model.tweak" else "d")


def test_some_tricks_can_be_chosen():
    found = ablation_of("imagenet_resnet_fast", only=["cosine", "tweak D", "mixup"])
    assert [(row.name, row.against) for row in found[1:]] == [
        ("cosine", "baseline"),
        ("mixup", "cosine"),
        ("tweak D", "mixup"),
    ]


def test_alone_a_chosen_trick_brings_what_it_stands_on():
    found = ablation_of("imagenet_resnet_fast", one_at_a_time=True, only=["warm-up", "tweak D", "distillation"])
    chain = ["large batch", "linear scaling", "warm-up", "distillation", "tweak B", "tweak C", "tweak D"]
    assert [row.name for row in found] == ["baseline", *chain]


def test_an_unknown_trick_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="'warmup' is no trick of the ablation: choose some of large batch, .*warm-up"):
        ablation_of("resnet_fast", only=["warmup"])


def test_a_trick_that_is_asked_for_and_cannot_be_had_is_refused_with_the_reason():
    with pytest.raises(ValueError, match="zero gamma cannot be had here: .*ReLU"):
        ablation_of("wide_resnet_fast", only=["zero gamma"])


def test_a_row_that_cannot_be_had_is_stepped_over():
    found = {row.name: row for row in ablation_of("wide_resnet_fast")}
    assert found["zero gamma"].config is None
    assert found["no bias decay"].against == "warm-up"


def test_alone_a_trick_is_compared_with_the_baseline_or_with_what_it_stands_on():
    found = ablation_of("imagenet_resnet_fast", one_at_a_time=True)
    others = {row.name: row.against for row in found[1:] if row.against != "baseline"}
    assert others == {
        "linear scaling": "large batch",
        "warm-up": "linear scaling",
        "tweak C": "tweak B",
        "tweak D": "tweak C",
    }


@pytest.mark.parametrize(
    ("recipe", "missing"),
    [
        ("imagenet_resnet_fast", set()),
        ("wide_resnet_fast", {"zero gamma", "tweak B", "tweak C", "tweak D"}),
        ("preact_resnet_fast", {"zero gamma", "tweak B", "tweak C", "tweak D"}),
        ("resnet_fast", {"tweak B", "tweak C", "tweak D"}),
        ("linear", {"zero gamma", "tweak B", "tweak C", "tweak D"}),
    ],
)
def test_networks_have_the_tricks_that_their_blocks_allow(recipe, missing):
    """Pre-activation branches end in a convolution: there is no γ to be zero (arXiv:1603.05027, figure 4e)."""
    found = ablation_of(recipe)
    assert {row.name for row in found if row.config is None} == missing
    assert all(row.reason for row in found if row.config is None)


def test_without_a_teacher_or_decay_or_single_images_there_is_nothing_to_switch():
    base = override(recipes.get("resnet_fast"), {"optimizer.weight_decay": 0})
    assert unavailable(base)["distillation"] == "give --teacher"
    assert "optimizer.weight_decay is 0" in unavailable(base)["no bias decay"]
    assert {"mixup", "distillation"} <= unavailable(recipes.get("resnet13_grid")).keys()


@pytest.mark.parametrize("recipe", recipes.RECIPES)
def test_every_recipe_can_be_ablated(recipe):
    base = recipes.get(recipe)
    found = rows_of(base, unavailable(base))
    baseline = found[0].config
    assert (baseline.precision, baseline.optimizer.decay, baseline.schedule.warmup) == ("fp32", "all", 0)
    assert (baseline.label_smoothing, baseline.mixup, baseline.distillation.teacher) == (0, 0, None)
    assert baseline.model.options.get("tweak") in (None, "none")
    assert (baseline.schedule.name, baseline.schedule.milestones) == ("multistep", (0.25, 0.5, 0.75))
    assert (baseline.batch_size, baseline.peak_lr) == (base.batch_size, base.peak_lr)


def peaks(found):
    return {row.name: row.config.peak_lr for row in found if row.config is not None}


def test_the_rate_grows_with_the_batch_from_the_baselines_and_no_further():
    """Recipe: 0.2 at 128 images. Four times the images: 0.2 · 4 = 0.8."""
    found = ablation_of("imagenet_resnet_fast")
    scaled = next(row for row in found if row.name == "linear scaling").config
    assert scaled.optimizer.lr == pytest.approx(0.4)  # for 256 images
    rates = peaks(found)
    assert (rates["baseline"], rates["large batch"]) == pytest.approx((0.2, 0.2))
    assert (rates["linear scaling"], rates["tweak D"]) == pytest.approx((0.8, 0.8))


def test_at_the_papers_batch_the_rate_is_the_papers():
    """§3.1: 0.1 · b / 256, so 0.4 at 1024."""
    found = ablation_of("resnet_50")
    assert found[1].config.batch_size == 1024
    assert peaks(found)["linear scaling"] == pytest.approx(0.1 * 1024 / 256)
    assert peaks(ablation_of("resnet_50", large_batch=8))["linear scaling"] == pytest.approx(0.8)


def test_a_recipe_that_scales_its_rate_begins_at_the_rate_that_it_had():
    pinned = {"optimizer.linear_scaling": True, "optimizer.lr": 0.1, "batch_size": 512}
    base = override(recipes.get("resnet_fast"), pinned)
    found = rows_of(base, unavailable(base))
    rates = peaks(found)
    assert (rates["baseline"], rates["large batch"], rates["linear scaling"]) == pytest.approx((0.2, 0.2, 0.8))


def test_what_is_chosen_is_the_tricks_value_and_not_the_baselines():
    chosen = {"mixup": 0.4, "precision": "fp16", "schedule.gamma": 0.5, "distillation.temperature": 4.0}
    found = {row.name: row.config for row in ablation_of("imagenet_resnet_fast", pinned=chosen)}
    assert (found["baseline"].mixup, found["baseline"].precision) == (0, "fp32")
    assert (found["mixup"].mixup, found["low precision"].precision) == (0.4, "fp16")
    assert found["distillation"].distillation.temperature == 4
    assert {config.schedule.gamma for config in found.values()} == {0.5}


def test_a_value_that_the_baseline_has_already_is_refused():
    with pytest.raises(ValueError, match=r"mixup 0.* is what the row 'label smoothing' has already: choose another"):
        ablation_of("imagenet_resnet_fast", pinned={"mixup": 0.0})

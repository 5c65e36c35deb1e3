"""The comparison's rows, and when a gap to a published figure may be shown."""

import pytest
from comparisons import cells, state_of

from cifarray import recipes
from cifarray.config import TrainConfig
from cifarray.recipes import RECIPES
from cifarray.report.comparison import comparison, gap, rows
from cifarray.study.trial_record import Metric

WHOLE = {"data.source": "cifar10", "data.validation": 0}


def test_recipes_rank_by_the_mean_over_their_seeds():
    state = state_of({"resnet_fast": [0.5, 0.6], "densenet_fast": [0.7, 0.5], "linear": [0.3, 0.3]})
    found = rows(state, Metric())
    assert [row.name for row in found] == ["densenet_fast", "resnet_fast", "linear"]
    assert found[0].mean == pytest.approx(0.6)


def test_a_row_has_mean_and_deviation_of_a_sample():
    table = comparison(state_of({"resnet_fast": [0.5, 0.6, 0.7]}), Metric())
    assert cells(table, "val accuracy") == ["60.00 ± 10.00 %"]
    assert cells(table, "n") == ["3"]
    assert cells(table, "time") == ["1:00"]


def test_a_recipe_that_failed_says_so_and_comes_last():
    state = state_of({"resnet_fast": [0.5]}, outcome="diverged")
    assert cells(comparison(state, Metric()), "val accuracy") == ["1 diverged"]


def gap_of(name, values, metric="test_accuracy", **pinned):
    state = state_of({name: values}, test=True, **pinned)
    return gap(RECIPES[name], rows(state, Metric(metric))[0], Metric(metric))


def test_a_gap_is_our_test_error_less_the_published_one():
    """arXiv:1605.07146: 4.00 % on the test images, trained on all 50,000."""
    assert gap_of("wide_resnet_28_10", [0.955, 0.965], **WHOLE) == "+0.00"
    assert gap_of("wide_resnet_28_10", [0.950], **WHOLE) == "+1.00"


def test_a_figure_on_45000_images_has_a_gap_where_a_tenth_is_held_out():
    """arXiv:1512.03385: 6.43 %, with 5,000 images held out."""
    assert gap_of("resnet_110", [0.9347], **{"data.source": "cifar10"}) == "+0.10"


@pytest.mark.parametrize(
    ("name", "metric", "pinned"),
    [
        ("wide_resnet_28_10", "val_accuracy", WHOLE),  # another split
        ("wide_resnet_28_10", "test_accuracy", {"data.source": "cifar10"}),  # 45,000 images
        ("wide_resnet_28_10", "test_accuracy", WHOLE | {"data.limit": 100}),
        ("wide_resnet_28_10", "test_accuracy", WHOLE | {"data.source": "somewhere"}),  # perhaps other images
        ("wide_resnet_28_10", "test_accuracy", WHOLE | {"epochs": 5}),
        ("resnet_110", "test_accuracy", WHOLE),  # published on 45,000
        ("alexnet", "test_accuracy", WHOLE),  # on how many images is not stated
        ("alexnet", "test_accuracy", WHOLE | {"data.limit": 100}),
        ("wide_resnet_28_10", "test_accuracy", WHOLE | {"optimizer.lr": 0.2}),  # another recipe
        ("wide_resnet_28_10", "test_accuracy", WHOLE | {"data.crop_padding": 0}),
        ("resnet_50_d", "test_accuracy", WHOLE),  # published on ImageNet
        ("resnet_fast", "test_accuracy", WHOLE),  # nothing published
    ],
)
def test_there_is_no_gap_between_different_things(name, metric, pinned):
    assert gap_of(name, [0.9], metric, **pinned) == "–"


def test_a_config_may_be_compared_that_is_no_recipe():
    configs = {"mine": TrainConfig(), "resnet_32": recipes.get("resnet_32")}
    state = state_of({"mine": [0.6], "resnet_32": [0.5]}, configs=configs)
    assert cells(comparison(state, Metric()), "published error")[0] == "–"
    alone = comparison(state_of({"mine": [0.5]}, configs={"mine": TrainConfig()}), Metric())
    assert "published error" not in [column.header for column in alone.columns]

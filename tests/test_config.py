"""The train config: what it accepts, how it is varied, and the way to a dict and back."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from cifarray.config import DataConfig, OptimizerConfig, ScheduleConfig, TrainConfig, override
from cifarray.fields import flatten


def test_a_config_comes_back_from_json_as_it_was() -> None:
    config = override(
        TrainConfig(),
        {"model.depth": 28, "schedule.milestones": (0.1, 0.5), "data.limit": 1000, "optimizer.betas": (0.8, 0.99)},
    )
    assert TrainConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_a_config_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        TrainConfig().epochs = 3  # type: ignore[misc]
    with pytest.raises(ValidationError):
        TrainConfig().optimizer.lr = 3  # type: ignore[misc]


def test_override_changes_the_named_fields_alone() -> None:
    before = TrainConfig()
    after = override(before, {"optimizer.lr": 0.2, "model.widen_factor": 8, "epochs": 3})
    changed = {
        path: value for path, value in flatten(after.to_dict()).items() if flatten(before.to_dict())[path] != value
    }
    assert changed == {"optimizer.lr": 0.2, "model.widen_factor": 8, "epochs": 3}
    assert before == TrainConfig()


def test_override_takes_an_option_of_the_model_that_the_config_does_not_have_yet() -> None:
    """Which options there are is for the network's builder to say."""
    assert override(TrainConfig(), {"model.variant": "post"}).model.options["variant"] == "post"


@pytest.mark.parametrize(
    ("path", "remedy"),
    [
        # By the last part, its initials, its letters; by the whole path; else what the part has.
        ("lr", r"did you mean optimizer\.lr\?$"),
        ("optimizer.learning_rate", r"did you mean optimizer\.lr\?$"),
        ("optimizer.weigth_decay", r"did you mean optimizer\.weight_decay\?$"),
        ("optimiser.lr", r"did you mean optimizer\.lr\?$"),
        ("schedul.name", r"did you mean model\.name or optimizer\.name or schedule\.name\?$"),
        ("epoch", r"did you mean epochs\?$"),
        ("optimizer.rate", r"choose one of optimizer\.name, optimizer\.lr, .*optimizer\.betas$"),
        ("epochs.first", "--dry-run shows all fields, such as optimizer.lr or epochs$"),
        ("model.width.more", r"choose one of model\.name, model\.depth, model\.widen_factor, model\.dropout$"),
        ("", "--dry-run shows all fields"),
    ],
)
def test_override_refuses_a_path_that_is_no_field_with_those_that_may_be_meant(path: str, remedy: str) -> None:
    with pytest.raises(ValueError, match=f"^{path} is not a field of the train config: {remedy}"):
        override(TrainConfig(), {path: 1})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"epochs": 0}, "epochs 0 is not valid"),
        ({"batch_size": -1}, "batch_size -1 is not valid"),
        ({"optimizer.lr": 0.0}, "optimizer.lr 0.0 is not valid"),
        ({"optimizer.lr": float("inf")}, "optimizer.lr inf is not valid"),
        ({"optimizer.lr": float("nan")}, "optimizer.lr nan is not valid"),
        ({"optimizer.name": "lion"}, "optimizer.name 'lion' is not valid"),
        ({"optimizer.momentum": 1.0}, "optimizer.momentum 1.0 is not valid"),
        ({"optimizer.momentum": 0.0}, "optimizer.nesterov needs a momentum above 0"),
        ({"schedule.name": "steps"}, "schedule.name 'steps' is not valid"),
        ({"schedule.warmup": 1.0}, "schedule.warmup 1.0 is not valid"),
        ({"schedule.milestones": (0.6, 0.3)}, "must rise"),
        ({"schedule.name": "multistep", "schedule.warmup": 0.3}, "reaches past the first milestone 0.3"),
        ({"precision": "fp8"}, "precision 'fp8' is not valid"),
        ({"label_smoothing": 1.0}, "label_smoothing 1.0 is not valid"),
        ({"clip_norm": 0.0}, "clip_norm 0.0 is not valid"),
        ({"seed": -1}, "seed -1 is not valid"),
        ({"data.validation": 1.5}, "data.validation 1.5 is neither a fraction nor a number of images"),
        ({"data.padding_mode": "edge"}, "data.padding_mode 'edge' is not valid"),
        ({"data.limit": 0}, "data.limit 0 is not valid"),
    ],
)
def test_a_value_that_breaks_a_rule_is_refused_with_its_field(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        override(TrainConfig(), values)


def test_several_wrong_fields_are_all_named() -> None:
    with pytest.raises(ValueError, match=r"epochs 0 .*; batch_size 0 "):
        override(TrainConfig(), {"epochs": 0, "batch_size": 0})


@pytest.mark.parametrize("part", [DataConfig, OptimizerConfig, ScheduleConfig, TrainConfig])
def test_a_field_that_does_not_exist_is_refused(part: type) -> None:
    with pytest.raises(ValidationError, match="extra_forbidden"):
        part(nonsense=1)


def test_the_words_of_a_config_are_not_python_errors() -> None:
    with pytest.raises(
        ValueError, match="^nonsense is not a field of the train config: remove it or correct its name$"
    ):
        TrainConfig.from_dict({"nonsense": 1})


def test_model_options_are_open_and_handed_to_the_builder() -> None:
    config = TrainConfig.from_dict({"model": {"name": "wide_resnet", "depth": 28, "anything": 1}})
    assert config.model.options == {"depth": 28, "anything": 1}


def test_flatten_joins_the_names_by_dots() -> None:
    assert flatten({"a": {"b": 1, "c": {"d": 2}}, "e": (3,)}) == {"a.b": 1, "a.c.d": 2, "e": (3,)}


def test_a_part_of_the_config_is_no_field_to_be_set() -> None:
    with pytest.raises(ValueError, match=r"^optimizer is not one field but several: name one, such as optimizer\.name"):
        override(TrainConfig(), {"optimizer": 1})

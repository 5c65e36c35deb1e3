"""What `build` and `measure` refuse, and in which words."""

from typing import Any

import pytest
import torch

from cifarray.models import build, measure

WRN = {"depth": 10, "widen_factor": 1}


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("wide_resnett", WRN, "model.name 'wide_resnett' is not known: choose wide_resnet"),
        (
            "wide_resnet",
            WRN | {"width": 2},
            r"is not an option of wide_resnet: did you mean widen_factor\?",
        ),
        ("wide_resnet", WRN | {"widen_facter": 2}, r"did you mean widen_factor\? \(or depth, dropout, variant\)"),
        ("wide_resnet", {"depth": 10}, "wide_resnet needs model.widen_factor"),
        ("wide_resnet", WRN | {"depth": 27}, r"model.depth 27 is not 6n \+ 4 with n ≥ 1: choose 22 or 28"),
        ("wide_resnet", WRN | {"depth": 29}, "choose 28 or 34"),
        ("wide_resnet", WRN | {"depth": 4}, "choose 10 or 16"),
        ("wide_resnet", WRN | {"depth": "28"}, "model.depth '28'"),
        ("wide_resnet", WRN | {"widen_factor": 0}, "model.widen_factor 0 is not a whole number ≥ 1"),
        ("wide_resnet", WRN | {"widen_factor": 1.5}, "model.widen_factor 1.5"),
        ("wide_resnet", WRN | {"dropout": 1.0}, r"model.dropout 1.0 is not in \[0, 1\)"),
    ],
)
def test_what_cannot_be_built_is_refused_by_a_sentence(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(name, **options)
    with pytest.raises(ValueError, match=message):
        measure(name, 10, 32, options)


def test_the_same_generator_state_gives_the_same_weights() -> None:
    weights = []
    for _ in range(2):
        torch.manual_seed(3)
        weights.append(build("wide_resnet", **WRN).state_dict())
    assert all(weights[0][name].equal(weights[1][name]) for name in weights[0])


def test_measuring_leaves_the_random_generator_alone() -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    measure("wide_resnet", 10, 32, WRN)
    assert torch.get_rng_state().equal(before)

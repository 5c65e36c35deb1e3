"""What is known of a family without torch is what its builder says."""

import inspect
import subprocess
import sys
from importlib import import_module

import pytest
from zoo import SMALL

from cifarray.models.branches import branches_end_in_norm
from cifarray.models.families import FAMILIES, check_options, options_of, written_in
from cifarray.models.initial_weights import initialise
from cifarray.models.networks import sketch


@pytest.mark.parametrize("name", FAMILIES)
def test_the_options_are_those_of_the_builder(name: str) -> None:
    family = FAMILIES[name]
    assert isinstance(family, str)
    file, function = family.split(".")
    builder = getattr(import_module(f"cifarray.models.{file}"), function)
    num_classes, *options = inspect.signature(builder).parameters.values()
    assert num_classes.name == "num_classes"
    assert options_of(name) == {option.name: option.default for option in options}
    written = written_in(name)
    assert written is not None
    assert written.kind == inspect.signature(builder).return_annotation.__name__


@pytest.mark.parametrize("name", SMALL)
def test_whether_branches_end_in_a_norm_is_what_the_network_says(name: str) -> None:
    options = dict(SMALL[name])
    family = options.pop("name")
    try:
        initialise(sketch(family, 10, options), "family", zero_gamma=True)
        ends_in_norm = True
    except ValueError:
        ends_in_norm = False
    assert branches_end_in_norm(family, options) == ends_in_norm


@pytest.mark.parametrize("block", ["a", "b", "c", "d"])
def test_pyramids_blocks_differ_in_it(block: str) -> None:
    options = {"depth": 11, "alpha": 4, "bottleneck": True, "block": block}
    if branches_end_in_norm("pyramidnet", options):
        initialise(sketch("pyramidnet", 10, options), "family", zero_gamma=True)
    else:
        with pytest.raises(ValueError, match="end in a convolution"):
            initialise(sketch("pyramidnet", 10, options), "family", zero_gamma=True)


def test_options_are_checked_without_torch() -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from cifarray.models import check_init, check_options, check_stochastic_depth\n"
        "check_options('wide_resnet', {'depth': 16, 'widen_factor': 4})\n"
        "check_init('imagenet_resnet', {'depth': 50}, 'family', True)\n"
        "check_stochastic_depth('preact_resnet', {'depth': 20}, 0.2)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("wide_resnets", {}, "model.name 'wide_resnets' is not known: choose wide_resnet or "),
        (
            "wide_resnet",
            {"depth": 16, "widht": 2},
            r"model.widht is not an option of wide_resnet: did you mean widen_factor\? \(or depth, dropout, variant\)$",
        ),
        ("stochastic_depth_resnet", {"rate": 0.5}, r"did you mean death_rate\? \(or depth, mode\)$"),
        ("linear", {"sdie": 16}, r"model.sdie is not an option of linear: did you mean side\?$"),
        ("resnet", {"width": 2}, "is not an option of resnet: choose depth, bottleneck, shortcut, norm, variant$"),
        ("wide_resnet", {"depth": 16}, "wide_resnet needs model.widen_factor: give it a value"),
    ],
)
def test_what_is_no_option_or_missing_is_refused(name: str, options: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_options(name, options)

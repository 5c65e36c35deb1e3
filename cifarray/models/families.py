"""The families of networks by name, as far as they are known without torch: a study's plan has no second for that.

Here: where each is built, its options, whether its branches end in a norm. Not here: building (`networks`), the values
of options, which their builder checks.
"""

import ast
import difflib
import inspect
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from cifarray.models.depths import check_depth_of

Builder = Callable[..., Any]

FAMILIES: dict[str, str | Builder] = {
    "linear": "linear.linear",
    "alexnet": "alexnet.alexnet",
    "resnet13": "resnet13.resnet13",
    "plain_cnn": "resnet.plain_cnn",
    "resnet": "resnet.resnet",
    "preact_resnet": "preact_resnet.preact_resnet",
    "stochastic_depth_resnet": "stochastic_depth_resnet.stochastic_depth_resnet",
    "wide_resnet": "wide_resnet.wide_resnet",
    "densenet": "densenet.densenet",
    "pyramidnet": "pyramidnet.pyramidnet",
    "imagenet_resnet": "imagenet_resnet.imagenet_resnet",
    "torchvision": "torchvision_network.torchvision_network",
}
"""Builders by name: a file here and the function in it, or the function itself. A builder takes `num_classes` first and
its options by keyword; it raises ValueError if the options make no network."""

NORM_ENDED = ("resnet", "resnet13", "stochastic_depth_resnet", "imagenet_resnet")
"""Families whose residual branches all end in a norm."""
NORM_ENDED_PYRAMIDS = ("c", "d")
"""`model.block` of the pyramids whose branches do."""


def check_options(name: str, options: Mapping[str, Any]) -> None:
    """Whether there is such a family with such options, and such a depth; other values are the builder's to check.

    Raises ValueError for an unknown family or option, a missing option, or a depth that is none of the family's.
    """
    if name not in FAMILIES:
        raise ValueError(f"model.name {name!r} is not known: choose {_choices(name, FAMILIES)}")
    has_default = options_of(name)
    for option in options:
        if option not in has_default:
            raise ValueError(f"model.{option} is not an option of {name}: choose {_choices(option, has_default)}")
    for option in has_default:
        if not has_default[option] and option not in options:
            raise ValueError(f"{name} needs model.{option}: give it a value")
    check_depth_of(name, options)


def options_of(name: str) -> dict[str, bool]:
    """The options of a family, and whether each has a default."""
    builder = FAMILIES[name]
    if isinstance(builder, str):
        return _written_options(builder)
    parameters = list(inspect.signature(builder).parameters.values())[1:]
    return {parameter.name: parameter.default is not parameter.empty for parameter in parameters}


def branches_end_in_norm(name: str, options: Mapping[str, Any]) -> bool:
    """Whether that is certain without building the network."""
    return name in NORM_ENDED or (name == "pyramidnet" and options.get("block", "d") in NORM_ENDED_PYRAMIDS)


@cache
def _written_options(builder: str) -> dict[str, bool]:
    """From the builder's source, since importing it takes torch along, and seconds."""
    module, function = builder.split(".")
    source = (Path(__file__).parent / f"{module}.py").read_text()
    definitions = [node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)]
    arguments = next(node.args for node in definitions if node.name == function)
    return {
        option.arg: default is not None
        for option, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    }


def _choices(value: str, names: Mapping[str, Any]) -> str:
    """The names as part of a sentence, a similar one first."""
    similar = difflib.get_close_matches(value, names, n=1)
    rest = [name for name in names if name not in similar]
    return " or ".join([*similar, ", ".join(rest)] if similar and rest else [", ".join([*similar, *rest])])

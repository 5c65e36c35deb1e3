"""The families of networks by name, as far as they are known without torch: a study's plan has no second for that.

Here: where each is built, its options and their defaults. Not here: building (`networks`), what the values of options
must be (`rules`).
"""

import ast
import difflib
import inspect
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from cifarray.models import rules

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
its options by keyword; it raises ValueError if the options make no network. Of the file's function, `rules` has the
namesake."""

REQUIRED = inspect.Parameter.empty
"""In place of the default of an option that has none."""


class Written(NamedTuple):
    """What a builder's source says of it."""

    options: dict[str, Any]
    """With their defaults, or `REQUIRED`."""
    kind: str
    """Name of the network's class."""


def check_options(name: str, options: Mapping[str, Any]) -> None:
    """Whether there is such a family, and whether such options make a network of it; torch is not imported.

    Raises ValueError for an unknown family or option, a missing option, or values that break the family's rules; those
    of a family that is a function are left to it.
    """
    if name not in FAMILIES:
        raise ValueError(f"model.name {name!r} is not known: choose {_choices(name, FAMILIES)}")
    defaults = options_of(name)
    for option in options:
        if option not in defaults:
            raise ValueError(f"model.{option} is not an option of {name}: {_which_was_meant(option, defaults)}")
    for option, default in defaults.items():
        if default is REQUIRED and option not in options:
            raise ValueError(f"{name} needs model.{option}: give it a value")
    builder = FAMILIES[name]
    if isinstance(builder, str):
        getattr(rules, builder.partition(".")[2])(**{**defaults, **options})


def options_of(name: str) -> Mapping[str, Any]:
    """The options of a family with their defaults; `REQUIRED` for those that have none."""
    builder = FAMILIES[name]
    if isinstance(builder, str):
        return _read(builder).options
    parameters = list(inspect.signature(builder).parameters.values())[1:]
    return {parameter.name: parameter.default for parameter in parameters}


def written_in(name: str) -> Written | None:
    """What is known of a family by its source; None for one that is a function."""
    builder = FAMILIES[name]
    return _read(builder) if isinstance(builder, str) else None


@cache
def _read(builder: str) -> Written:
    """From the builder's source, since importing it takes torch along, and seconds."""
    module, function = builder.split(".")
    source = (Path(__file__).parent / f"{module}.py").read_text()
    definitions = [node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)]
    node = next(node for node in definitions if node.name == function)
    options = {
        option.arg: REQUIRED if default is None else ast.literal_eval(default)
        for option, default in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
    }
    assert isinstance(node.returns, ast.Name), f"{builder} does not say which class it returns"
    return Written(options, node.returns.id)


def _choices(value: str, names: Mapping[str, Any]) -> str:
    """The names as part of a sentence, a similar one first."""
    similar = difflib.get_close_matches(value, names, n=1)
    rest = [name for name in names if name not in similar]
    return " or ".join([*similar, ", ".join(rest)] if similar and rest else [", ".join([*similar, *rest])])


def _which_was_meant(word: str, options: Mapping[str, Any]) -> str:
    """Which option was meant by a name that is none, as the rest of a sentence."""
    similar = difflib.get_close_matches(word, options, n=1, cutoff=0.7)
    if not similar:
        # `width` or `widht` for widen_factor, `rate` for death_rate.
        parts = {part: option for option in options if "_" in option for part in option.split("_")}
        similar = [parts[part] for part in difflib.get_close_matches(word, parts, n=1, cutoff=0.6)]
    if not similar:
        return f"choose {', '.join(options)}" if options else "it has none"
    rest = [option for option in options if option not in similar]
    return f"did you mean {similar[0]}?" + (f" (or {', '.join(rest)})" if rest else "")

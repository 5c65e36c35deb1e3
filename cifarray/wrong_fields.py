"""What is said of a field that a train config does not have, or of a value that breaks a field's rule.

Not here: the fields and their rules (`cifarray.config`).
"""

import difflib
from collections.abc import Collection, Mapping
from typing import Any

from pydantic import ValidationError

_BOUNDS = {
    "greater_than": "it must be more than {gt:g}",
    "greater_than_equal": "it must be {ge:g} or more",
    "less_than": "it must be less than {lt:g}",
    "less_than_equal": "it must be {le:g} or less",
    "finite_number": "it must be a finite number",
    "literal_error": "choose {expected}",
}
_KINDS = {"int": "it must be a whole number", "float": "it must be a number", "bool": "it must be true or false"}


def which_was_meant(path: str, fields: Collection[str]) -> str:
    """Which field was meant by a name that is none, as the rest of a sentence."""
    part, _, rest = path.partition(".")
    word = path.rpartition(".")[2].lower()
    leaves = {field: field.rpartition(".")[2] for field in fields}
    below = {field: leaf for field, leaf in leaves.items() if rest and field.startswith(f"{part}.")}
    similar = [field for field, leaf in (below or leaves).items() if leaf in (word, _initials(word))]
    similar = similar or _similar(word, below or leaves)
    if not similar and not below:
        similar = difflib.get_close_matches(path.lower(), fields, n=2, cutoff=0.75)
    if similar:
        return f"did you mean {' or '.join(similar[:3])}?"
    if below:
        return f"choose one of {', '.join(below)}"
    return "--dry-run shows all fields, such as optimizer.lr or epochs"


def _similar(word: str, leaves: Mapping[str, str]) -> list[str]:
    """Fields whose last part is like `word`."""
    near = difflib.get_close_matches(word, set(leaves.values()), n=2, cutoff=0.7)
    return [field for leaf in near for field in leaves if leaves[field] == leaf]


def _initials(word: str) -> str:
    """`lr` of learning_rate; empty for a single word."""
    return "".join(part[0] for part in word.split("_") if part) if "_" in word else ""


def _rule(kind: str, context: Mapping[str, Any], message: str) -> str:
    """What pydantic finds wrong, as the rest of a sentence."""
    if kind in _BOUNDS:
        return _BOUNDS[kind].format(**context)
    return _KINDS.get(kind.partition("_")[0], f"{message[0].lower()}{message[1:]}")


def explain(error: ValidationError) -> str:
    """One sentence per wrong field: the field, the value, the rule."""
    lines = []
    for item in error.errors():
        path = ".".join(str(part) for part in item["loc"])
        message = item["msg"].removeprefix("Value error, ")
        if item["type"] == "value_error" or not path:
            lines.append(message)
        elif item["type"] == "extra_forbidden":
            lines.append(f"{path} is not a field of the train config: remove it or correct its name")
        else:
            lines.append(f"{path} {item['input']!r} is not valid: {_rule(item['type'], item.get('ctx', {}), message)}")
    return "; ".join(lines)

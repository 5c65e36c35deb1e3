"""Fields by dotted path: of any description that is a tree of dicts, as a train config or a study is when written.

Not here: what the fields of a train config are and how they are changed (`cifarray.config`).
"""

from collections.abc import Mapping
from typing import Any


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """`{"optimizer": {"lr": 0.1}}` as `{"optimizer.lr": 0.1}`."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat.update(flatten(value, f"{prefix}{name}."))
        else:
            flat[f"{prefix}{name}"] = value
    return flat


def as_text(value: Any) -> str:
    """A field's value for reading: numbers with six digits, the parts of a list with commas between them."""
    match value:
        case None:
            return "none"
        case bool():
            return str(value).lower()
        case float():
            return f"{value:.6g}"
        case list() | tuple():
            return ",".join(map(as_text, value)) or "none"
    return str(value)


def difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """What differs between two descriptions, one `field: old → new` each."""
    before, after = flatten(old), flatten(new)
    return [
        f"{path}: {before.get(path, 'not there')} → {after.get(path, 'not there')}"
        for path in sorted(before.keys() | after.keys())
        if before.get(path) != after.get(path)
    ]

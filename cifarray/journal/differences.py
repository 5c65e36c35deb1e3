"""How a study that is there differs from one that is asked for: a short table, and the name that would be free.

Not here: whether it may go on all the same (`folder`).
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from cifarray.fields import as_text, flatten
from cifarray.space import domains as domains_

SHOWN = 8
WIDEST = 24
"""Characters of a value; with a field's name the table fits 80 columns."""
ABSENT = "–"
SHORT = {"epochs": "epochs", "data.limit": "limit", "batch_size": "batch", "seed": "seed"}
"""Fields whose value makes a good end of a name."""

Difference = tuple[str, str, str]
"""A field, its value there, and the value that is asked for."""


def differences_of(there: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[Difference]:
    """Of two identities (`Study.identity`), what differs, by field."""
    before, after = _fields(there), _fields(wanted)
    nothing = (None, ABSENT)
    changed = {
        field: (before.get(field, nothing), after.get(field, nothing))
        for field in dict.fromkeys([*before, *after])
        if before.get(field) != after.get(field)
    }
    return [
        # What differs in the eighth digit is a difference too, and is not shown as 0.1 and 0.1.
        (field, *((was, now) if was != now else (json.dumps(exact_was), json.dumps(exact_now))))
        for field, ((exact_was, was), (exact_now, now)) in changed.items()
    ]


def table(rows: Iterable[Difference]) -> str:
    """Lines of at most 80 characters, two spaces in front."""
    rows = list(rows)
    shown = [("field", "there", "asked for"), *(tuple(map(_clipped, row)) for row in rows[:SHOWN])]
    widths = [max(len(row[column]) for row in shown) for column in range(2)]
    lines = [f"  {row[0]:<{widths[0]}}  {row[1]:<{widths[1]}}  {row[2]}".rstrip() for row in shown]
    more = len(rows) - SHOWN
    return "\n".join([*lines, *([f"  and {more} more"] if more > 0 else [])])


def free_name(folder: Path, rows: Iterable[Difference]) -> str:
    """A name for the study that is asked for, after what sets it apart; `folder` is the one that has its name."""
    ends = [f"{SHORT[field]}-{value}" for field, _, value in rows if field in SHORT and value.isalnum()]
    name = "-".join([folder.name, *ends[:2]]) if ends else f"{folder.name}-2"
    free, number = name, 2
    while folder.with_name(free).exists():
        number += 1
        free = f"{name}-{number}" if ends else f"{folder.name}-{number}"
    return free


def _fields(identity: Mapping[str, Any]) -> dict[str, tuple[Any, str]]:
    """Each field's value, or its domain where it varies: exactly, and as it is shown."""
    configs = {
        "": identity["config"],
        **{f"{name}: ": config for name, config in (identity.get("recipes") or {}).items()},
    }
    found = {
        prefix + path: (value, as_text(value))
        for prefix, config in configs.items()
        for path, value in flatten(config).items()
    }
    rest = {name: value for name, value in identity.items() if name not in ("config", "recipes", "domains")}
    seed = rest.pop("seed", None)
    # The seed of the search is that of the training runs, unless those vary.
    if seed != identity["config"].get("seed"):
        found["seed of the search"] = (seed, as_text(seed))
    for path, domain in identity["domains"].items():
        found[path] = (domain, str(domains_.from_dict(dict(domain))))
    found |= {name.removesuffix(".name"): (value, as_text(value)) for name, value in flatten(rest).items()}
    return found


def _clipped(text: str) -> str:
    return text if len(text) <= WIDEST else f"{text[: WIDEST - 1]}…"

"""How an event is written in a journal: one JSON object a line, and back.

    {"kind": "outcome", "time": 1764098580.1, "trial": 3, "outcome": "stopped", "message": "5th of 9 after epoch 3 …"}

The first line says the journal's `format`. A field that is missing has its default, so that older journals are read; a
field or a format that is not known comes from a newer cifarray and is refused, since what it means would be lost. Kinds
that are not known only add to what happened, and are passed over. Not here: what events there are
(`cifarray.study.events`), the file (`journal`).
"""

import json
import logging
from dataclasses import MISSING, fields
from functools import cache
from typing import Any

from cifarray.errors import StudyError
from cifarray.study.events import KINDS, Event, StudyStarted

FORMAT = 4
"""Of the journals that are written here. 1 had neither reasons nor a format, 2 no pauses, 3 no budgets of time."""

log = logging.getLogger(__name__)


class JournalError(StudyError):
    """A journal that cannot be read."""


def to_json(event: Event) -> str:
    """One line, without its end. Raises ValueError for a number that JSON has not (NaN, infinity)."""
    return json.dumps({"kind": event.kind, **vars(event)}, allow_nan=False)


def from_json(line: str | bytes) -> Event | None:
    """The event of a line; None for a kind that is not known, which is warned of once.

    Raises ValueError for what is no event, JournalError for one of a newer format.
    """
    values = json.loads(line)
    if not isinstance(values, dict) or "kind" not in values:
        raise ValueError(f"{line[:80]!r} is no event")
    kind = values.pop("kind")
    if kind not in KINDS:
        _warn_of(kind)
        return None
    required, allowed = _fields(kind)
    newer = kind == StudyStarted.kind and values.get("format", 1) > FORMAT
    if newer or not values.keys() <= allowed:
        unknown = sorted(values.keys() - allowed)
        what = f"format {values['format']}" if newer else f"the field {unknown[0]!r} of {kind!r}"
        raise JournalError(
            f"the journal was written by a newer cifarray ({what}, this one knows format {FORMAT}): bring cifarray up "
            "to date, or choose another --name"
        )
    if not values.keys() >= required:
        raise ValueError(f"an event of kind {kind!r} lacks {', '.join(sorted(required - values.keys()))}")
    for name in ("artifacts", "nodes"):
        if name in values:
            values[name] = tuple(values[name])
    return KINDS[kind](**values)


@cache
def _fields(kind: str) -> tuple[frozenset[str], frozenset[str]]:
    """Names of the fields that an event of this kind must have, and of all that it may have."""
    all_fields = fields(KINDS[kind])
    required = (each.name for each in all_fields if each.default is MISSING and each.default_factory is MISSING)
    return frozenset(required), frozenset(each.name for each in all_fields)


@cache
def _warn_of(kind: Any) -> None:
    log.warning("events of kind %r are not known to this cifarray and are passed over", kind)

"""Who goes on after an epoch, and what a free worker group gets: one file a scheduler, found by name.

Not here: what is tried next (`cifarray.study.samplers`).
"""

from collections.abc import Mapping
from typing import Any

from cifarray.study.schedulers.asha import Asha
from cifarray.study.schedulers.freeze_thaw import FreezeThaw
from cifarray.study.schedulers.promote import Promote
from cifarray.study.schedulers.run_all import RunAll
from cifarray.study.schedulers.scheduler import Assignment, Scheduler, StudyView

__all__ = [
    "SCHEDULERS",
    "Asha",
    "Assignment",
    "FreezeThaw",
    "Promote",
    "RunAll",
    "Scheduler",
    "StudyView",
    "from_settings",
    "grace_for",
]

SCHEDULERS: dict[str, type[FreezeThaw] | type[Promote] | type[Asha] | type[RunAll]] = {
    kind.name: kind for kind in (FreezeThaw, Promote, Asha, RunAll)
}


def grace_for(epochs: int) -> int:
    """Epochs before the first rung, for trials of `epochs` epochs: there are four rungs at most, since very early ones
    favour what learns fast over what learns well."""
    return max(1, epochs // 27)


def from_settings(settings: Mapping[str, Any] | None) -> Scheduler:
    """The inverse of `Scheduler.settings`. Raises ValueError for a name that is not known."""
    values = dict(settings or {"name": RunAll.name})
    name = values.pop("name")
    if name not in SCHEDULERS:
        raise ValueError(f"scheduler {name!r} is not known: choose one of {', '.join(SCHEDULERS)}")
    return SCHEDULERS[name](**values)

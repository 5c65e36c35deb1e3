"""What a driver leaves behind. Not here: the driver (`run`), which brings Ray along."""

from dataclasses import dataclass, field
from typing import Literal

from cifarray.study.state import StudyState
from cifarray.tracking import TrackingResult


@dataclass(frozen=True)
class StudyResult:
    """What a driver leaves behind."""

    state: StudyState
    reason: Literal["finished", "interrupted", "paused"]
    """An error is raised instead."""
    message: str = ""
    """Why it is paused, and what helps."""
    tracking: TrackingResult | None = None
    reports: list[str] = field(default_factory=list)

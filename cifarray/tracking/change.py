"""What one MLflow run has yet to hear of: plain data. Not here: what makes it (`changes`), sending it (`mirror`)."""

from dataclasses import dataclass, field
from typing import NamedTuple

from cifarray.tracking.summary import DataSet


class Point(NamedTuple):
    """One value of one metric; `time` in milliseconds since 1970."""

    name: str
    value: float
    time: int
    step: int


@dataclass
class Change:
    """What one MLflow run has yet to hear of. `time` (milliseconds) is when it began."""

    time: int
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str | None] = field(default_factory=dict)
    """None: the tag is removed."""
    points: list[Point] = field(default_factory=list)
    artifacts: list[str] = field(default_factory=list)
    data_set: DataSet | None = None
    status: str | None = None
    status_time: int = 0

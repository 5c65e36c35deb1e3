"""`--budget`: a search that ends with its worker-hours, whatever its number of trials.

Not here: what the budget does (`cifarray.study.time_budget`), what is said of it (`cifarray.report.budget`).
"""

import argparse
from collections.abc import Callable
from typing import Any, Protocol

from cifarray.cli.parser import duration
from cifarray.study.time_budget import UNLIMITED, TimeBudget

DEFAULT_TRIALS = 20


class Arguments(Protocol):
    """A parser, or a group of one."""

    @property
    def add_argument(self) -> Callable[..., Any]: ...


def add_budget(to: Arguments) -> None:
    """Of jobs that search."""
    to.add_argument(
        "--budget",
        type=duration,
        metavar="TIME",
        help="worker-hours that trials may take in all: 90m, 4h or 2d. When they are spent what runs pauses, and a "
        "larger budget goes on; without --trials points are drawn until then",
    )


def how_much(flags: argparse.Namespace, workers: int) -> tuple[int, TimeBudget | None]:
    """How many trials, and how long they may take in all. workers: of each. Raises ValueError for no time."""
    if flags.budget is None:
        return DEFAULT_TRIALS if flags.trials is None else flags.trials, None
    return UNLIMITED if flags.trials is None else flags.trials, TimeBudget(flags.budget, workers)

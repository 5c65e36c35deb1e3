"""`--audit`: how much of what a search gives up runs to its end all the same.

Not here: what the audit does (`cifarray.study.audit`), what is said of it (`cifarray.report.audit`).
"""

import argparse

from cifarray.cli.budget import Arguments
from cifarray.cli.parser import number
from cifarray.study.audit import DEFAULT_SHARE, LEAST, Audit

NO_AUDIT = 0.0
"""Of jobs that are no search."""


def add_audit(to: Arguments) -> None:
    """Of jobs that search."""
    to.add_argument(
        "--audit",
        type=number,
        default=None,
        metavar="PERCENT",
        help="of the trials that are stopped or left paused, by chance, run to their end after the search, to see what "
        f"was given up (default: {100 * DEFAULT_SHARE:g} where those are {LEAST} or more; 0: none)",
    )


def audit_of(flags: argparse.Namespace) -> Audit:
    """Raises ValueError for no percentage."""
    return Audit() if flags.audit is None else Audit(flags.audit / 100, asked_for=True)

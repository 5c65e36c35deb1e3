"""`jobs/report.py`: one HTML page of a study, or of several side by side."""

import sys
import webbrowser
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from cifarray.cli.flags import add_places, make_parser, storage_and_tracking
from cifarray.cli.parser import number
from cifarray.cli.progress import progress_on
from cifarray.cli.running import errors_in_a_sentence, make_console
from cifarray.report.sentences import say

EXAMPLES = (
    ("wrn --open", "the page of a study, in the browser"),
    ("wrn densenet", "two studies side by side"),
    ("wrn --price-per-hour 0.8", "with what its worker-hours cost"),
)


def report(arguments: Sequence[str] | None = None) -> NoReturn:
    """Write the page. Exits."""
    parser = make_parser("Report a study as one HTML page that opens without a network.", EXAMPLES)
    parser.add_argument("studies", metavar="STUDY", nargs="+", help="study, or its folder; several stand side by side")
    parser.add_argument("--open", action="store_true", help="show the page in the browser")
    parser.add_argument(
        "--price-per-hour", "--price", dest="price", type=number, metavar="X", help="of a worker, for the costs"
    )
    parser.add_argument(
        "--no-champion", action="store_true", help="leave out the best network's mistakes, which need its images"
    )
    add_places(parser)
    flags = parser.parse_args(arguments)
    # Late: it brings torch along, which help and mistyped flags do without.
    from cifarray.examine.report import run_report

    console = make_console()
    with errors_in_a_sentence(OSError), progress_on(console) as tell:
        where, uri = storage_and_tracking(flags)
        for said in run_report(flags.studies, where, uri, flags.price, not flags.no_champion, tell):
            say(console, f"report: {said}" if isinstance(said, Path) else said)
            if flags.open and isinstance(said, Path):
                webbrowser.open(said.as_uri())
    sys.exit(0)

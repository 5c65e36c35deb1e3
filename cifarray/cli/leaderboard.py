"""`jobs/leaderboard.py`: the table of a study, or of several, on the terminal, as CSV or as JSON."""

import json
import sys
from collections.abc import Sequence
from typing import NoReturn

from cifarray.cli.flags import add_places, make_parser, storage_and_tracking
from cifarray.cli.parser import whole
from cifarray.cli.running import errors_in_a_sentence, make_console
from cifarray.journal import targets
from cifarray.report.leaderboard import as_csv, columns_of, rows, table
from cifarray.report.page.told import read
from cifarray.report.sentences import say

EXAMPLES = (
    ("wrn", "the best 20 trials"),
    ("wrn densenet --csv > trials.csv", "all trials of two studies, for a spreadsheet"),
)
SHOWN = 20


def leaderboard(arguments: Sequence[str] | None = None) -> NoReturn:
    """Print the table. Exits."""
    parser = make_parser("Show the trials of a study, best first; it may be running.", EXAMPLES)
    parser.add_argument("studies", metavar="STUDY", nargs="+", help="study, or its folder")
    parser.add_argument("--rows", type=whole, default=SHOWN, metavar="N", help=f"of the table (default: {SHOWN})")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--csv", action="store_true", help="all trials as CSV, with a column for the study")
    how.add_argument("--json", action="store_true", help="all trials as a JSON list of objects, numbers in full")
    add_places(parser)
    flags = parser.parse_args(arguments)
    with errors_in_a_sentence():
        where, _ = storage_and_tracking(flags)
        found = [read(targets.find(name, where)[0]) for name in flags.studies]
    if flags.json:
        print(json.dumps([{"study": told.name, **row} for told in found for row in rows(told.state)], indent=2))
        sys.exit(0)
    if flags.csv:
        names = list(dict.fromkeys(name for told in found for name in columns_of(told.state)))
        cells = [[told.name, *(row.get(name) for name in names)] for told in found for row in rows(told.state)]
        print(as_csv(["study", *names], cells), end="")
        sys.exit(0)
    console = make_console()
    for told in found:
        if len(found) > 1:
            say(console, f"\n{told.name}")
        if not told.state.trials:
            say(console, "no trial has begun")
            continue
        drawn, notes = table(told.state, console.width, flags.rows, f"--rows {len(told.state.trials)} or --csv has all")
        console.print(drawn)
        for note in notes:
            say(console, note)
    sys.exit(0)

"""`jobs/final_test.py`: evaluate on the test split; every opening is counted."""

import sys
from collections.abc import Sequence
from typing import NoReturn

from cifarray.cli.flags import add_places, make_parser, storage_and_tracking
from cifarray.cli.running import errors_in_a_sentence, make_console


def final_test(arguments: Sequence[str] | None = None) -> NoReturn:
    """Evaluate on the test split. Exits."""
    parser = make_parser("Evaluate a trained trial on the test split; the opening is counted.")
    parser.add_argument("target", metavar="RUN_OR_STUDY", help="study, trial (STUDY-NUMBER) or MLflow run id")
    add_places(parser)
    flags = parser.parse_args(arguments)
    # Late: it brings torch along, which help and mistyped flags do without.
    from cifarray.examine.final_test import run_final_test

    console = make_console()
    with errors_in_a_sentence():
        for line in run_final_test(flags.target, *storage_and_tracking(flags)):
            console.print(line, highlight=False, soft_wrap=True)
    sys.exit(0)

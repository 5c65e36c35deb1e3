"""`jobs/final_test.py`: evaluate on the test split; every opening is counted, and none is repeated unasked."""

import sys
from collections.abc import Sequence
from typing import NoReturn

from cifarray.cli.flags import add_places, make_parser, storage_and_tracking
from cifarray.cli.progress import progress_on
from cifarray.cli.running import errors_in_a_sentence, make_console
from cifarray.report.sentences import say


def final_test(arguments: Sequence[str] | None = None) -> NoReturn:
    """Evaluate on the test split. Exits."""
    parser = make_parser("Evaluate a trained trial on the test split; the opening is counted.")
    parser.add_argument("target", metavar="RUN_OR_STUDY", help="study, trial (STUDY-NUMBER) or MLflow run")
    parser.add_argument(
        "--again",
        action="store_true",
        help="open the split once more for what was tested before, instead of showing that result",
    )
    add_places(parser)
    flags = parser.parse_args(arguments)
    # Late: it brings torch along, which help and mistyped flags do without.
    from cifarray.examine.final_test import run_final_test

    console = make_console()
    with errors_in_a_sentence(), progress_on(console) as tell:
        for line in run_final_test(flags.target, *storage_and_tracking(flags), again=flags.again, tell=tell):
            say(console, line)
    sys.exit(0)

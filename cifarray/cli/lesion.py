"""`jobs/lesion.py`: silence one residual branch of a trained network at a time and draw the error."""

import sys
from collections.abc import Sequence
from typing import NoReturn

from cifarray.cli.flags import add_data, add_places, data_source, make_parser, storage_and_tracking
from cifarray.cli.parser import whole
from cifarray.cli.progress import progress_on
from cifarray.cli.running import errors_in_a_sentence, make_console
from cifarray.report.sentences import say


def lesion(arguments: Sequence[str] | None = None) -> NoReturn:
    """Silence one residual branch at a time and draw the error. Exits."""
    parser = make_parser("Silence one residual branch of a trained network at a time.")
    parser.add_argument(
        "target", metavar="RUN_OR_CHECKPOINT", help="a checkpoint's path, study, trial (STUDY-NUMBER) or MLflow run"
    )
    add_data(parser)
    add_places(parser)
    parser.add_argument("--limit", type=whole, metavar="N", help="at most N validation images")
    flags = parser.parse_args(arguments)
    # Late: it brings torch along, which help and mistyped flags do without.
    from cifarray.examine.lesion_study import run_lesion_study

    console = make_console()
    with errors_in_a_sentence(), progress_on(console) as tell:
        where, uri = storage_and_tracking(flags)
        source = data_source(flags.data) if flags.data else None
        for line in run_lesion_study(flags.target, where, uri, source, flags.limit, tell):
            say(console, line)
    sys.exit(0)

"""`jobs/export.py`: a trained network as a file for other tools."""

import sys
from collections.abc import Sequence
from typing import NoReturn

from cifarray.cli.flags import add_places, make_parser, storage_and_tracking
from cifarray.cli.running import errors_in_a_sentence, make_console
from cifarray.report.sentences import say

FORMATS = ("onnx",)


def export(arguments: Sequence[str] | None = None) -> NoReturn:
    """Write a trained network as a file for other tools. Exits."""
    parser = make_parser("Export a trained network, and check that the file answers as the network does.")
    parser.add_argument(
        "target", metavar="RUN_OR_STUDY", help="study (its best trial), trial (STUDY-NUMBER), MLflow run or checkpoint"
    )
    parser.add_argument("--to", choices=FORMATS, default=FORMATS[0], metavar="FORMAT", help="onnx (default)")
    parser.add_argument(
        "--output", metavar="FILE", help="where to (default: STUDY-NUMBER.onnx in the study's folder); is replaced"
    )
    add_places(parser)
    flags = parser.parse_args(arguments)
    # Late: it brings torch along, which help and mistyped flags do without.
    from cifarray.examine.export import run_export

    console = make_console()
    with errors_in_a_sentence():
        for line in run_export(flags.target, *storage_and_tracking(flags), output=flags.output):
            say(console, line)
    sys.exit(0)

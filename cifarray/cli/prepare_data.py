"""`jobs/prepare_data.py`: download or read a data source and write its memory-mapped store."""

import sys
from collections.abc import Sequence
from typing import NoReturn

from cifarray.cli.flags import add_data, data_source, make_parser
from cifarray.cli.parser import whole
from cifarray.cli.running import errors_in_a_sentence, make_console
from cifarray.data import resolve
from cifarray.data.names import hidden_folder
from cifarray.report.sentences import say

EXAMPLES = (
    ("", "CIFAR-10, downloaded"),
    ("--data FOLDER --image-size 64", "images of your own, stored with sides of 64 pixels"),
    ("--data s3://BUCKET/FOLDER", "Parquet files of a bucket"),
)


def prepare_data(arguments: Sequence[str] | None = None) -> NoReturn:
    """Prepare a data source. Exits."""
    parser = make_parser("Download or read a data source and write its memory-mapped store.", EXAMPLES)
    add_data(parser)
    parser.add_argument("--image-size", type=whole, default=32, metavar="SIDE", help="side of the images (default: 32)")
    flags = parser.parse_args(arguments)
    with errors_in_a_sentence():
        source = resolve(data_source(flags.data))
        if hidden := hidden_folder(source):
            say(make_console(), hidden)
        # Late: it brings torch along, which help, mistyped flags and names of no data do without.
        from cifarray.data import open_store, prepare

        folder = prepare(source, flags.image_size)
        images = open_store(source, "train", flags.image_size)
        text = f"{len(images.labels):,} training images of {images.side}×{images.side}, {len(images.classes)} classes"
        say(make_console(), f"{text}: {folder}")
    sys.exit(0)

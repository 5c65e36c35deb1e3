"""A study's trials as a pandas frame, for notebooks.

Not here: what a row is (`leaderboard`).
"""

import os
from typing import TYPE_CHECKING

from cifarray import places, storage
from cifarray.journal import targets
from cifarray.report.leaderboard import rows
from cifarray.report.page.told import read

if TYPE_CHECKING:
    import pandas


def frame(target: str | os.PathLike[str], where: str | None) -> "pandas.DataFrame":
    """What `cifarray.results` says."""
    # Late: it takes half a second.
    import pandas

    folder, number = targets.find(os.fspath(target), storage.absolute(where or places.results()))
    found = [row for row in rows(read(folder).state) if number is None or row["trial"] == number]
    return pandas.DataFrame(found)

"""Which settings a strategy gets from the space that it is to search.

And which one a search has where its user names none. Not here: the flag (`flags`), the strategies
(`cifarray.study.schedulers`).
"""

from cifarray.space.space import SearchSpace
from cifarray.study.schedulers import Asha, FreezeThaw, Promote, RunAll, Scheduler, grace_for


def make_scheduler(name: str, space: SearchSpace) -> Scheduler:
    """With the settings that this space asks for."""
    grace = grace_for(space.base.epochs)
    if name == FreezeThaw.name:
        return FreezeThaw(grace_epochs=grace, full_runs=bool(varied_in_time(space)))
    for kind in (Asha, Promote):
        if name == kind.name:
            return kind(reduction_factor=3, grace_epochs=grace)
    return RunAll()


def default_strategy(space: SearchSpace, searcher: str | None) -> str:
    """searcher: that the user has named; None: none was. Rankings before a late drop of the rate say little: where that
    varies all trials run to their end, and a model chooses their points, if nothing else is to."""
    if not varied_in_time(space):
        return "asha"
    return "none" if searcher is not None or space.base.data.validation == 0 else FreezeThaw.name


def varied_in_time(space: SearchSpace) -> list[str]:
    """Fields that vary and say when the rate falls: trials that differ in them cannot be compared early."""
    return [path for path in space.domains if path.startswith("schedule.") or path == "epochs"]

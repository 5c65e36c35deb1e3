"""`--preflight`: some steps of the smallest and the largest network are measured, and what the study will take is told.

Not here: the measuring (`cifarray.engine.preflight`), the forecast (`cifarray.simulate.plan`).
"""

import datetime
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from cifarray.report.budget import trials_in_all
from cifarray.report.leaderboard import short_count
from cifarray.study.rough_time import in_words
from cifarray.study.study import Study
from cifarray.study.time_budget import span, worker_time, worker_times

if TYPE_CHECKING:
    from collections.abc import Callable

    from cifarray.engine.preflight import Corner
    from cifarray.simulate.plan import Plan


def preflight(
    study: Study,
    price: float | None,
    stage: "Callable[[str], AbstractContextManager[None]]",
    tell: "Callable[[str], None]",
    begun: bool = False,
) -> "Plan | None":
    """Tells what was measured and what is to be expected, and returns the latter; None where no network fits.

    Ray is connected. price: of a worker-hour; None if it is not known. begun: whether some of it is done. Raises
    StudyError and DataError as a study does that starts.
    """
    from cifarray.data import open_store
    from cifarray.engine import cluster
    from cifarray.engine.capacity import WorkerResources, groups_that_fit
    from cifarray.engine.preflight import measure_corners
    from cifarray.engine.run import group_settings
    from cifarray.simulate.plan import Pace, plan
    from cifarray.space.sizes import Sizes

    data = study.space.base.data
    with stage("looking at data and networks"):
        store = open_store(data.source, "train", data.image_size)
        sizes = Sizes(study.space, len(store.classes))
        sizes.check_corners()
    state = study.new_state()
    settings = group_settings(study, state, "")
    with stage("measuring some steps on one worker"):
        corners = measure_corners(study, sizes, settings)
    for line in measured(corners, settings.worker):
        tell(line)
    fitting = [corner for corner in corners if not corner.failure]
    if not fitting:
        return None
    worker = WorkerResources(settings.cpus_per_worker, settings.gpus_per_worker)
    groups = max(1, groups_that_fit(cluster.look().nodes, worker, study.workers))
    groups = min(groups, study.concurrent or groups, max(1, study.num_trials))
    pace = Pace.through([(corner.macs, corner.images_per_second) for corner in fitting])
    allowed = sizes.allowed if study.space.is_limited else None
    with stage("simulating the study"):
        expected = plan(study, pace, lambda config: sizes.of(config).macs, len(store.labels), groups, allowed)
    tell(expectation(expected, study, price, datetime.datetime.now(), begun))
    return expected


def measured(corners: "Sequence[Corner]", worker: str) -> Iterator[str]:
    """One sentence a network."""
    for corner in corners:
        size = f"{corner.name}, {short_count(corner.num_params)} parameters, {short_count(corner.macs)} MACs"
        if corner.failure:
            smaller = "smaller batches (--set batch_size=… or accumulate=…)"
            if not all(each.failure for each in corners):
                smaller += f", or --max-macs {corner.macs - 1} to leave it out"
            yield f"preflight: {size}: does not fit on a worker with {worker} ({corner.failure}): {smaller}"
        else:
            yield (
                f"preflight: {size}: {corner.images_per_second:,.0f} images/s on a worker with {worker}, "
                f"{corner.peak_bytes / 1e9:.1f} GB, {corner.checkpoint_seconds:.1f} s for a checkpoint"
            )


def expectation(
    expected: "Plan", study: Study, price: float | None, now: datetime.datetime, begun: bool = False
) -> str:
    """How much work it is from the beginning on, and, of a study that begins now, when it is over."""
    costs = [] if price is None else [price * seconds / 3600 for seconds in (expected.low, expected.high)]
    cost = f", {span(*costs)} at {price:g} a worker-hour" if costs else ""
    at_once = f"{expected.groups} trial{'s' if expected.groups > 1 else ''} at once"
    ends = [now + datetime.timedelta(seconds=seconds) for seconds in (expected.wall_low, expected.wall_high)]
    shown = "%H:%M" if ends[1].date() == now.date() else "%a %d %b %H:%M"
    trials = trials_in_all(study.num_trials)
    until = "from its beginning on" if begun else f"until about {ends[1].strftime(shown)}"
    work = worker_times(expected.low, expected.high)
    return (
        f"expected: {work} for {trials} (scheduler {study.scheduler.name}){cost}; with "
        f"{at_once} {_lasting(expected.wall_low, expected.wall_high)}, {until}"
    )


def planned_and_actual(expected: "Plan", seconds: float) -> str:
    """seconds: of workers, that the study's trials have taken."""
    if expected.low <= seconds <= expected.high:
        verdict = "as expected"
    elif seconds < expected.low:
        verdict = f"{100 * (1 - seconds / expected.low):.0f} % less than that"
    else:
        verdict = f"{100 * (seconds / expected.high - 1):.0f} % more than that"
    return f"{worker_times(expected.low, expected.high)} expected, {worker_time(seconds)} taken: {verdict}"


def _lasting(low: float, high: float) -> str:
    few, many = in_words(low), in_words(high)
    return few if few == many else f"{few} to {many}"

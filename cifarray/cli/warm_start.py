"""`--warm-start`: finished trials of earlier studies, by name, for a search to learn from.

Not here: which of them are points of its space (`cifarray.study.warm_start`), what is learnt (`cifarray.study.tpe`,
`cifarray.study.schedulers.freeze_thaw`).
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from cifarray.cli.budget import Arguments
from cifarray.errors import StudyError
from cifarray.journal import targets
from cifarray.journal.journal import FILE_NAME, events_in, read_events
from cifarray.space.space import SearchSpace
from cifarray.study.events import EarlierTrials, StudyStarted
from cifarray.study.state import StudyState
from cifarray.study.trial_record import Metric
from cifarray.study.warm_start import taken, what_differs


def add_warm_start(to: Arguments) -> None:
    """Of jobs that search."""
    to.add_argument(
        "--warm-start",
        nargs="+",
        action="extend",
        default=[],
        metavar="STUDY",
        help="learn from the finished trials of earlier studies on the same images, with --searcher tpe or --strategy "
        "freeze-thaw; they are no trials of this one",
    )


def earlier_trials(
    space: SearchSpace, metric: Metric, flags: argparse.Namespace, where: str, own: Path
) -> tuple[EarlierTrials, ...]:
    """What the studies named by the flag have to tell. own: the folder of the study that is to learn.

    One that is gone is left out where the study's own journal has its trials already. Raises StudyError for a name that
    means no study, and where no trial of any is a point of the space.
    """
    found: list[EarlierTrials] = []
    reasons = []
    for name in dict.fromkeys(flags.warm_start):
        try:
            folder, number = targets.find(name, where)
        except StudyError:
            if flags.fresh or Path(name).name not in _known(own):
                raise
            continue
        if number is not None:
            raise StudyError(f"--warm-start {name} is a trial: name the study that it is of, {folder.name}")
        if folder == own and not flags.fresh:
            raise StudyError(
                f"--warm-start {name} is the study that is to learn: give this one another --name, or start anew with "
                "--fresh"
            )
        events = read_events(folder / FILE_NAME)
        state = StudyState.from_events(events)
        started = events[0]
        assert isinstance(started, StudyStarted), "as from_events says"
        found.append(taken(space, metric, folder.name, started, state))
        reasons.append(what_differs(space, state))
    if found and not any(event.trials for event in found):
        finished = sum(event.dropped for event in found)
        why = f" ({reasons[0]})" if reasons[0] else f", or was not measured by {metric.name}"
        what = "no trial has finished"
        if finished:
            what = f"none of {finished} finished trials is a point of this space{why}"
        raise StudyError(f"--warm-start {' '.join(flags.warm_start)}: {what}: leave it out, or search where they are")
    return tuple(found)


def _known(own: Path) -> Sequence[str]:
    """Names of the studies that the journal in `own` has learnt from."""
    names: list[str] = []
    if (own / FILE_NAME).exists():
        for event in events_in(own / FILE_NAME):
            if isinstance(event, EarlierTrials):
                names.append(event.study)
    return names

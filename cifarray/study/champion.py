"""Which trial's network a study hands over at its end, and whether it takes the place of the present champion.

Pure functions of plain data. Not here: where champions are kept (`cifarray.tracking.winner`), which config is better
over seeds (`winner`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cifarray.study.events import Event, StudyStarted, WinnerNamed
from cifarray.study.state import StudyState
from cifarray.study.stats import noise
from cifarray.study.trial_record import Outcome

ACCURACY = "val_accuracy"
"""A share of images, whose noise follows from their number; no other metric is one."""
RULE = (
    "a network becomes champion if its validation accuracy is higher than the champion's, on the same held-out images, "
    "by more than 1.96 standard errors of the difference of two independent shares"
)


@dataclass(frozen=True)
class Contender:
    """accuracy (in 0..1), images, split: as in `WinnerNamed`. name: what it is called in a sentence."""

    name: str
    accuracy: float | None
    images: int
    split: str

    @property
    def shown(self) -> str:
        return f"{self.name} ({100 * self.accuracy:.2f} %)" if self.accuracy is not None else self.name


@dataclass(frozen=True)
class Ruling:
    """Whether the newcomer is the champion from now on, and why, in a sentence that goes on after a colon."""

    takes_over: bool
    why: str


def name_winner(state: StudyState, events: Sequence[Event], register: bool) -> WinnerNamed | None:
    """The best trial that ran to its end and kept its checkpoint; None where there is none."""
    best = next((t for t in state.ranking() if t.outcome is Outcome.COMPLETED and t.checkpoint), None)
    if best is None or best.checkpoint is None:
        return None
    epoch, checkpoint = best.checkpoint
    started = events[0]
    assert isinstance(started, StudyStarted), "as every journal begins"
    accuracy = best.epochs[epoch - 1].get(ACCURACY)
    split = split_of(started, best.config)
    images = started.held_out_images if split else 0
    return WinnerNamed(
        trial=best.number,
        epoch=epoch,
        checkpoint=checkpoint,
        register=register,
        accuracy=accuracy,
        images=images,
        split=split,
    )


def split_of(started: StudyStarted, config: Mapping[str, Any]) -> str:
    """What tells the images that a trial of this config was judged on; empty where that is not known.

    The split is a function of the labels and of how many images are held out. Of a study whose data vary, only the base
    config's are known.
    """
    base, own = started.config.get("data", {}), config.get("data", {})
    decides = ("source", "validation", "image_size", "grid")
    known = started.data_sha256 and started.held_out_images
    if not known or any(base.get(name) != own.get(name) for name in decides):
        return ""
    return f"{started.held_out_images} of {started.data_sha256}"


def ruling(newcomer: Contender, champion: Contender | None) -> Ruling:
    """By RULE. The first one is champion without a fight."""
    if champion is None:
        return Ruling(True, f"{newcomer.shown} is the first one")
    if newcomer.accuracy is None or champion.accuracy is None:
        return Ruling(False, f"{_without_accuracy(newcomer, champion)} has no validation accuracy to be compared by")
    if not newcomer.split or newcomer.split != champion.split:
        return Ruling(False, f"{newcomer.shown} and {champion.shown} were not judged on the same held-out images")
    lead = newcomer.accuracy - champion.accuracy
    chance = noise(newcomer.accuracy, newcomer.images, champion.accuracy, champion.images)
    how = (
        f"{newcomer.shown} is {100 * abs(lead):.2f} points {'above' if lead >= 0 else 'below'} {champion.shown}, and "
        f"chance alone makes up to {100 * chance:.2f} on {newcomer.images:,} images"
    )
    return Ruling(lead > chance, how)


def _without_accuracy(newcomer: Contender, champion: Contender) -> str:
    return newcomer.name if newcomer.accuracy is None else champion.name

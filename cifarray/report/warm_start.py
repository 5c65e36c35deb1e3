"""What is said of earlier studies that a search learns from. Not here: which trials these are."""

from cifarray.study.events import EarlierTrials


def learnt(event: EarlierTrials) -> str:
    """`18 finished trials of wrn-old are observations of this search; 2 are left out: …`."""
    count = len(event.trials)
    text = f"{count} finished trial{'s' if count != 1 else ''} of {event.study} "
    text += f"{'is an observation' if count == 1 else 'are observations'} of this search, and no trial of it"
    if event.dropped:
        are = "is" if event.dropped == 1 else "are"
        text += f"; {event.dropped} more {are} left out: outside of its space, or without its metric"
    return text

"""What is said of an audit of early stopping: what it will cost, and what it found.

Not here: the audit (`cifarray.study.audit`).
"""

from cifarray.space.domains import Choice, Range
from cifarray.study.audit import LEAST, Finding, finding
from cifarray.study.state import StudyState
from cifarray.study.study import Study
from cifarray.study.time_budget import UNLIMITED
from cifarray.study.trial_record import Metric


def audit_rule(study: Study) -> str | None:
    """What an audit does in this study, and what it costs at most; None where there will be none."""
    audit, epochs = study.audit, study.space.base.epochs
    if audit is None or study.scheduler.soonest_end(0, epochs) >= epochs:
        return None
    trials = study.new_state().budget
    # One trial at least is not given up; a search without an end decides never.
    most = audit.count(trials - 1)
    if not most or trials >= UNLIMITED:
        return None
    few = "" if audit.asked_for else f", if they are {LEAST} or more"
    named = study.space.domains.get("epochs")
    ends = named.corners() if isinstance(named, Choice | Range) else ()
    longest = max([epochs, *(end for end in ends if isinstance(end, int))])
    cost = f": at most {most} trial{'s' if most > 1 else ''} and {most * longest:,} epochs beside the search"
    share = f"{100 * audit.share:g} % of the trials that the search gives up, by chance, run to their end after it"
    return f"audit: {share}{few}{cost}; --audit 0 leaves it out"


def about_the_audit(state: StudyState) -> str | None:
    """What came of those that were given up; None where that is not known."""
    found = finding(state.trials.values())
    return None if found is None else in_words(found, state)


def in_words(found: Finding, state: StudyState) -> str:
    """Rates with Wilson's intervals, and the regret."""
    are = "is" if found.better == 1 else "are"
    text = (
        f"of {found.given_up} trials that were given up, {found.audited} by chance ran to their end: "
        f"{found.better or 'none'} {are if found.better else 'is'} better than the best that the search completed "
        f"({100 * found.rate:.0f} %, 95 % interval {100 * found.low:.0f}–{100 * found.high:.0f} %), "
        f"{found.in_top or 'none'} in its best quarter"
    )
    if found.best is None or not found.regret:
        return f"{text}; no regret was seen"
    text += f"; trial {found.best.number} is better by {_points(found.regret, state.metric)}"
    best = state.best()
    return f"{text} and now the best" if best is not None and best.number == found.best.number else text


def _points(regret: float, metric: Metric) -> str:
    return f"{regret:.4f}" if metric.lower_is_better else f"{100 * regret:.2f} points"

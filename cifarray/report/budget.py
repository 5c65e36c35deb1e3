"""What is said of a budget of worker-hours: before, while and after it is spent; and of how many trials there are.

Not here: the budget itself (`cifarray.study.time_budget`).
"""

from cifarray.study.state import StudyState
from cifarray.study.time_budget import UNLIMITED, TimeBudget, in_unit_of, is_reached, say, typed, worker_time


def is_unlimited(state: StudyState) -> bool:
    """Whether the budget alone says how many trials there are."""
    return state.budget >= UNLIMITED


def trials_in_all(count: int) -> str:
    """`20 trials`."""
    if count >= UNLIMITED:
        return "as many trials as the budget allows"
    return f"{count} trial{'s' if count != 1 else ''}"


def rule(budget: TimeBudget) -> str:
    """What a budget does, for those who have not seen one."""
    return (
        f"a budget of {say(budget.seconds)} of workers in trials: no trial or rung is begun that those that run leave "
        "no time for, and what is not over then pauses with a checkpoint"
    )


def worker_seconds(state: StudyState, workers: int) -> float:
    """That its trials have spent."""
    return state.spent.seconds * workers


def so_far(state: StudyState, budget: TimeBudget) -> str:
    """`1.32 of 4 h spent`, both in the unit of the budget."""
    return f"{in_unit_of(budget.seconds, worker_seconds(state, budget.workers))} of {say(budget.seconds)} spent"


def about_the_end(state: StudyState) -> str | None:
    """That a study is at its budget and not at its end, and how it goes on; None where it is not so."""
    budget = state.time_budget
    if budget is None or state.is_complete() or not is_reached(state, ()):
        return None
    text = f"the budget of {say(budget.seconds)} is spent: {worker_time(worker_seconds(state, budget.workers))}"
    paused = sum(trial.is_paused for trial in state.unfinished.values())
    waiting = len(state.unfinished) - paused
    for count, standing in ((paused, "paused"), (waiting, "unfinished")):
        if count:
            text += f"; {count} trial{'s are' if count > 1 else ' is'} {standing}"
    more = 2 * budget.seconds
    while more <= state.spent.seconds * budget.workers:
        more *= 2
    return f"{text}; --budget {typed(more)} goes on"


def remaining(state: StudyState) -> tuple[str, str]:
    """`3 trials remain`, and how they are called after that; of a study without a number of trials, what is begun."""
    if is_unlimited(state):
        count, verb = len(state.unfinished), "unfinished"
        return f"{count} trial{'s are' if count != 1 else ' is'} {verb}", "the search"
    count = state.remaining()
    return (f"{count} trials remain", "them") if count != 1 else ("1 trial remains", "it")

"""What a fault costs: the whole policy as a table."""

import pytest

from cifarray.study.faults import (
    MAX_DEAD_NODES,
    MAX_FAILED_STARTS,
    MAX_LOSSES,
    REFUSED_SECONDS,
    End,
    Fault,
    Pause,
    Retry,
    StartFault,
    TrialFault,
    cause_of,
    decide,
    gravest,
)
from cifarray.study.trial_record import Outcome

OF_MACHINES = [
    Fault.RANK_LOST,
    Fault.GROUP_DIED,
    Fault.LEASE_ENDED,
    Fault.ACTOR_DIED,
    Fault.HUNG,
    Fault.STORAGE,
]


@pytest.mark.parametrize(
    ("status", "follows"),
    [
        # A trial's own reasons end it, whatever happened to its workers before.
        (TrialFault(Fault.DIVERGED, "nan"), End(Outcome.DIVERGED, "nan")),
        (TrialFault(Fault.DIVERGED, "nan", restarts=2), End(Outcome.DIVERGED, "nan", restarts=2)),
        (TrialFault(Fault.RAISED, "Traceback"), End(Outcome.FAILED, "Traceback")),
        (TrialFault(Fault.OUT_OF_MEMORY, "full"), End(Outcome.OUT_OF_MEMORY, "full")),
        # The third that fails alike ends the study with it, since the others would.
        (TrialFault(Fault.RAISED, "Traceback", alike=1), End(Outcome.FAILED, "Traceback")),
        (TrialFault(Fault.DIVERGED, "nan", alike=2), End(Outcome.DIVERGED, "nan")),
        (
            TrialFault(Fault.RAISED, "Traceback\nKeyError: 3", alike=2),
            End(
                Outcome.FAILED,
                "Traceback\nKeyError: 3",
                pause="3 trials in a row failed alike in their first epoch, and none has completed (KeyError: 3): mend "
                "that, its traceback is in failures.txt, and give --retry-failed to run them again",
            ),
        ),
        # Unless it may need less memory; that is no loss of its workers.
        (TrialFault(Fault.OUT_OF_MEMORY, "full", restarts=1, accumulate=4), Retry(restarts=1, accumulate=4)),
        # Machines cost a restart, however often; the third loss in a row of any trials pauses the study.
        *[(TrialFault(fault, "gone"), Retry(restarts=1)) for fault in OF_MACHINES],
        *[(TrialFault(fault, "gone", restarts=40, deaths=2, in_a_row=1), Retry(restarts=41)) for fault in OF_MACHINES],
        *[
            (
                TrialFault(fault, "Traceback\ndisk full", restarts=2, in_a_row=MAX_LOSSES - 1),
                Pause("disk full (3 losses in a row without a new epoch)", restarts=3),
            )
            for fault in OF_MACHINES
        ],
        # Nodes have a budget of their own.
        (TrialFault(Fault.NODE_DIED, "gone", in_a_row=MAX_LOSSES), Retry(restarts=1)),
        (
            TrialFault(Fault.NODE_DIED, "gone", in_a_row=MAX_DEAD_NODES - 1),
            Pause("gone (10 losses in a row without a new epoch)", restarts=1),
        ),
        # A trial whose processes die again and again without getting on is to blame itself.
        (TrialFault(Fault.WORKERS_DIED, "killed", restarts=9, deaths=1, in_a_row=1), Retry(restarts=10)),
        (
            TrialFault(Fault.WORKERS_DIED, "killed", restarts=2, deaths=2, in_a_row=2),
            End(Outcome.FAILED, "its worker processes died 3 times without a checkpoint in between: killed", 3),
        ),
        # A checkpoint that is lost costs the epochs since the one before it, and is no loss of workers.
        (TrialFault(Fault.CHECKPOINT, "torn", restarts=1, in_a_row=2), Retry(restarts=1, older=True)),
        # A group that cannot start: tried again, until that is no accident any more.
        (StartFault("no", refused=False, failed_starts=1, usable=0), Retry()),
        (StartFault("no", refused=False, failed_starts=MAX_FAILED_STARTS - 1, usable=2), Retry()),
        (StartFault("no", refused=False, failed_starts=MAX_FAILED_STARTS, usable=0), Pause("no")),
        (StartFault("no", refused=False, failed_starts=MAX_FAILED_STARTS, usable=1), Retry(delay=REFUSED_SECONDS)),
        # What the user has to mend does not mend itself, but a study that has groups goes on with them.
        (StartFault("no", refused=True, failed_starts=1, usable=0), Pause("no")),
        (StartFault("no", refused=True, failed_starts=1, usable=3), Retry(delay=REFUSED_SECONDS)),
    ],
    ids=str,
)
def test_what_follows_a_fault(status, follows):
    assert decide(status) == follows


@pytest.mark.parametrize("fault", Fault)
def test_every_fault_is_either_the_trials_own_or_costs_a_restart(fault):
    verdict = decide(TrialFault(fault, "why"))
    assert isinstance(verdict, End if fault.is_of_the_trial else Retry)


@pytest.mark.parametrize(
    ("told", "explains"),
    [
        # When one rank is out of memory or raises, the others lose their connection to it.
        ([Fault.RANK_LOST, Fault.OUT_OF_MEMORY], Fault.OUT_OF_MEMORY),
        ([Fault.RAISED, Fault.RANK_LOST, Fault.RANK_LOST], Fault.RAISED),
        ([Fault.DIVERGED, Fault.DIVERGED], Fault.DIVERGED),
        ([Fault.RANK_LOST], Fault.RANK_LOST),
    ],
)
def test_of_the_ranks_faults_the_one_counts_that_explains_the_others(told, explains):
    assert gravest(told) is explains


def trace(line, says):
    return f'Traceback (most recent call last):\n  File "a.py", line {line}, in forward\nValueError: {says}\n'


def test_the_cause_of_an_error_is_its_kind_and_its_place_whatever_numbers_it_quotes():
    assert cause_of(trace(7, "31 is not 32")) == cause_of(trace(7, "33 is not 32"))
    assert cause_of(trace(7, "31 is not 32")) != cause_of(trace(8, "31 is not 32"))
    assert cause_of(trace(7, "no")) != cause_of(trace(7, "no").replace("ValueError", "KeyError"))
    assert cause_of("out of luck\n") == "out of luck"

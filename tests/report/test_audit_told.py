"""An audit of early stopping as its user reads of it: in the plan, while it begins, at the end and on the page."""

import pytest
from called_jobs import run
from histories import driver_started, epoch_ended, sampled, started, study_started
from scenes import Scene

from cifarray.config import TrainConfig
from cifarray.report.audit import about_the_audit, audit_rule
from cifarray.report.leaderboard import rows, table
from cifarray.report.lines import LineView
from cifarray.report.page.told import tell
from cifarray.report.page.trust import stopping_epochs, trust
from cifarray.space.domains import choice, log_uniform
from cifarray.space.space import SearchSpace
from cifarray.study.audit import Audit
from cifarray.study.events import AuditStarted, TrialEnded
from cifarray.study.schedulers import Asha, FreezeThaw, RunAll
from cifarray.study.study import Study
from cifarray.study.time_budget import UNLIMITED
from cifarray.study.trial_record import Outcome
from cifarray.tracking.changes import StudyRuns

SPACE = SearchSpace("toy", TrainConfig(epochs=2), {"optimizer.lr": log_uniform(0.01, 1.0)})
DONE = Outcome.COMPLETED


GRID = SearchSpace("grid", TrainConfig(epochs=9), {"epochs": choice(9, 90), "seed": choice(0, 1, 2, 3)})
OF_A_GRID = (
    "audit: 25 % of the trials that the search gives up, by chance, run to their end after it: at most 2 trials and "
    "180 epochs beside the search; --audit 0 leaves it out"
)
"""Of eight points, one of which is not given up."""


def study(num_trials=64, scheduler=None, audit=None, space=SPACE, **more):
    scheduler, audit = scheduler or Asha(3, 1), audit or Audit()
    return Study("toy", space, num_trials, "/results", "sqlite://", scheduler=scheduler, audit=audit, **more)


@pytest.mark.parametrize(
    ("planned", "said"),
    [
        (
            study(),
            "audit: 5 % of the trials that the search gives up, by chance, run to their end after it, if they are 20 "
            "or more: at most 4 trials and 8 epochs beside the search; --audit 0 leaves it out",
        ),
        (
            study(9, audit=Audit(0.25, asked_for=True)),
            "audit: 25 % of the trials that the search gives up, by chance, run to their end after it: at most 2 "
            "trials and 4 epochs beside the search; --audit 0 leaves it out",
        ),
        # A search that only its budget ends is never decided.
        (study(UNLIMITED), None),
        (study(space=GRID, searcher="grid", num_trials=200, audit=Audit(0.25, asked_for=True)), OF_A_GRID),
        (study(20), None),
        (study(scheduler=RunAll()), None),
        (study(scheduler=FreezeThaw(full_runs=True)), None),
    ],
)
def test_the_plan_says_what_an_audit_costs_at_most_and_nothing_where_there_is_none(planned, said):
    """Of 64 trials 63 may be given up, of nine eight, of twenty 19."""
    assert audit_rule(planned) == said


@pytest.mark.usefixtures("storage")
@pytest.mark.parametrize(("flags", "audited"), [((), True), (("--audit", "0"), False), (("--audit", "10"), True)])
def test_the_flag_is_in_the_plan(flags, audited, capsys):
    assert run("tune", "--dry-run", "--data", "synthetic:400", "--set", "batch_size=50", "--trials", "64", *flags) == 0
    text = capsys.readouterr().out
    assert (f"audit: {flags[1] if flags else 5} % of the trials" in text) == audited


@pytest.mark.usefixtures("storage")
def test_what_is_no_percentage_is_refused(capsys):
    assert run("tune", "--audit", "101", "--dry-run") == 2
    assert "audit 101 is no percentage: choose from 0 (no audit) to 100" in capsys.readouterr().err


def events(*audited):
    """Four trials that the search completed, six that it gave up, and of these some that went on to such values."""
    found = [study_started("toy", SPACE, num_trials=10, scheduler=Asha(3, 1).settings()), driver_started()]
    for number in range(10):
        found += [sampled(number, {"optimizer.lr": 0.1 * (number + 1)}, {"epochs": 2, "model": {"name": "x"}})]
        found += [started(number), epoch_ended(number, 1, None, "continue" if number < 4 else "stop", val_accuracy=0.3)]
        if number < 4:
            found.append(epoch_ended(number, 2, None, "complete", val_accuracy=0.8 - 0.01 * number))
        outcome = DONE if number < 4 else Outcome.STOPPED
        found.append(TrialEnded(trial=number, outcome=outcome, message="" if number < 4 else "5th of 9 after epoch 1"))
    chosen = [4 + place for place, _ in enumerate(audited)]
    found.append(AuditStarted(trials=chosen, given_up=range(4, 10)))
    for number, value in zip(chosen, audited, strict=True):
        if value is not None:
            found += [started(number), epoch_ended(number, 2, None, "complete", val_accuracy=value)]
            found.append(TrialEnded(trial=number, outcome=DONE))
    return found


def told_of(*audited, folder):
    return tell(events(*audited), folder)


def test_the_end_tells_the_rate_with_its_interval_and_the_regret(tmp_path):
    """Wilson's interval of 1 in 2 is 9.5 to 90.5 %, of 0 in 2 it is 0 to 65.8 %."""
    assert about_the_audit(told_of(0.805, 0.5, folder=tmp_path).state) == (
        "of 6 trials that were given up, 2 by chance ran to their end: 1 is better than the best that the search "
        "completed (50 %, 95 % interval 9–91 %), 1 in its best quarter; trial 4 is better by 0.50 points and now the "
        "best"
    )
    assert about_the_audit(told_of(0.7, 0.5, folder=tmp_path).state) == (
        "of 6 trials that were given up, 2 by chance ran to their end: none is better than the best that the search "
        "completed (0 %, 95 % interval 0–66 %), none in its best quarter; no regret was seen"
    )


def fact(part, name):
    return dict(part.facts)[name]


def test_part_seven_of_the_page_tells_the_audit(tmp_path):
    assert fact(trust(told_of(0.7, 0.5, folder=tmp_path)), "audit").startswith("of 6 trials that were given up, 2 by")
    assert "none has ended yet" in fact(trust(told_of(None, folder=tmp_path)), "audit")
    told = tell(events()[:-1], tmp_path)
    assert fact(trust(told), "audit") == "none; --audit 5 runs 5 % of what a search gives up to its end"
    assert "6 trials stopped; what they would" in fact(trust(told), "early stopping")
    all_audited = told_of(0.1, 0.1, 0.1, 0.1, 0.1, 0.1, folder=tmp_path)
    assert stopping_epochs(all_audited) == [1]
    assert "and 6 more that went on in an audit" in fact(trust(all_audited), "early stopping")


def test_the_leaderboard_says_who_was_audited(tmp_path):
    state = told_of(0.9, folder=tmp_path).state
    assert rows(state)[0]["outcome"] == "completed (audit, given up after epoch 1)"
    assert "trial 4: completed (audit, given up after epoch 1)" in table(state, 200)[1]


def test_the_beginning_of_an_audit_is_told():
    scene = Scene(LineView, SPACE)
    scene.begins(0, {"optimizer.lr": 0.1})
    scene.epoch(0, 1, 0.5)
    scene.ends(0, Outcome.STOPPED)
    scene.happens(AuditStarted(trials=[0], given_up=[0]))
    assert scene.lines[-1] == "audit of early stopping: of 1 given up, by chance, run to their end: 0"


def test_mlflow_shows_an_audited_trial_without_the_outcome_that_it_had():
    runs = StudyRuns()
    for event in events(None):
        runs.apply(event)
    assert runs.changes[4].tags["outcome"] is None
    assert runs.changes[4].tags["message"] == "was given up, and runs to its end in an audit of early stopping"
    for event in events(0.5):
        runs.apply(event)
    assert runs.changes[4].tags["outcome"] == "completed"

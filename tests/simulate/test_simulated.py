"""On the virtual clock a search takes what its epochs, moves, starts and faults take, and loses no epoch."""

import statistics
from collections import Counter

import pytest
from made_curves import straight

from cifarray.simulate.generator import Made
from cifarray.simulate.machines import Cluster
from cifarray.simulate.run import simulate
from cifarray.simulate.study import GeneratedStudy, recorded_study
from cifarray.study.schedulers import Asha, FreezeThaw, Promote, RunAll
from cifarray.study.time_budget import TimeBudget
from cifarray.study.trial_record import Outcome

FINALS = [0.5, 0.9, 0.7, 0.6]
SCHEDULERS = {
    "none": RunAll(),
    "asha": Asha(3, 1),
    "promote": Promote(3, 1),
    "freeze-thaw": FreezeThaw(1),
}


def test_one_worker_takes_the_sum_of_all_epochs_and_moves() -> None:
    told = simulate(recorded_study(straight(FINALS), RunAll(), 0), Cluster(1, move_seconds=2.0))
    assert told.seconds == told.busy_seconds == 4 * (4 * 10.0 + 2.0)
    assert [seen.at for seen in told.seen[:5]] == [12.0, 22.0, 32.0, 42.0, 54.0]


def test_as_many_workers_as_trials_take_what_one_trial_takes_after_their_start() -> None:
    told = simulate(recorded_study(straight(FINALS), RunAll(), 0), Cluster(4, start_seconds=30.0, move_seconds=0.0))
    assert told.seconds == 30.0 + 4 * 10.0
    assert sorted(seen.value for seen in told.seen if seen.is_last) == sorted(FINALS)


@pytest.mark.parametrize("scheduler", SCHEDULERS.values(), ids=SCHEDULERS)
def test_groups_that_break_cost_time_and_no_epoch(scheduler: object) -> None:
    curves = straight([0.5 + 0.01 * number for number in range(30)], epochs=9)
    calm = simulate(recorded_study(curves, scheduler, 1), Cluster(3))  # type: ignore[arg-type]
    study = recorded_study(curves, scheduler, 1)  # type: ignore[arg-type]
    told = simulate(study, Cluster(3, start_seconds=20.0, faults_per_hour=20.0))
    assert told.faults > 0
    assert told.seconds > calm.seconds
    # How late an epoch is may change a decision; that it is counted once does not.
    epochs = Counter((seen.trial, seen.value) for seen in told.seen)
    assert set(epochs.values()) == {1}
    assert study.is_over()
    assert all(trial.outcome in (Outcome.COMPLETED, Outcome.STOPPED) for trial in study.trials.values())


@pytest.mark.parametrize("scheduler", SCHEDULERS.values(), ids=SCHEDULERS)
def test_a_budget_is_what_the_groups_train_for(scheduler: object) -> None:
    """By their own paces, in which they move as well, and with groups that break."""
    curves = straight([0.5 + 0.01 * number for number in range(30)], epochs=9)
    study = recorded_study(curves, scheduler, 1)  # type: ignore[arg-type]
    study.time_budget = TimeBudget(500.0)
    told = simulate(study, Cluster(3, start_seconds=20.0, spread=0.5, faults_per_hour=20.0, move_seconds=2.0))
    assert study.is_over()
    assert not study.is_complete()
    assert told.busy_seconds == pytest.approx(study.spent.seconds)
    assert 500.0 <= study.spent.seconds < 500.0 + 3 * 40.0


def test_random_points_find_the_best_of_n_after_half_of_them() -> None:
    """One of n in a random order is expected at place (n + 1) / 2, with a deviation of √((n² − 1) / 12)."""
    curves, n, searches = straight([0.5 + 0.01 * number for number in range(20)]), 20, 300
    places = []
    for seed in range(searches):
        told = simulate(recorded_study(curves, RunAll(), seed), Cluster(1))
        places.append(1 + next(seen.trial for seen in told.seen if seen.value == 0.69))
    deviation_of_mean = ((n**2 - 1) / 12 / searches) ** 0.5
    assert statistics.fmean(places) == pytest.approx((n + 1) / 2, abs=4 * deviation_of_mean)


def test_the_clock_ends_where_it_is_told_to() -> None:
    told = simulate(recorded_study(straight(FINALS), RunAll(), 0), Cluster(1, move_seconds=0.0), seconds=65.0)
    assert [seen.at for seen in told.seen] == [10.0 * number for number in range(1, 7)]


def test_the_same_seed_is_the_same_search_and_another_one_is_not() -> None:
    curves = straight([0.5 + 0.01 * number for number in range(20)])

    def searched(seed: int) -> object:
        return simulate(recorded_study(curves, Asha(3, 1), seed), Cluster(2, spread=0.3, faults_per_hour=5.0)).seen

    assert searched(3) == searched(3) != searched(4)


@pytest.mark.parametrize(
    ("workers", "trials"), [(100, 1000), pytest.param(1000, 10_000, marks=[pytest.mark.slow, pytest.mark.nightly])]
)
def test_searches_of_many_trials_on_many_workers_end(workers: int, trials: int) -> None:
    made = Made()
    study = GeneratedStudy(made.space, trials, "random", Asha(3, 1))
    study.begin(made.curve_of, made.epochs)
    told = simulate(study, Cluster(workers, start_seconds=30.0, spread=0.2, faults_per_hour=0.1))
    assert len(study.trials) == len(study.ended) == trials
    assert len(told.seen) == sum(trial.epoch for trial in study.trials.values())


@pytest.mark.parametrize(
    "values", [{"groups": 0}, {"groups": 1, "spread": -1.0}, {"groups": 1, "start_seconds": 1e999}]
)
def test_a_cluster_that_cannot_be_is_refused(values: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="too few: choose 1 or more|is not possible: choose 0 or more"):
        Cluster(**values)  # type: ignore[arg-type]

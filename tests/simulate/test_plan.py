"""What a study is expected to take, where it can be said beforehand."""

from dataclasses import replace

import pytest

from cifarray.config import TrainConfig, override
from cifarray.simulate.plan import EVALUATION, PACE_ERROR, Pace, plan
from cifarray.space.domains import choice, log_uniform
from cifarray.space.space import SearchSpace
from cifarray.study.audit import Audit
from cifarray.study.schedulers import Asha, Promote, RunAll
from cifarray.study.study import Study
from cifarray.study.time_budget import UNLIMITED, TimeBudget

IMAGES = 1000
CONFIG = override(TrainConfig(), {"data.source": "synthetic:1000", "data.validation": 0.1, "epochs": 27})


def study_of(num_trials, scheduler, workers=1, domains=None):
    space = SearchSpace("toy", CONFIG, domains or {"seed": choice(*range(100))})
    return Study("toy", space, num_trials, "/nowhere", "sqlite:////nowhere", scheduler=scheduler, workers=workers)


def test_the_line_through_two_networks_tells_of_those_between():
    """2 ms and 10 ms an image at 1 and 5 million MACs are 6 ms at 3 million; a constant of nothing is left."""
    pace = Pace.through([(5_000_000, 100.0), (1_000_000, 500.0)])
    assert pace.constant == pytest.approx(0.0, abs=1e-12)
    assert pace.per_mac * 3_000_000 == pytest.approx(0.006)


def test_of_a_network_that_is_no_slower_for_being_larger_all_is_constant():
    pace = Pace.through([(1_000_000, 500.0), (5_000_000, 500.0)])
    assert (pace.constant, pace.per_mac) == (pytest.approx(0.002), 0.0)


def test_one_network_alone_is_scaled_by_its_multiply_adds():
    assert Pace.through([(1_000_000, 500.0)]).per_mac * 2_000_000 == pytest.approx(0.004)


@pytest.mark.parametrize(("workers", "groups"), [(1, 1), (1, 4), (2, 2)])
def test_trials_that_all_run_to_their_end_take_what_they_take(workers, groups):
    """8 trials × 27 epochs × (900 images and a third of 100) × 10 ms, in worker-seconds; workers share a trial."""
    study = study_of(8, RunAll(), workers)
    found = plan(study, Pace.through([(1_000_000, 100.0)]), lambda config: 1_000_000, IMAGES, groups)
    seconds = 8 * 27 * (900 + EVALUATION * 100) * 0.01
    # Moving from trial to trial takes a tenth of a second.
    assert found.low == pytest.approx(seconds * (1 - PACE_ERROR), rel=0.005)
    assert found.high == pytest.approx(seconds * (1 + PACE_ERROR), rel=0.005)
    assert found.wall_high / (1 + PACE_ERROR) == pytest.approx(seconds / workers / groups, rel=0.01)


def test_what_is_stopped_early_takes_less_and_how_much_less_is_a_span():
    """A rung keeps a third: by ASHA at least all first epochs are done, and far from all of the others."""
    found = plan(study_of(30, Asha(3, 1)), Pace.through([(1_000_000, 100.0)]), lambda config: 1_000_000, IMAGES, 1)
    epoch = (900 + EVALUATION * 100) * 0.01
    assert 30 * epoch * (1 - PACE_ERROR) < found.low < found.high < 0.3 * 30 * 27 * epoch
    assert found.high / found.low > (1 + PACE_ERROR) / (1 - PACE_ERROR)


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("scheduler", [RunAll(), Asha(3, 1), Promote(3, 1)], ids=lambda scheduler: scheduler.name)
def test_a_budget_is_what_is_spent_however_many_trials_there_may_be(scheduler, workers):
    """Of worker-seconds, and at most an epoch of each of the two groups beyond."""
    rates = {"optimizer.lr": log_uniform(0.01, 1.0)}
    study = study_of(UNLIMITED, scheduler, workers, rates)
    study = replace(study, time_budget=TimeBudget(1000.0, workers))
    found = plan(study, Pace.through([(1_000_000, 100.0)]), lambda config: 1_000_000, IMAGES, 2)
    epoch = (900 + EVALUATION * 100) * 0.01
    assert found.low / (1 - PACE_ERROR) >= 995
    assert found.high / (1 + PACE_ERROR) < 1000 + 2 * epoch + 5


@pytest.mark.parametrize("scheduler", [Asha(3, 1), Promote(3, 1)], ids=lambda scheduler: scheduler.name)
def test_an_audit_is_part_of_what_is_expected(scheduler):
    """Of 40 trials two at least run to their end, from their checkpoints."""
    study = study_of(40, scheduler, domains={"optimizer.lr": log_uniform(0.01, 1.0)})
    pace, epoch = Pace.through([(1_000_000, 100.0)]), (900 + EVALUATION * 100) * 0.01
    plain, audited = (
        plan(replace(study, audit=audit), pace, lambda config: 1_000_000, IMAGES, 1) for audit in (None, Audit())
    )
    more = (audited.high - plain.high) / (1 + PACE_ERROR)
    assert 9 * epoch < more <= 2 * 27 * epoch + 1


def test_networks_above_the_limits_are_no_trials():
    """Of two widths with 1 and 16 million multiply-adds the smaller one is left."""
    domains = {"model.widen_factor": choice(1, 4), "seed": choice(*range(10))}
    macs = {1: 1_000_000, 4: 16_000_000}
    found = plan(
        study_of(10, RunAll(), domains=domains),
        Pace.through([(1_000_000, 100.0)]),
        lambda config: macs[config["model"]["widen_factor"]],
        IMAGES,
        1,
        lambda params: params["model.widen_factor"] == 1,
    )
    seconds = 10 * 27 * (900 + EVALUATION * 100) * 0.01
    assert found.high == pytest.approx(seconds * (1 + PACE_ERROR), rel=0.005)


def test_where_the_number_of_epochs_varies_each_trial_takes_its_own():
    domains = {"epochs": choice(9, 18)}
    study = study_of(2, RunAll(), domains=domains)
    found = plan(study, Pace.through([(1_000_000, 100.0)]), lambda config: 1_000_000, IMAGES, 1)
    epoch = (900 + EVALUATION * 100) * 0.01
    assert found.low / (1 - PACE_ERROR) == pytest.approx(27 * epoch, rel=0.005)

"""A page of a long study keeps its limits; the numbers in full are `python -m tests.benchmarks.report`."""

import pytest

from cifarray.report.page import document
from cifarray.report.page.told import read, tell
from cifarray.study.schedulers import RunAll
from tests.benchmarks.report import TARGETS, measure
from tests.fresh_processes import fresh_processes
from tests.report.made_studies import events_of_study, write_study


def test_what_is_kept_of_a_journal_is_one_number_an_epoch(tmp_path):
    told = tell(events_of_study("toy", 3, 20, scheduler=RunAll(), mishaps=False), tmp_path / "toy")
    for trial in told.state.trials.values():
        assert [sorted(metrics) for metrics in trial.epochs[:-1]] == [["val_accuracy"]] * 19
        assert "images_per_second" in trial.epochs[-1]


def test_a_page_of_many_trials_draws_few_curves_and_says_so(tmp_path):
    told = tell(events_of_study("toy", 260, 3, mishaps=False), tmp_path / "toy")
    page = document.render(document.sections([told]), "toy")
    assert "Drawn are 200 of 260 curves: the best 40, and 160 spread evenly over the ranks of the others." in page
    assert "show 200 of 260 trials" in page


@pytest.mark.nightly
@pytest.mark.timeout(900)
def test_a_million_epochs_keep_the_limits(tmp_path):
    folder = write_study(tmp_path / "made", 5000, 200, groups=16, scheduler=RunAll(), mishaps=False)
    with fresh_processes(1) as process:
        found = process.submit(measure, folder).result()
    assert {name: value for name, value in found.items() if value > TARGETS.get(name, value)} == {}
    assert len(read(folder).state.trials) == 5000

"""How long trials would take on CPUs, before any was measured."""

import pytest

from cifarray import recipes
from cifarray.config import override
from cifarray.space.domains import choice
from cifarray.space.space import SearchSpace
from cifarray.study.rough_time import MACS_PER_SECOND, in_words, seconds_on_cpus, warning_of_days
from cifarray.study.state import StudyState


def test_a_trial_costs_three_times_its_multiply_adds_in_training_and_once_in_evaluation():
    config = override(recipes.get("wide_resnet_fast"), {"epochs": 2, "data.limit": 1000}).to_dict()
    # 1,000 of 45,000 images are trained on, 5,000 held out.
    assert seconds_on_cpus(config, 10**6, 50_000, 2) == pytest.approx(2 * 10**6 * 8000 / (2 * MACS_PER_SECOND))


def test_a_study_whose_first_trials_take_days_is_told_so_with_what_to_do():
    """WRN-28-10, 5.2 billion multiply-adds (arXiv:1605.07146), 200 epochs of CIFAR-10."""
    space = SearchSpace("wrn", recipes.get("wide_resnet_28_10"), {"optimizer.lr": choice(0.1, 0.2, 0.3, 0.4)})
    said = warning_of_days(StudyState(space, 4), lambda config: 5_243_328_768, 50_000, cores=2)
    assert "without a GPU the first 3 trials take about 17 days each" in said
    assert "--epochs, --limit, --max-macs" in said
    assert warning_of_days(StudyState(space, 4), lambda config: 26_657_408, 50_000, cores=2) == ""


def test_the_smallest_and_the_largest_of_the_first_trials_are_told():
    space = SearchSpace("wrn", recipes.get("wide_resnet_28_10"), {"model.widen_factor": choice(1, 10)})
    sizes = {1: 55_000_000, 10: 5_243_328_768}
    state = StudyState(space, 2, searcher="grid")
    said = warning_of_days(state, lambda config: sizes[config["model"]["widen_factor"]], 50_000, 2)
    assert "the first 2 trials take from 4 hours to 17 days each" in said
    said = warning_of_days(StudyState(space, 1), lambda config: sizes[10], 50_000, 2)
    assert "the trial takes about 17 days" in said


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (10, "1 minute"),
        (2400, "40 minutes"),
        (3600, "1 hour"),
        (26_000, "7 hours"),
        (86_400, "1 day"),
        (1e6, "12 days"),
    ],
)
def test_durations_in_words(seconds, words):
    assert in_words(seconds) == words

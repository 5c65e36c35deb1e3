"""A study as its journal tells it, without the flags that it was begun with."""

import json

import pytest

from cifarray.config import TrainConfig
from cifarray.journal.events import FORMAT, from_json, to_json
from cifarray.space.domains import choice
from cifarray.space.space import SearchSpace
from cifarray.study.events import DriverStarted, StudyStarted
from cifarray.study.schedulers import Asha, FreezeThaw, Promote, RunAll
from cifarray.study.state import StudyState
from cifarray.study.study import Study

SPACE = SearchSpace(
    "limits",
    TrainConfig.from_dict({"model": {"name": "wide_resnet", "depth": 10, "widen_factor": 1, "dropout": 0.0}}),
    {"model.widen_factor": choice(1, 2, 4)},
    # Parameters grow with the square of the width: about 75, 300 and 1,200 thousand.
    max_params=400_000,
)


def began(study, **more):
    event = StudyStarted(
        **study.identity(),
        name=study.name,
        id="x",
        num_trials=study.num_trials,
        storage="",
        keep_checkpoints=study.keep_checkpoints,
        num_classes=10,
        format=FORMAT,
    )
    return from_json(to_json(event))


def make_study(**options):
    return Study("limits", SPACE, 5, "/nowhere", "sqlite://", **options)


def test_limits_and_kept_checkpoints_are_part_of_it():
    state = StudyState.from_events([began(make_study(searcher="grid", keep_checkpoints=1))])
    assert state.keep_checkpoints == 1
    assert state.budget == 2
    assert [state.sample(number)["model.widen_factor"] for number in range(2)] == [1, 2]


@pytest.mark.parametrize("scheduler", [RunAll(), Asha(2, 3), Promote(2, 3), FreezeThaw(3, True)])
def test_any_scheduler_is_found_by_its_name(scheduler):
    assert StudyState.from_events([began(make_study(scheduler=scheduler))]).scheduler == scheduler


def test_a_scheduler_that_is_not_known_is_named():
    event = began(make_study())
    values = {**json.loads(to_json(event)), "scheduler": {"name": "hyperband"}}
    with pytest.raises(ValueError, match="scheduler 'hyperband' is not known: choose one of freeze-thaw, pro"):
        StudyState.from_events([from_json(json.dumps(values))])


def test_what_does_not_begin_with_a_study_is_none():
    with pytest.raises(ValueError, match="begins with the study"):
        StudyState.from_events([DriverStarted(pid=1, versions={})])
    with pytest.raises(ValueError, match="begins with the study"):
        StudyState.from_events([])

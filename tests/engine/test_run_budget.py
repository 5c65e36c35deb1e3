"""A budget of worker-hours and what a search learns from earlier studies, on a real Ray with scripted worker groups."""

import pytest
from scripted import SavingGroup

from cifarray.data import open_store
from cifarray.engine.run import run_study
from cifarray.errors import StudyError
from cifarray.journal.journal import read_events
from cifarray.study.events import DriverStarted, EarlierTrials
from cifarray.study.schedulers import RunAll
from cifarray.study.time_budget import UNLIMITED, TimeBudget

pytestmark = pytest.mark.usefixtures("untracked")


def test_a_search_ends_with_its_budget_and_has_what_it_learns_in_its_journal(ray_session, make_study, make_recorder):
    plan = {"scheduler": RunAll(), "searcher": "tpe", "concurrent": 2}
    study = make_study(num_trials=UNLIMITED, time_budget=TimeBudget(0.5), **plan)
    digest = open_store(study.space.base.data.source, "train").sha256
    lesson = {"trial": 0, "params": study.new_state().sample(0), "epochs": study.space.base.epochs, "values": [0.5]}
    lesson |= {"outcome": "stopped", "num_params": 1, "macs": 1}
    earlier = EarlierTrials(study="then", id="a", data_sha256=digest, trials=[lesson])
    study = make_study(num_trials=UNLIMITED, time_budget=TimeBudget(0.5), earlier=(earlier,), **plan)
    result = run_study(study, make_recorder(), host=SavingGroup)
    assert (result.reason, result.state.is_complete()) == ("finished", False)
    assert result.state.spent.seconds >= 0.5
    assert all(trial.is_paused and trial.checkpoint for trial in result.state.unfinished.values())
    events = read_events(study.folder / "journal.jsonl")
    assert [event.budget_seconds for event in events if isinstance(event, DriverStarted)] == [0.5]
    assert sum(isinstance(event, EarlierTrials) for event in events) == 1
    assert len(result.state.earlier) == 1


def test_a_study_on_other_images_is_refused_before_anything_is_written(ray_session, make_study, make_recorder):
    earlier = EarlierTrials(study="then", id="a", data_sha256="0" * 64, trials=())
    study = make_study(searcher="tpe", earlier=(earlier,))
    with pytest.raises(StudyError, match="study 'then' has seen other images"):
        run_study(study, make_recorder(), host=SavingGroup)
    assert not study.folder.exists()

"""A budget of worker-hours and what a search learns from earlier studies, on a real Ray with scripted worker groups."""

import pytest
from scripted import SavingGroup

from cifarray.data import open_store
from cifarray.engine.run import run_study
from cifarray.errors import StudyError
from cifarray.journal.journal import read_events
from cifarray.study.events import DriverStarted, EarlierTrials, TrialStarted
from cifarray.study.schedulers import RunAll
from cifarray.study.time_budget import UNLIMITED, TimeBudget
from cifarray.study.trial_record import Outcome

pytestmark = pytest.mark.usefixtures("untracked")


def test_a_search_ends_with_its_budget_and_goes_on_with_more(ray_session, make_study, make_recorder):
    """Of two groups; it learns from an earlier study, which its journal has once and after which nobody asks again."""
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
    begun, paused = len(result.state.trials), set(result.state.unfinished)

    again = make_study(num_trials=begun + 2, earlier=(earlier,), **plan)
    result = run_study(again, make_recorder(), host=SavingGroup)
    assert result.state.is_complete()
    assert {trial.outcome for trial in result.state.trials.values()} == {Outcome.COMPLETED}
    events = read_events(study.folder / "journal.jsonl")
    assert sum(isinstance(event, EarlierTrials) for event in events) == 1
    second = [i for i, event in enumerate(events) if isinstance(event, DriverStarted)][1]
    starts = [event.trial for event in events[second:] if isinstance(event, TrialStarted)]
    assert set(starts[: len(paused)]) == paused


def test_a_study_on_other_images_is_refused_before_anything_is_written(ray_session, make_study, make_recorder):
    earlier = EarlierTrials(study="then", id="a", data_sha256="0" * 64, trials=())
    study = make_study(searcher="tpe", earlier=(earlier,))
    with pytest.raises(StudyError, match="study 'then' has seen other images"):
        run_study(study, make_recorder(), host=SavingGroup)
    assert not study.folder.exists()

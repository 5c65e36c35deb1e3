"""What is refused once the data are open."""

import re
from dataclasses import replace

import pytest
from histories import sampled, study_started

from cifarray.data import open_store
from cifarray.engine.checks import refuse_observations_of_other_images, refuse_other_images
from cifarray.errors import StudyError
from cifarray.study.events import EarlierTrials
from cifarray.study.state import StudyState


def test_a_study_whose_images_were_changed_does_not_go_on():
    """Its trials could not be compared; without trials it may begin with what is there now."""
    before, now = open_store("synthetic:100", "train"), open_store("synthetic:120", "train")
    began = replace(study_started(), data_sha256=before.sha256)
    state = StudyState.from_events([began])
    refuse_other_images(began, now, state)
    state.apply(sampled(0, {}, state.space.base.to_dict()))
    refuse_other_images(began, before, state)
    refuse_other_images(replace(began, data_sha256=""), now, state)
    with pytest.raises(
        StudyError, match="the images of synthetic:120 are not those that study .* began with .* --fresh"
    ):
        refuse_other_images(began, now, state)


def test_trials_of_other_images_teach_nothing():
    """Also where nobody knows which images they saw."""
    then, now = open_store("synthetic:100", "train"), open_store("synthetic:120", "train")
    refuse_observations_of_other_images([EarlierTrials(study="then", id="a", data_sha256=now.sha256, trials=())], now)
    said = f"study 'then' has seen other images than those of synthetic:120 (sha256 {then.sha256[:12]}… there, "
    said += f"{now.sha256[:12]}… here)"
    with pytest.raises(StudyError, match=re.escape(said)):
        refuse_observations_of_other_images(
            [EarlierTrials(study="then", id="a", data_sha256=then.sha256, trials=())], now
        )
    with pytest.raises(StudyError, match="there its journal names none"):
        refuse_observations_of_other_images([EarlierTrials(study="then", id="a", data_sha256="", trials=())], now)

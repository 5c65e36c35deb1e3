"""A study that is set aside: nobody can open it in between, and all of it moves."""

import subprocess
import sys
from pathlib import Path

import pytest
from histories import sampled, study_started

from cifarray.config import TrainConfig, override
from cifarray.journal.events import JournalError
from cifarray.journal.folder import StudyChangedError, open_journal, set_aside
from cifarray.journal.journal import Journal, StudyRunningError, read_events
from cifarray.space.space import SearchSpace
from cifarray.study.events import DriverStarted
from cifarray.study.study import Study

EVENT = DriverStarted(pid=1, versions={})


def test_while_a_study_moves_nobody_can_open_it(tmp_path, monkeypatch):
    journal = Journal(tmp_path / "wrn")
    journal.append([EVENT])
    rename = Path.rename
    refused = []

    def rename_watched(folder, target):
        # Another process: a lock that this one holds would let it in again.
        code = (
            "import sys; from pathlib import Path; from cifarray.journal.journal import Journal\n"
            "Journal(Path(sys.argv[1]))"
        )
        done = subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=False)
        refused.append(done.stderr)
        return rename(folder, target)

    monkeypatch.setattr(Path, "rename", rename_watched)
    journal.set_aside("wrn.before")
    assert len(refused) == 1
    assert StudyRunningError.__name__ in refused[0]


def test_what_was_set_aside_is_whole_and_its_name_is_free(tmp_path):
    journal = Journal(tmp_path / "wrn")
    journal.append([EVENT])
    (tmp_path / "wrn" / "leaderboard.csv").write_text("rank")
    journal.set_aside("wrn.before")
    assert sorted(path.name for path in (tmp_path / "wrn.before").glob("[jl]*")) == ["journal.jsonl", "leaderboard.csv"]
    assert len(read_events(tmp_path / "wrn.before" / "journal.jsonl")) == 1
    again = Journal(tmp_path / "wrn")
    assert again.events == []
    again.close()
    Journal(tmp_path / "wrn.before").close()


@pytest.mark.parametrize("count", [0, 1])
def test_a_study_that_cannot_be_moved_is_free_again(tmp_path, monkeypatch, count):
    journal = Journal(tmp_path / "wrn")
    journal.append([EVENT] * count)
    (tmp_path / "wrn.before").mkdir()
    (tmp_path / "wrn.before" / "full").write_text("")
    with pytest.raises(OSError, match="not empty"):
        journal.set_aside("wrn.before")
    Journal(tmp_path / "wrn").close()


def test_a_damaged_study_can_be_set_aside(tmp_path):
    """That is what its error tells the user to do."""
    base = TrainConfig()
    study = Study("wrn", SearchSpace("wrn", base), 1, str(tmp_path), "sqlite://")
    study.folder.mkdir()
    (study.folder / "journal.jsonl").write_text("garbage\n")
    with pytest.raises(JournalError, match="--fresh"):
        Journal(study.folder)
    aside = set_aside(study)
    assert (tmp_path / aside / "journal.jsonl").read_text() == "garbage\n"
    Journal(study.folder).close()


@pytest.mark.parametrize(("then", "is_the_same"), [(["own"], True), (None, True), (["other"], False)])
def test_a_teacher_of_another_study_makes_another_study_and_older_journals_say_nothing_of_it(
    tmp_path, then, is_the_same
):
    taught = {"distillation.teacher": "/results/teacher/trial-0000/epoch-0009.pt", "distillation.studies": ("own",)}
    space = SearchSpace("wrn", override(TrainConfig(), taught))
    study = Study("wrn", space, num_trials=1, storage=str(tmp_path), tracking_uri="sqlite:///unused.db")
    config = space.to_dict()["config"]
    distillation = {name: value for name, value in config["distillation"].items() if name != "studies"}
    config["distillation"] = distillation if then is None else {**distillation, "studies": then}
    plan = {name: value for name, value in study.identity().items() if name not in ("config", "domains")}
    before = Journal(study.folder)
    before.append([study_started("wrn", space, config=config, **plan), sampled(0)])
    before.close()
    if is_the_same:
        open_journal(study).close()
    else:
        with pytest.raises(StudyChangedError, match=r"distillation\.studies +other +own"):
            open_journal(study)

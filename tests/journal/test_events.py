"""How events are written and read: every kind, older journals, newer ones, and what is no event."""

import json
from dataclasses import MISSING, fields

import pytest
from histories import OLDER, driver_started, epoch_ended, sampled, split_opened, started, study_started

from cifarray.config import TrainConfig
from cifarray.journal import events as journal_events
from cifarray.journal.events import FORMAT, JournalError, from_json, to_json
from cifarray.journal.folder import is_finished, open_journal
from cifarray.journal.journal import read_events
from cifarray.space.domains import log_uniform
from cifarray.space.space import SearchSpace
from cifarray.study import decisions
from cifarray.study.events import (
    KINDS,
    AuditStarted,
    CheckpointDropped,
    CheckpointLost,
    CheckpointStored,
    DriverEnded,
    EarlierTrials,
    Event,
    GroupChanged,
    LesionStudied,
    MicroBatchHalved,
    StudyReported,
    TrialEnded,
    TrialReopened,
    WinnerNamed,
    WorkersRestarted,
)
from cifarray.study.schedulers import Asha, Assignment
from cifarray.study.state import StudyState
from cifarray.study.study import Study
from cifarray.study.trial_record import Decision, Outcome

ONE_OF_EACH = [
    study_started(
        time=1.5,
        recipes={"small": TrainConfig(epochs=1).to_dict()},
        max_params=1_000_000,
        max_macs=10**9,
        keep_checkpoints=5,
        num_classes=10,
    ),
    EarlierTrials(
        study="then",
        id="a1",
        data_sha256="d1",
        trials=[{"trial": 3, "params": {"optimizer.lr": 0.1}, "values": [0.5], "outcome": "stopped"}],
        dropped=2,
    ),
    driver_started(),
    GroupChanged(group="wrn/group-0", event="ready", reason="3.2 s", nodes=("gpu-1", "gpu-2")),
    sampled(0, {"optimizer.lr": 0.1, "schedule.milestones": [0.3, 0.6]}),
    started(0, epoch=3, attempt=2),
    epoch_ended(0, 4, "/storage/0/4", "stop", "5th of 9 after epoch 4, 3 go on", val_accuracy=0.5),
    WorkersRestarted(trial=0, restarts=2, epoch=3, reason="a worker process died"),
    CheckpointLost(trial=0, epoch=3, checkpoint="/store/0/3", message="torn"),
    TrialReopened(trial=0),
    AuditStarted(trials=[3], given_up=[1, 3, 4]),
    MicroBatchHalved(trial=0, epoch=3, accumulate=4, message="CUDA out of memory"),
    TrialEnded(trial=0, outcome=Outcome.OUT_OF_MEMORY, message="CUDA out of memory"),
    CheckpointStored(trial=0, epoch=2, checkpoint="/ck/0/2"),
    CheckpointDropped(trial=0, epoch=3, checkpoint="/storage/0/3"),
    WinnerNamed(
        trial=0, epoch=4, checkpoint="/storage/0/4", register=True, accuracy=0.5, images=30, split="30 of f00d"
    ),
    DriverEnded(reason="error", message="ValueError: no", artifacts=("leaderboard.csv", "leaderboard.md")),
    split_opened(0, opening=2, test_accuracy=0.5),
    LesionStudied(trial=0, metrics={"lesion_rise": 0.1}, artifacts=("lesion.png",)),
    StudyReported(metrics={"ablation_findings": 2.0}, artifacts=("ablation.png",)),
]


def line(kind, **values):
    return json.dumps({"kind": kind, **values})


def test_one_of_each_is_here():
    assert [event.kind for event in ONE_OF_EACH] == list(KINDS)


@pytest.mark.parametrize("event", ONE_OF_EACH, ids=lambda event: event.kind)
def test_an_event_is_read_as_it_was_written(event):
    written = to_json(event)
    assert "\n" not in written
    assert from_json(written) == from_json(written.encode()) == event


@pytest.mark.parametrize("event", ONE_OF_EACH, ids=lambda event: event.kind)
def test_a_field_that_has_a_default_need_not_be_written_and_any_other_must(event):
    """So that a field that comes later, with a default, leaves every journal readable."""
    values = json.loads(to_json(event))
    optional = {field.name for field in fields(event) if (field.default, field.default_factory) != (MISSING, MISSING)}
    bare = {name: value for name, value in values.items() if name not in optional}
    assert from_json(json.dumps(bare)).kind == event.kind
    for name in bare.keys() - {"kind"}:
        with pytest.raises(ValueError, match=f"{event.kind!r} lacks {name}"):
            from_json(json.dumps({other: value for other, value in bare.items() if other != name}))


def test_words_are_told_from_what_is_no_word_of_ours():
    assert from_json(to_json(epoch_ended(0, 1))).decision is Decision.CONTINUE
    assert from_json(line("outcome", trial=0, outcome="diverged")).outcome is Outcome.DIVERGED
    with pytest.raises(ValueError, match="lost"):
        from_json(line("outcome", trial=0, outcome="lost"))


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_number_that_json_has_not_is_an_error_when_it_is_written(number):
    with pytest.raises(ValueError, match="JSON"):
        to_json(epoch_ended(0, 1, train_loss=number))


@pytest.mark.parametrize("text", ["", "{", "7", "[]", '{"trial": 0}'])
def test_what_is_no_event_is_refused(text):
    with pytest.raises(ValueError):  # noqa: PT011 (what JSON says of it is its own matter)
        from_json(text)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (line("outcome", trial=0, outcome="stopped", regret=0.1), "the field 'regret' of 'outcome'"),
        (line("study", format=FORMAT + 1), f"format {FORMAT + 1}"),
    ],
    ids=["field", "format"],
)
def test_what_a_newer_cifarray_wrote_is_refused_with_the_remedy(text, what):
    with pytest.raises(JournalError) as refused:
        from_json(text)
    assert str(refused.value) == (
        f"the journal was written by a newer cifarray ({what}, this one knows format {FORMAT}): bring cifarray up to "
        "date, or choose another --name"
    )


def test_a_kind_that_is_not_known_is_passed_over_with_one_warning_and_the_rest_is_read(tmp_path, caplog):
    journal_events._warn_of.cache_clear()
    path = tmp_path / "journal.jsonl"
    lines = [line("forecast", hours=3), to_json(started(0)), line("forecast", hours=2), to_json(epoch_ended(0, 1))]
    path.write_text("".join(f"{each}\n" for each in lines))
    assert read_events(path) == [started(0), epoch_ended(0, 1)]
    assert [record.getMessage() for record in caplog.records] == [
        "events of kind 'forecast' are not known to this cifarray and are passed over"
    ]


def test_a_journal_from_before_there_were_formats_gives_the_same_state(tmp_path):
    path = tmp_path / "journal.jsonl"
    path.write_text(OLDER)
    events = read_events(path)
    assert len(events) == len(OLDER.splitlines())
    state = StudyState.from_events(events)
    assert state.scheduler == Asha(3, 1)
    assert (state.num_trials, state.seed, state.keep_checkpoints) == (2, 0, 3)
    assert state.space.base.model.options == {"depth": 10, "widen_factor": 1}
    assert state.is_over()
    assert decisions.repairs(state) == []
    best, other = state.ranking()
    assert (best.number, best.outcome, best.epoch, best.value) == (0, Outcome.COMPLETED, 2, 0.6)
    assert (best.checkpoint, best.restarts, best.test) == ((2, "/storage/0/2"), 1, {"test_accuracy": 0.55})
    assert (other.outcome, other.decisions) == (Outcome.STOPPED, [Decision.STOP])
    assert (other.message, other.precision) == ("", "")


def test_a_study_whose_journal_has_no_format_goes_on(tmp_path):
    base = TrainConfig.from_dict({"model": {"name": "wide_resnet", "depth": 10, "widen_factor": 1}, "epochs": 2})
    space = SearchSpace("wrn", base, {"optimizer.lr": log_uniform(0.01, 1.0)})
    study = Study("wrn", space, 3, str(tmp_path), "sqlite://", scheduler=Asha(3, 1), workers=2)
    study.folder.mkdir()
    (study.folder / "journal.jsonl").write_text(OLDER)
    assert is_finished(study)
    journal = open_journal(study)
    state = study.new_state()
    state.replay(journal.events)
    assert state.next(running=[]) == Assignment(2)
    journal.append([sampled(2)])
    journal.close()
    assert read_events(journal.path)[-1].trial == 2


def test_every_kind_of_event_is_known_when_it_is_read():
    """One that is passed over would be forgotten by the driver that goes on."""
    assert set(KINDS.values()) == set(Event.__subclasses__())
    assert {type(event) for event in ONE_OF_EACH} == set(KINDS.values())

"""Whose network a driver hands over at its end, and what of it the user reads; without Ray."""

import pytest
from histories import epoch_ended, sampled, study_started

from cifarray.engine.last_word import LastWord
from cifarray.journal.journal import Journal, read_events
from cifarray.study.events import DriverEnded, TrialEnded, WinnerNamed


@pytest.fixture
def end(make_study):
    """A function that ends a study with one completed trial for a reason; returns the journal's last events."""

    def end(reason, **options):
        study = make_study(num_trials=1, **options)
        journal = Journal(study.folder)
        state = study.new_state()
        address = str(study.folder / "trial-0000" / "epoch-0004.pt")
        config = study.space.config({"optimizer.lr": 0.1}).to_dict()
        events = [study_started(study.name, study.space, data_sha256="f00d", held_out_images=50)]
        events.append(sampled(0, {"optimizer.lr": 0.1}, config))
        for epoch in range(1, 5):
            events.append(epoch_ended(0, epoch, address if epoch == 4 else None, val_accuracy=epoch / 10))
        events.append(TrialEnded(trial=0, outcome="completed"))
        journal.append(events)
        state.replay(events)
        LastWord(study, state, journal).say(reason)
        journal.close()
        return read_events(journal.path)[len(events) :]

    return end


@pytest.mark.parametrize("register", [True, False])
def test_a_finished_study_names_its_winner_before_its_driver_ends(end, register):
    winner, ended = end("finished", register=register)
    assert isinstance(winner, WinnerNamed)
    assert isinstance(ended, DriverEnded)
    assert (winner.trial, winner.epoch, winner.accuracy, winner.images) == (0, 4, 0.4, 50)
    assert winner.register is register
    assert winner.checkpoint.endswith("toy/trial-0000/epoch-0004.pt")


@pytest.mark.parametrize("reason", ["interrupted", "paused", "error"])
def test_a_study_that_is_not_over_names_none(end, reason):
    assert [type(event) for event in end(reason)] == [DriverEnded]

"""The errors of a study's trials, each once."""

from histories import driver_started, sampled, started, study_started

from cifarray.report.failures import write_failures
from cifarray.study.events import TrialEnded
from cifarray.study.state import StudyState
from cifarray.study.trial_record import Outcome


def trace(line, says):
    return f'Traceback (most recent call last):\n  File "a.py", line {line}, in forward\nValueError: {says}\n'


def state_of(*messages):
    state = StudyState.from_events([study_started(num_trials=9), driver_started()])
    for number, message in enumerate(messages):
        ended = TrialEnded(trial=number, outcome=Outcome.FAILED, message=message)
        state.replay([sampled(number), started(number), ended])
    return state


def test_each_error_is_written_once_with_its_traceback_and_its_trials(tmp_path):
    (path,) = write_failures(state_of(trace(7, "1 is odd"), trace(9, "no"), trace(7, "3 is odd")), tmp_path)
    text = (tmp_path / "failures.txt").read_text()
    assert path == str(tmp_path / "failures.txt")
    assert text.startswith("trials 0, 2 failed:\n\nTraceback (most recent call last):\n")
    assert "ValueError: 1 is odd" in text
    assert "trial 1 failed:" in text
    assert text.count("Traceback") == 2


def test_without_failures_there_is_no_such_file(tmp_path):
    write_failures(state_of("no luck"), tmp_path)
    assert write_failures(state_of(), tmp_path) == []
    assert not list(tmp_path.iterdir())

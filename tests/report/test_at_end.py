"""The page that a study makes of itself at its end: never at the study's cost."""

import logging

from made_studies import events_of_study

from cifarray.report.page import at_end, document
from cifarray.report.page.at_end import PAGE, write_at_end


def test_a_study_gets_its_page_with_the_interval_of_its_images(tmp_path):
    (path,) = write_at_end(list(events_of_study("toy", 4, 2)), tmp_path, lambda: 5000)
    assert path == str(tmp_path / PAGE)
    assert "from 5,000 validation images" in (tmp_path / PAGE).read_text()


def test_a_long_study_leaves_it_to_the_job_and_no_older_page(tmp_path, monkeypatch):
    (tmp_path / PAGE).write_text("of an earlier end")
    monkeypatch.setattr(at_end, "MOST_EVENTS", 10)
    assert write_at_end(list(events_of_study("toy", 4, 2)), tmp_path, lambda: 5000) == []
    assert not (tmp_path / PAGE).exists()


def test_what_goes_wrong_is_logged_and_no_more(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(document, "render", lambda *arguments: 1 / 0)
    with caplog.at_level(logging.WARNING):
        assert write_at_end(list(events_of_study("toy", 4, 2)), tmp_path, lambda: 5000) == []
    assert "jobs/report.py tries it again" in caplog.text
    assert list(tmp_path.iterdir()) == []

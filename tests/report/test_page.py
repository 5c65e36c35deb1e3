"""The report page as a whole: whatever a study is like it says so, its numbers are the leaderboard's, and nothing in a
journal becomes markup."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from histories import OLDER, driver_ended, driver_started, epoch_ended, sampled, split_opened, started, study_started
from made_studies import events_of_study

from cifarray.config import TrainConfig, override
from cifarray.journal.events import from_json, to_json
from cifarray.report.leaderboard import rows
from cifarray.report.page import document
from cifarray.report.page.champion import Examined, Wrong
from cifarray.report.page.told import read, tell
from cifarray.space.domains import choice
from cifarray.space.space import SearchSpace
from cifarray.study.events import EpochEnded, TrialEnded

BASE = override(TrainConfig(), {"epochs": 2, "data.source": "synthetic:1000"})
RATES = SearchSpace("toy", BASE, {"optimizer.lr": choice(0.1, 0.2, 0.3, 0.4)})
HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>"


class Page(HTMLParser):
    """A page as a browser would take it apart: elements, their attributes, the texts between them."""

    def __init__(self, html):
        super().__init__()
        self.elements, self.texts, self.html = [], [], html
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.texts.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.texts).split())

    def count(self, tag):
        return sum(each == tag for each, _ in self.elements)

    def json(self, name):
        found = re.search(rf'<script type="application/json" id="{name}">(.*?)</script>', self.html, re.DOTALL)
        return json.loads(found[1])


def page_of(tmp_path, events, images=100, **options):
    told = tell(events, tmp_path / "toy")
    told.validation_images = images
    return Page(document.render(document.sections([told], **options), "toy")), told


def begun(*trials, space=RATES, **plan):
    """trials: (params, [accuracy of each epoch], outcome or None)."""
    yield study_started("toy", space, **plan)
    yield driver_started()
    for number, (params, values, outcome) in enumerate(trials):
        yield sampled(number, params, space.config(params).to_dict(), num_params=1000 * (number + 1))
        yield started(number)
        for epoch, value in enumerate(values, start=1):
            yield epoch_ended(number, epoch, val_accuracy=value, epoch_seconds=60.0, images_per_second=1000.0)
        if outcome:
            yield TrialEnded(trial=number, outcome=outcome, message="ValueError: no" if outcome == "failed" else "")


STUDIES = {
    "no trial": ([], "No trial has begun, so there is no answer yet."),
    "one trial": ([({"optimizer.lr": 0.1}, [0.4, 0.5], "completed")], "Trial 0 has the best val accuracy, 50.00 %"),
    "one that runs": ([({"optimizer.lr": 0.1}, [0.4], None)], "No trial has run to its end; trial 0 came furthest"),
    "one that has just begun": ([({"optimizer.lr": 0.1}, [], None)], "No trial has finished an epoch yet"),
    "failures alone": (
        [({"optimizer.lr": 0.1}, [], "failed")] * 2,
        "No trial finished an epoch: 2 trials ended before",
    ),
    "one diverged": ([({"optimizer.lr": 0.1}, [0.1], "diverged")], "trial 0 came furthest"),
}


@pytest.mark.parametrize("name", STUDIES)
def test_every_part_says_something_of_any_study(tmp_path, name):
    trials, sentence = STUDIES[name]
    page, _ = page_of(tmp_path, begun(*trials))
    assert sentence in page.text
    assert page.count("section") == page.count("h2") == 9
    sentences = re.findall(r'<p class="says">(.*?)</p>', page.html)
    assert len(sentences) == 9
    assert all(each.strip().endswith(".") for each in sentences)
    assert "None" not in page.text.split("window.")[0].split("!function")[0]


def test_a_study_without_validation_images_has_a_page(tmp_path):
    space = RATES.pin({"data.validation": 0})
    events = [
        study_started("toy", space),
        driver_started(),
        sampled(0, {}, space.base.to_dict()),
        epoch_ended(0, 1, train_loss=1.0),
        epoch_ended(0, 2, decision="complete", train_loss=0.5),
        TrialEnded(trial=0, outcome="completed"),
    ]
    page, _ = page_of(tmp_path, events)
    assert "was trained without held-out images" in page.text


def test_an_older_journal_has_a_page(tmp_path):
    """One without reasons, classes, digests, groups' ends; its trials' configs lack most fields."""
    events = [from_json(line) for line in OLDER.splitlines()]
    page, _ = page_of(tmp_path, events, images=None)
    assert "Trial 0 has the best val accuracy, 60.00 % after epoch 2 of 2: lr 0.1." in page.text
    assert "opened 1 time; trial 0 55.00 % test accuracy" in page.text
    assert "no digest in the journal" in page.text


def test_a_loss_is_better_where_it_is_lower(tmp_path):
    trials = [({"optimizer.lr": lr}, [0.5, 0.5], None) for lr in (0.1, 0.2, 0.3, 0.4)]
    losses = {0: 0.9, 1: 0.5, 2: 0.7, 3: 0.8}
    events = [
        replace(event, metrics={"val_loss": losses[event.trial] + 1 / event.epoch}, decision=decision)
        if isinstance(event, EpochEnded) and (decision := "complete" if event.epoch == 2 else "continue")
        else event
        for event in begun(*trials, metric="val_loss")
    ]
    page, _ = page_of(tmp_path, events)
    assert "Trial 1 has the best val loss, 1.0000 after epoch 2 of 2: lr 0.2." in page.text
    assert "the number of images alone gives one to an accuracy and to nothing else" in page.text
    (front,) = (
        trace
        for figure in page.json("figures")
        for trace in figure["content"]["data"]
        if trace.get("name") == "on the front"
    )
    assert sorted(zip(front["x"], front["y"], strict=True)) == [(1000, 1.4), (2000, 1.0)]


def test_the_numbers_are_the_leaderboards(tmp_path):
    page, told = page_of(tmp_path, events_of_study("toy", 30, 9))
    (table,) = (each for each in page.json("tables") if each["columns"][0][0] == "#")
    headings = [heading for heading, _ in table["columns"]]
    expected = rows(told.state)
    assert len(table["rows"]) == len(expected) == 30
    for shown, row in zip(table["rows"], expected, strict=True):
        found = dict(zip(headings, shown, strict=True))
        assert (found["#"], found["trial"], found["outcome"]) == (row["rank"], row["trial"], row["outcome"])
        assert found["val accuracy"] == pytest.approx(row["val_accuracy"], rel=1e-5)
        assert found["params"] == row["num_params"]
        assert found["lr"] == pytest.approx(row["optimizer.lr"], rel=1e-5)
        assert found["time"] == pytest.approx(row["minutes"], rel=1e-5)
        assert found["reason"] == row["reason"]
    best = expected[0]
    assert f"Trial {best['trial']} has the best val accuracy, {100 * best['val_accuracy']:.2f} %" in page.text


def test_nothing_in_a_journal_becomes_markup(tmp_path):
    space = RATES.vary({"schedule.name": choice("cosine", "step")})
    events = [
        study_started(HOSTILE, space, searcher="random", data_sha256=HOSTILE),
        driver_started(),
        sampled(0, {"optimizer.lr": 0.1, "schedule.name": HOSTILE}, space.base.to_dict()),
        started(0, group=HOSTILE),
        epoch_ended(0, 1, HOSTILE, reason=HOSTILE, val_accuracy=0.5, **{"val_" + HOSTILE: 0.1}),
        TrialEnded(trial=0, outcome="failed", message=HOSTILE),
        driver_ended(message=HOSTILE),
    ]
    told = tell(events, tmp_path / HOSTILE.replace("/", "_"))
    wrong = Wrong(b"", HOSTILE, HOSTILE, 0.5)
    examined = {told.name: Examined(0, [HOSTILE, "b"], [[1, 1], [0, 2]], 4, 4, [wrong])}
    page = Page(document.render(document.sections([told, told], examined), HOSTILE))
    plain = Page(document.render(document.sections(list(map(tell, [begun()] * 0))), "plain"))
    assert page.count("script") == plain.count("script") == 4
    assert not [name for name, attributes in page.elements if name == "img" and "onerror" in attributes]
    assert "alert(1)" in page.text, "it is there, as text"
    for figure in page.json("figures"):
        assert "<img" not in json.dumps(figure), "plotly takes some tags for markup"


def test_it_opens_without_a_network(tmp_path):
    page, _ = page_of(tmp_path, events_of_study("toy", 12, 4))
    for name, attributes in page.elements:
        assert name != "link"
        assert not (attributes.get("src") or "data:").startswith(("http", "//"))
    assert "@import" not in page.html
    assert not re.search(r"url\(['\"]?http", page.html.split("</style>")[0])


def test_passwords_are_not_on_it(tmp_path):
    events = list(begun(({"optimizer.lr": 0.1}, [0.5], None)))
    events.append(TrialEnded(trial=0, outcome="failed", message="no answer of http://me:opensesame@server/"))
    page, _ = page_of(tmp_path, events)
    assert "opensesame" not in page.html
    assert "me:***@server" in page.html


def test_openings_of_the_test_split_and_costs_are_counted(tmp_path):
    """Three trials of two minutes each on 2 workers: 12 worker-minutes, at 5 an hour 1."""
    trials = [({"optimizer.lr": lr}, [0.4, 0.5 + lr / 10], "completed") for lr in (0.1, 0.2, 0.3)]
    events = [
        *begun(*trials, workers=2),
        split_opened(2, 1, test_accuracy=0.52),
        split_opened(2, 2, test_accuracy=0.52),
    ]
    page, _ = page_of(tmp_path, events, per_hour=5.0)
    assert "opened 2 times; trial 2 52.00 % test accuracy" in page.text
    assert "0.2 worker-hours in trials; 1.00 at 5 a worker-hour" in page.text


def test_several_studies_stand_side_by_side(tmp_path):
    one, two = (tell(events_of_study(name, 6, 3), tmp_path / name) for name in ("one", "two"))
    page = Page(document.render(document.sections([one, two]), "one · two"))
    assert page.count("article") == 19
    assert page.count("h3") == 18
    assert page.count("section") == 10
    (table,) = (each for each in page.json("tables") if each["columns"][0][0] == "study")
    assert [row[0] for row in table["rows"]] == ["one", "two"]


def test_a_page_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    told = tell(begun(), tmp_path / "toy")
    path = tmp_path / "report.html"
    path.write_text("before")
    monkeypatch.setattr(document, "render", lambda *arguments: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        document.write([told], path)
    assert path.read_text() == "before"
    monkeypatch.undo()
    document.write([told], path)
    assert path.read_text().startswith("<!doctype html>")
    assert [each.name for each in tmp_path.iterdir()] == ["report.html"]


def test_a_journal_is_read_as_far_as_it_is_whole(tmp_path):
    folder = tmp_path / "toy"
    folder.mkdir()
    lines = [to_json(event) + "\n" for event in begun(({"optimizer.lr": 0.1}, [0.4, 0.5], "completed"))]
    (folder / "journal.jsonl").write_text("".join(lines)[:-20])
    told = read(folder)
    assert told.state.trials[0].outcome is None
    assert told.state.trials[0].epoch == 2

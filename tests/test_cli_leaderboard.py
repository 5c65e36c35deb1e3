"""`jobs/leaderboard.py` and `cifarray.results`: the same rows as the leaderboard's, in other clothes."""

import csv
import io
import json

import pytest

import cifarray
from cifarray.cli.leaderboard import leaderboard
from cifarray.errors import StudyError
from cifarray.report.leaderboard import rows
from cifarray.report.page.told import read
from tests.report.made_studies import write_study


@pytest.fixture
def studies(storage):
    return {name: write_study(storage / name, trials, 3) for name, trials in (("one", 30), ("two", 4))}


def printed(capsys, *arguments):
    with pytest.raises(SystemExit) as end:
        leaderboard(arguments)
    assert end.value.code == 0
    return capsys.readouterr().out


def test_the_table_has_the_best_rows_and_says_what_it_leaves_out(capsys, studies):
    text = printed(capsys, "one")
    best = rows(read(studies["one"]).state)[0]
    lines = text.splitlines()
    assert f"{100 * best['val_accuracy']:.2f} %" in lines[1]
    assert lines[-1] == "20 of 30 rows; --rows 30 or --csv has all"
    assert len(printed(capsys, "one", "--rows", "30").splitlines()) == 31


def test_csv_has_all_trials_of_all_studies(capsys, studies):
    found = list(csv.DictReader(io.StringIO(printed(capsys, "one", "two", "--csv"))))
    assert [row["study"] for row in found] == ["one"] * 30 + ["two"] * 4
    expected = [row for folder in studies.values() for row in rows(read(folder).state)]
    for row, other in zip(found, expected, strict=True):
        assert int(row["trial"]) == other["trial"]
        value = other["val_accuracy"]
        assert row["val_accuracy"] == ("" if value is None else f"{value:.6g}")


def test_json_has_the_numbers_in_full_and_the_reasons(capsys, studies):
    found = json.loads(printed(capsys, "two", "--json"))
    assert found == [{"study": "two", **row} for row in json.loads(json.dumps(rows(read(studies["two"]).state)))]
    assert any("goes on" in row["reason"] or "go on" in row["reason"] for row in found)


def test_a_study_without_trials_says_so(capsys, storage):
    write_study(storage / "none", 0, 3)
    assert printed(capsys, "none") == "no trial has begun\n"
    assert json.loads(printed(capsys, "none", "--json")) == []


def test_results_are_a_frame_of_the_same_rows(studies):
    frame = cifarray.results("one")
    assert frame.to_dict("records")[0]["trial"] == rows(read(studies["one"]).state)[0]["trial"]
    assert len(frame) == 30
    assert frame["val_accuracy"].dtype == float
    assert list(cifarray.results(studies["two"])["trial"]) == list(cifarray.results("two")["trial"])
    assert list(cifarray.results("one-7")["trial"]) == [7]


def test_an_unknown_study_is_refused_with_those_that_there_are(studies, capsys):
    with pytest.raises(StudyError, match="'three' is no study, trial or MLflow run in .*: choose one of one, two"):
        cifarray.results("three")
    with pytest.raises(SystemExit) as end:
        leaderboard(["three"])
    assert end.value.code == 2
    assert "choose one of one, two" in capsys.readouterr().err

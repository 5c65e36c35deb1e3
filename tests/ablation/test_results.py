"""An ablation's table, conclusions and files, from a scripted study."""

import csv
import io

import pytest
from comparisons import cells, state_of
from rich.console import Console

from cifarray import recipes
from cifarray.ablation.picture import draw
from cifarray.ablation.results import Result, axis_limit, metrics, results
from cifarray.ablation.rows import Row, rows_of
from cifarray.ablation.table import interval_line, remarks, table, write_reports
from cifarray.config import override
from cifarray.study.events import TrialEnded
from cifarray.study.stats import Paired
from cifarray.study.trial_record import Metric

BASE = recipes.get("imagenet_resnet_fast")
MISSING = {"distillation": "give --teacher"}
SCATTER = (0.000, 0.001, -0.001)
"""Of the pairs' differences, so that they have a spread."""
EFFECT = {"large batch": -0.10, "cosine": 0.05, "mixup": 0.0004}
"""Of a row on the one that it is compared with; nothing elsewhere."""


def scripted(one_at_a_time=False, drop=()):
    """Rows, and a study in which each row's seeds have the row below's accuracies, an effect and a scatter."""
    found = rows_of(BASE, MISSING, one_at_a_time=one_at_a_time)
    configs, values = {}, {}
    for number, row in enumerate(found):
        if row.config is None:
            continue
        configs[row.name] = row.config
        below = values.get(row.against, [0.50, 0.52, 0.51])
        effect = EFFECT.get(row.name, 0.0)
        turned = SCATTER[number % 3 :] + SCATTER[: number % 3]
        values[row.name] = [value + effect + more for value, more in zip(below, turned, strict=True)]
    state = state_of(values, configs)
    for name in drop:
        trial = next(t for t in state.trials.values() if t.params["recipe"] == name)
        state.apply(TrialEnded(trial=trial.number, outcome="diverged"))
    return results(found, state, Metric())


def by_name(found):
    return {result.row.name: result for result in found}


def test_large_effects_have_a_verdict_and_small_ones_have_none():
    """Differences of deviation 0.001, standard error 0.001/√3; Holm's factors are 12 and 11.

    −0.10: t = −173, p = 3.3e-5, adjusted 0.0004. 0.05: t = 86.6, p = 0.000133, adjusted 0.0015. 0.0004: p = 0.56.
    """
    found = by_name(scripted())
    assert found["large batch"].verdict == "worse"
    assert found["large batch"].p == pytest.approx(12 * 3.333e-5, rel=1e-3)
    assert found["cosine"].verdict == "better"
    assert found["cosine"].p == pytest.approx(11 * 1.3331e-4, rel=1e-3)
    assert {found[name].verdict for name in ("linear scaling", "mixup", "tweak D")} == {"not distinguishable"}
    assert (found["baseline"].verdict, found["distillation"].verdict) == ("", "")


def test_verdicts_are_of_the_corrected_tests(monkeypatch):
    """0.005 ± 0.001/√3: t = 8.66, p = 0.0131, which is below 5 % alone and 12 · 0.0131 = 16 % among twelve."""
    monkeypatch.setattr("test_results.EFFECT", {"mixup": 0.005})
    found = by_name(scripted())["mixup"]
    assert found.step.low > 0
    assert (found.step.p, found.p) == pytest.approx((0.0131, 0.157), abs=1e-3)
    assert found.verdict == "not distinguishable"


def test_less_loss_is_better():
    base = by_name(scripted())["cosine"]
    rows_ = rows_of(BASE, MISSING)
    configs = {row.name: row.config for row in rows_ if row.config is not None}
    values = {name: [0.5, 0.6, 0.7] for name in configs}
    values["cosine"] = [0.4, 0.501, 0.599]
    state = state_of(values, configs)
    for trial in state.trials.values():
        trial.epochs[-1]["val_loss"] = trial.epochs[-1]["val_accuracy"]
    found = by_name(results(rows_, state, Metric("val_loss")))
    assert base.verdict == "better"
    assert found["cosine"].verdict == "better"
    assert found["label smoothing"].verdict == "worse"


def test_differences_are_to_the_row_above_and_to_the_baseline():
    found = by_name(scripted())
    assert found["cosine"].step.mean == pytest.approx(0.05)
    assert found["cosine"].total.mean == pytest.approx(-0.10 + 0.05)
    assert found["tweak B"].row.against == "mixup"


def test_a_trial_that_did_not_complete_takes_its_pair_out_and_is_told():
    found = scripted(drop=["mixup"])
    named = by_name(found)
    assert len(named["mixup"].measured.values) == 2
    assert (named["mixup"].step.n, named["tweak B"].step.n, named["cosine"].step.n) == (2, 2, 3)
    assert "mixup: 1 diverged, left out with their pairs" in remarks(found, Metric())


def text_of(found, width=120):
    console = Console(width=width, file=io.StringIO(), record=True)
    console.print(table(found, Metric()))
    return console.export_text()


def test_the_table_fits_a_terminal_of_120_columns_and_cuts_nothing():
    text = text_of(scripted())
    assert max(map(len, text.splitlines())) <= 120
    assert "…" not in text
    for word in ("worse", "better", "not distinguishable", "n/a", "-10.00 ± 0.25"):
        assert word in text


def test_the_tables_cells():
    drawn = table(scripted(), Metric())
    # 0.500, 0.521, 0.509 and 0.401, 0.420, 0.409.
    assert cells(drawn, "val accuracy")[:2] == ["51.00 ± 1.05 %", "41.00 ± 0.95 %"]
    # t(0.975, 2) = 4.3027, times 0.001/√3.
    assert cells(drawn, "difference")[:2] == ["", "-10.00 ± 0.25"]
    assert cells(drawn, "to baseline")[7] == "-5.00"
    assert cells(drawn, "min/epoch")[0] == "1.00"
    assert cells(drawn, "images/s")[0] == "100"


@pytest.mark.parametrize(
    ("step", "line"),
    [
        (Paired(3, 0.5, 0.25), "    │─●─ "),
        (Paired(3, 0.0, 0.5), "  ──●──  "),
        (Paired(3, -0.5, 0.75), "◂─●─┼─   "),
        (Paired(1, 1.0), "    │   ○"),  # no interval, which is not one of no width
        (None, "         "),
    ],
)
def test_an_interval_is_a_line_on_a_common_axis_with_a_mark_at_zero(step, line):
    assert interval_line(step, 1.0, width=9) == line


def test_a_large_difference_is_always_within_the_axis():
    found = scripted()
    assert axis_limit(found) == pytest.approx(abs(by_name(found)["large batch"].step.mean))


def test_a_wide_interval_does_not_hide_the_others():
    steps = [Paired(3, 0.01, 0.02)] * 4 + [Paired(3, 0.01, 0.99)]
    found = [Result(Row("trick", BASE, "baseline"), step=step) for step in steps]
    assert axis_limit(found) == pytest.approx(4 * 0.03)  # four times the usual reach; the widest alone has 1.0


def test_the_conclusions_are_honest():
    lines = remarks(scripted(), Metric())
    assert lines[0].startswith("each row has all tricks above it")
    assert lines[1].startswith("2 of 12 differences can be told from zero")
    assert "Holm-corrected for all of them" in lines[1]
    # t(1 − 0.05/24, 2) = 15.46, times 0.001/√3.
    assert lines[2].startswith(
        "with 3 seeds the 95 % intervals reach 0.25 to 0.25 points to each side; to be found alone among 12, a "
        "difference must exceed 0.89 points in the median row"
    )
    assert "over seeds on one validation split" in lines[2]
    assert "distillation: n/a, give --teacher" in lines


def test_alone_it_is_told_what_is_not_compared_with_the_baseline():
    line = remarks(scripted(one_at_a_time=True), Metric())[0]
    assert "compared with the baseline, but for those that bring another along: linear scaling with large batch" in line


def test_a_row_whose_comparison_row_failed_is_told():
    """A large rate without warm-up is what diverges first."""
    found = rows_of(BASE, MISSING)
    configs = {row.name: row.config for row in found if row.config is not None}
    values = {name: [0.5, 0.51, 0.52] for name in configs}
    state = state_of(values, configs)
    for trial in state.trials.values():
        if trial.params["recipe"] == "linear scaling":
            state.apply(TrialEnded(trial=trial.number, outcome="diverged"))
    told = remarks(results(found, state, Metric()), Metric())
    assert "linear scaling: 3 diverged, left out with their pairs" in told
    assert "warm-up: not compared, since linear scaling has no completed trial of the same seeds" in told


def test_speed_and_time_are_medians_without_the_first_epoch():
    found = rows_of(BASE, MISSING)
    configs = {row.name: row.config for row in found if row.config is not None}
    state = state_of({name: [0.5] for name in configs}, configs)
    for trial in state.trials.values():
        last = trial.epochs[-1]
        measured = ((10, 600), (100, 60), (300, 20), (200, 30))
        trial.epochs[:] = [{**last, "images_per_second": speed, "epoch_seconds": time} for speed, time in measured]
    baseline = by_name(results(found, state, Metric()))["baseline"].measured
    assert (baseline.images_per_second, baseline.minutes_per_epoch) == (200, 0.5)


def test_one_seed_has_no_verdict():
    rows_ = rows_of(BASE, MISSING)
    configs = {row.name: row.config for row in rows_ if row.config is not None}
    found = results(rows_, state_of({name: [0.5] for name in configs}, configs), Metric())
    assert {result.verdict for result in found[1:] if result.row.config} == {"not tested"}
    assert "two pairs of seeds or more" in " ".join(remarks(found, Metric()))
    text_of(found)


def test_an_unfinished_study_has_a_table():
    rows_ = rows_of(BASE, MISSING)
    configs = {row.name: row.config for row in rows_ if row.config is not None}
    values = {name: [] for name in configs} | {"baseline": [0.5, 0.6]}
    found = results(rows_, state_of(values, configs), Metric())
    assert "not run" in text_of(found)


def test_the_files_have_the_whole_table(tmp_path):
    found = scripted()
    paths = write_reports(found, Metric(), tmp_path)
    assert paths == [str(tmp_path / "ablation.csv"), str(tmp_path / "ablation.md")]
    records = list(csv.DictReader((tmp_path / "ablation.csv").open()))
    assert [record["row"] for record in records] == [result.row.name for result in found]
    large = records[1]
    assert (large["compared_with"], large["n"], large["pairs"], large["verdict"]) == ("baseline", "3", "3", "worse")
    # −0.1 ∓ 4.3027 · 0.001/√3
    assert (float(large["low"]), float(large["high"])) == pytest.approx((-0.102484, -0.097516), abs=1e-6)
    assert records[10]["note"] == "n/a, give --teacher"
    assert (records[1]["source"], records[9]["source"]) == ("§3.1, from 256 to 1024", "§5.4")
    text = (tmp_path / "ablation.md").read_text()
    assert "| large batch | 41.00 ± 0.95 % | 3 | -10.00 ± 0.25 | -10.00 |" in text
    assert "- 2 of 12 differences can be told from zero" in text


def test_mlflow_gets_every_difference():
    found = metrics(scripted())
    assert found["ablation_cosine"] == pytest.approx(0.05)
    assert found["ablation_cosine_half_width"] == pytest.approx(0.002484, abs=1e-6)
    assert found["ablation_cosine_p_holm"] == pytest.approx(11 * 1.3331e-4, rel=1e-3)
    assert found["ablation_findings"] == 2
    assert "ablation_warm_up" in found
    assert "ablation_distillation" not in found


@pytest.mark.parametrize("one_at_a_time", [False, True])
def test_the_picture_is_drawn(tmp_path, one_at_a_time):
    draw(tmp_path / "ablation.png", "ablate-x", scripted(one_at_a_time), Metric())
    assert (tmp_path / "ablation.png").read_bytes().startswith(b"\x89PNG")


def test_a_picture_of_one_seed_is_drawn_too(tmp_path):
    rows_ = rows_of(BASE, MISSING)
    configs = {row.name: row.config for row in rows_ if row.config is not None}
    found = results(rows_, state_of({name: [0.5] for name in configs}, configs), Metric())
    draw(tmp_path / "ablation.png", "ablate-x", found, Metric())
    assert (tmp_path / "ablation.png").read_bytes().startswith(b"\x89PNG")


def test_a_pinned_base_is_every_rows():
    assert {row.config.epochs for row in rows_of(override(BASE, {"epochs": 3}), MISSING) if row.config} == {3}

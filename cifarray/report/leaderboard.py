"""The leaderboard of a study: rows of plain values, as a table on the terminal, as CSV and as Markdown.

Trials rank by the study's metric after their last epoch, which is also the epoch of the checkpoint that is kept; the
best epoch of a noisy curve is never picked. Not here: which trials there are (`cifarray.study.state`).
"""

import csv
import io
import json
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from cifarray.report import columns
from cifarray.report.columns import Column
from cifarray.report.progress import clock
from cifarray.space.space import SearchSpace
from cifarray.study.faults import last_line
from cifarray.study.state import StudyState
from cifarray.study.trial_record import Metric, TrialRecord

SIZES = ("num_params", "macs", "images_per_second", "minutes")


def rows(state: StudyState) -> list[dict[str, Any]]:
    """Best first. Accuracies in 0..1, MACs of one image, minutes of training and evaluation."""
    names = measured(state)
    return [
        {
            "rank": rank,
            "trial": trial.number,
            "outcome": trial.outcome_in_words,
            "reason": last_line(trial.message),
            "epochs": trial.epoch,
            **{name: trial.epochs[-1].get(name) if trial.epochs else None for name in names},
            "num_params": trial.num_params,
            "macs": trial.macs,
            "images_per_second": trial.epochs[-1].get("images_per_second") if trial.epochs else None,
            "minutes": trial.seconds / 60,
            **{path: trial.params.get(path) for path in state.space.domains},
        }
        for rank, trial in enumerate(state.ranking(), start=1)
    ]


def columns_of(state: StudyState) -> list[str]:
    """Of a table of all trials: what is in each row but the reasons, which are prose."""
    return ["rank", "trial", "outcome", "epochs", *measured(state), *SIZES, *state.space.domains]


def measured(state: StudyState) -> list[str]:
    """What validation gave, the study's metric first."""
    names = {name for trial in state.trials.values() for metrics in trial.epochs[-1:] for name in metrics}
    others = sorted(name for name in names if name.startswith("val_") and name != state.metric.name)
    return [state.metric.name, *others]


def table(
    state: StudyState, width: int, limit: int = 10, all_in: str = "all in leaderboard.md"
) -> tuple[Table, list[str]]:
    """The best `limit` trials for a terminal of `width` columns; and what there was no room for, in sentences, of which
    `all_in` says where it is."""
    best = state.ranking()[:limit]
    speeds = [trial.epochs[-1].get("images_per_second") if trial.epochs else None for trial in best]
    drawn, left_out = columns.fitting(
        [
            Column("#", [str(rank) for rank in range(1, len(best) + 1)]),
            Column("trial", [str(trial.number) for trial in best]),
            Column("outcome", [trial.standing for trial in best], left=True),
            Column("epochs", [str(trial.epoch) for trial in best]),
            Column(state.metric.label, [state.metric.show(trial.value) for trial in best]),
            Column("params", [short_count(trial.num_params) for trial in best], spare=998),
            Column("images/s", [f"{speed:,.0f}" if speed else "–" for speed in speeds], spare=1000),
            Column("time", [clock(trial.seconds) for trial in best], spare=999),
            *param_columns([trial.params for trial in best], state.space),
        ],
        width,
    )
    notes = []
    if len(best) < len(state.trials):
        notes.append(f"{len(best)} of {len(state.trials)} rows")
    if left_out:
        notes.append(f"without {', '.join(column.heading for column in left_out)}")
    lines = [f"{', '.join(notes)}; {all_in}"] if notes else []
    in_words = {trial.number: trial.outcome_in_words for trial in best if trial.outcome_in_words != trial.standing}
    lines += [f"trial {number}: {text}" for number, text in in_words.items()]
    return columns.draw(drawn, width), lines


def param_columns(params: Sequence[Mapping[str, Any]], space: SearchSpace) -> list[Column]:
    """What varies, of the trials with these params; the last fields are left out first where there is no room."""
    names = short_names(space.domains)
    return [
        Column(names[path], [short_value(values.get(path)) for values in params], spare=index)
        for index, path in enumerate(space.domains, start=1)
    ]


def write_reports(state: StudyState, folder: Path) -> list[str]:
    """leaderboard.csv, leaderboard.md and config.json in `folder`; returns their paths."""
    names = columns_of(state)
    cells = [[row[name] for name in names] for row in rows(state)]
    contents = {
        "leaderboard.csv": as_csv(names, cells),
        "leaderboard.md": as_markdown(names, cells),
        "config.json": json.dumps(state.space.to_dict(), indent=2) + "\n",
    }
    for name, content in contents.items():
        (folder / name).write_text(content)
    return [str(folder / name) for name in contents]


def as_csv(columns: Sequence[str], cells: Iterable[Sequence[Any]]) -> str:
    """Numbers with six digits; None is empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_plain(value) for value in row] for row in cells)
    return text.getvalue()


def as_markdown(columns: Sequence[str], cells: Iterable[Sequence[Any]]) -> str:
    """The same as a table."""
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(str(_plain(value)) for value in row) + " |" for row in cells]
    return "\n".join(lines) + "\n"


def mean_and_deviation(values: Sequence[float], metric: Metric) -> str:
    """`78.36 ± 0.45 %`; the deviation is that of a sample, and left out for a single value."""
    mean = statistics.fmean(values)
    if len(values) < 2:
        return metric.show(mean)
    deviation = statistics.stdev(values)
    if metric.lower_is_better:
        return f"{mean:.4f} ± {deviation:.4f}"
    return f"{100 * mean:.2f} ± {100 * deviation:.2f} %"


def describe_params(trial: TrialRecord) -> str:
    """`widen_factor 2 · depth 16 · lr 0.1`, what sets the trial apart."""
    if not trial.params:
        return str(trial.config["model"]["name"])
    names = short_names(trial.params)
    return " · ".join(f"{names[path]} {short_value(value)}" for path, value in trial.params.items())


def short_names(paths: Iterable[str]) -> dict[str, str]:
    """Of dotted paths the last part, where it is no other's too; `schedule` for `schedule.name`."""
    short = {path: path.removesuffix(".name").rsplit(".", 1)[-1] for path in paths}
    counts = Counter(short.values())
    return {path: name if counts[name] == 1 else path for path, name in short.items()}


def short_value(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3g}"
    if isinstance(value, list | tuple):
        return ",".join(short_value(part) for part in value)
    return "–" if value is None else str(value)


def short_count(count: float) -> str:
    """36479194 as 36.5 M."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return str(int(count))


def _plain(value: Any) -> Any:
    return f"{value:.6g}" if isinstance(value, float) else ("" if value is None else value)

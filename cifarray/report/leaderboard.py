"""The leaderboard of a study: rows of plain values, as a table on the terminal, as CSV and as Markdown.

Trials rank by the study's metric after their last epoch, which is also the epoch of the checkpoint that is kept; the
best epoch of a noisy curve is never picked. Not here: which trials there are (`cifarray.study.state`).
"""

import csv
import io
import json
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from cifarray.study.state import StudyState
from cifarray.study.trial_record import Metric, Outcome, TrialRecord

SIZES = ("num_params", "macs", "images_per_second", "minutes")


def rows(state: StudyState) -> list[dict[str, Any]]:
    """Best first. Accuracies in 0..1, MACs of one image, minutes of training and evaluation."""
    names = measured(state)
    return [
        {
            "rank": rank,
            "trial": trial.number,
            "outcome": trial.ending,
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


def measured(state: StudyState) -> list[str]:
    """What validation gave, the study's metric first."""
    names = {name for trial in state.trials.values() for metrics in trial.epochs[-1:] for name in metrics}
    others = sorted(name for name in names if name.startswith("val_") and name != state.metric.name)
    return [state.metric.name, *others]


def table(state: StudyState, limit: int = 10) -> Table:
    """The best `limit` trials for the terminal."""
    drawn = Table(box=None, padding=(0, 1), header_style="bold")
    names = {path: short_name(path, state.space.domains) for path in state.space.domains}
    for heading in ("#", "trial", "outcome", "epochs", state.metric.label, "params", "images/s", "minutes"):
        drawn.add_column(heading, justify="left" if heading == "outcome" else "right", no_wrap=True)
    for path in state.space.domains:
        drawn.add_column(names[path], justify="right", no_wrap=True)
    for row in rows(state)[:limit]:
        drawn.add_row(
            str(row["rank"]),
            str(row["trial"]),
            row["outcome"],
            str(row["epochs"]),
            state.metric.show(row[state.metric.name]),
            short_count(row["num_params"]),
            f"{row['images_per_second']:,.0f}" if row["images_per_second"] else "–",
            f"{row['minutes']:.1f}",
            *(short_value(row[path]) for path in state.space.domains),
        )
    return drawn


def write_reports(state: StudyState, folder: Path) -> list[str]:
    """leaderboard.csv, leaderboard.md and config.json in `folder`; returns their paths."""
    columns = ["rank", "trial", "outcome", "epochs", *measured(state), *SIZES, *state.space.domains]
    cells = [[row[name] for name in columns] for row in rows(state)]
    contents = {
        "leaderboard.csv": as_csv(columns, cells),
        "leaderboard.md": as_markdown(columns, cells),
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


def seeds_summary(state: StudyState) -> str | None:
    """Mean and deviation where the trials are one config under several seeds; else None."""
    values = [t.value for t in state.trials.values() if t.outcome is Outcome.COMPLETED and t.value is not None]
    if set(state.space.domains) != {"seed"} or len(values) < 2:
        return None
    spread = mean_and_deviation(values, state.metric)
    return f"{state.metric.label} {spread} (mean ± standard deviation of n = {len(values)})"


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
        return trial.config["model"]["name"]
    names = {path: short_name(path, trial.params) for path in trial.params}
    return " · ".join(f"{names[path]} {short_value(value)}" for path, value in trial.params.items())


def short_name(path: str, among: Any) -> str:
    """The last part of a dotted path, unless another path ends the same; `schedule` for `schedule.name`."""

    def short(path: str) -> str:
        return path.removesuffix(".name").rsplit(".", 1)[-1]

    return short(path) if sum(short(other) == short(path) for other in among) == 1 else path


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

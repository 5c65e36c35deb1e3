"""What is shown of an ablation: its rows before it runs; at its end table, remarks and picture, which MLflow gets too.

Not here: which rows there are (`cifarray.ablation.rows`), what their trials say (`results`).
"""

from collections.abc import Sequence

from rich.console import Console

from cifarray.ablation.picture import draw
from cifarray.ablation.results import metrics, results
from cifarray.ablation.rows import Row
from cifarray.ablation.table import remarks, table, write_reports
from cifarray.report.leaderboard import short_value
from cifarray.study.events import StudyReported
from cifarray.study.state import StudyState
from cifarray.study.study import Study
from cifarray.tracking.ended import append_to_ended


def show_rows(rows: Sequence[Row], console: Console) -> None:
    """What each row changes in the row that it is compared with."""
    for row in rows:
        if row.config is None:
            change = f"n/a, {row.reason}"
        elif row.against:
            changes = ", ".join(f"{path} = {short_value(value)}" for path, value in row.changes.items())
            change = f"{row.against} with {changes} ({row.source})"
        else:
            change = "the recipe without any trick"
        console.print(f"  {row.name}: {change}", highlight=False, markup=False, soft_wrap=True)


def show_ablation(rows: Sequence[Row], study: Study, state: StudyState, finished: bool, console: Console) -> None:
    """Table, conclusions, files; when all trials have ended MLflow gets them too."""
    result_rows = results(rows, state, study.metric)
    console.print(table(result_rows, study.metric))
    console.print()
    for line in remarks(result_rows, study.metric):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    picture = study.folder / "ablation.png"
    draw(picture, _title(study), result_rows, study.metric)
    artifacts = (*write_reports(result_rows, study.metric, study.folder), str(picture))
    console.print(f"picture: {picture}", highlight=False, soft_wrap=True)
    if finished:
        event = StudyReported(metrics=dict(metrics(result_rows)), artifacts=artifacts)
        message = append_to_ended(study.folder, event, study.tracking_uri)
        if message:
            console.print(message, highlight=False, soft_wrap=True)


def _title(study: Study) -> str:
    config, seeds = study.space.base, study.space.domains["seed"]
    images = "" if config.data.limit is None else f", {config.data.limit:,} training images"
    data = config.data.source.rstrip("/").rpartition("/")[2]
    return f"{study.name}: {data}{images}, {config.epochs} epochs, seeds {seeds}"

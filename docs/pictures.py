"""The pictures of README and docs, from a study's journal.

    python docs/pictures.py ~/cifarray-results/wrn         # or: make pictures STUDY=…

Writes `live.svg`, the live table as it was in mid-study, and `accuracy.svg`, every trial's validation
accuracy against its epochs, beside this file. Not here: running the study; README says with which command it was.
"""

import argparse
import io
import re
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console

from cifarray.journal.journal import FILE_NAME, read_events
from cifarray.report.leaderboard import describe_params
from cifarray.report.live import TableView
from cifarray.study.schedulers.asha import Asha
from cifarray.study.state import StudyState

FOLDER = Path(__file__).parent
WIDTH, HEIGHT = 100, 30
"""Columns and lines of the terminal."""
COLORS = {"winner": "tab:orange", "completed": "tab:blue", "stopped": "0.72"}
OTHER = "mistyrose"
"""Of trials that ended otherwise, or not yet."""


def draw_live(journal: Path, share: float, path: Path) -> None:
    """The live table after `share` of a journal's events, as an SVG of a terminal.

    The driver's view is used as it is: it hears of each event as it did then, and its clock is set back to the start.
    """
    events = read_events(journal)
    seen = events[: max(2, round(share * len(events)))]
    console = Console(record=True, width=WIDTH, height=HEIGHT, force_terminal=True, file=io.StringIO())
    view = TableView(console)
    view.state = StudyState.from_events(seen)
    for event in seen:
        view.event(event)
    view.began = time.monotonic() - (seen[-1].time - seen[0].time)
    table = view.draw()
    console.print(table)
    # No font from the web: wherever the picture is embedded, it may not be loaded.
    local = re.sub(r"\s*@font-face \{\{.*?\}\}", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
    name = view.state.space.name
    path.write_text(console.export_svg(title=f"study {name}", code_format=local, unique_id="live") + "\n")


def draw_accuracy(state: StudyState, path: Path) -> None:
    """Of every trial the study's metric after each epoch; stopped ones pale, the winner marked."""
    matplotlib.rcParams.update({"svg.hashsalt": "cifarray", "font.size": 11})
    percent = 1 if state.metric.lower_is_better else 100
    ranking = [trial for trial in state.ranking() if trial.epochs]
    winner = ranking[0]
    figure = Figure(figsize=(8.5, 4.6), layout="constrained")
    axes = figure.subplots()
    for rung in state.scheduler.rungs(winner.config["epochs"]) if isinstance(state.scheduler, Asha) else ():
        axes.axvline(rung, color="0.8", linewidth=1, linestyle=":", zorder=0)
    kinds = {trial.number: str(trial.outcome) for trial in ranking} | {winner.number: "winner"}
    for trial in reversed(ranking):
        kind = kinds[trial.number]
        color = COLORS.get(kind, OTHER)
        ys = [percent * metrics[state.metric.name] for metrics in trial.epochs]
        axes.plot(range(1, len(ys) + 1), ys, color=color, linewidth=2.5 if kind == "winner" else 1.3)
        axes.plot(len(ys), ys[-1], "o", color=color, markersize=6 if kind == "winner" else 4)
    counts = Counter(kinds.values())
    said = {
        "winner": f"best, trial {winner.number}: {winner.metric.show(winner.value)} ({describe_params(winner)})",
        "completed": f"others that ran to the last epoch ({counts['completed']})",
        "stopped": f"stopped by the scheduler ({counts['stopped']})",
    }
    for kind, text in said.items():
        if counts[kind]:
            axes.plot([], [], "o-", color=COLORS[kind], label=text)
    axes.set_xlabel("epoch")
    axes.set_ylabel(state.metric.label.replace("val ", "validation ") + ("" if percent == 1 else " (%)"))
    axes.set_xlim(0.8, winner.config["epochs"] + 0.2)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="lower right", fontsize=10)
    figure.savefig(path, metadata={"Date": None})


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("study", type=Path, help="a study's folder, with its journal")
    parser.add_argument(
        "--share", type=float, default=0.65, help="of the events that the live table has seen: %(default)s"
    )
    parser.add_argument("--to", type=Path, default=FOLDER, metavar="FOLDER", help="default: the folder of this file")
    flags = parser.parse_args(arguments)
    journal = flags.study.expanduser() / FILE_NAME
    draw_live(journal, flags.share, flags.to / "live.svg")
    draw_accuracy(StudyState.from_events(read_events(journal)), flags.to / "accuracy.svg")


if __name__ == "__main__":
    main()

"""The picture and the table of a lesion study: error against the block whose branch is silent."""

import csv
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cifarray.examine.lesions import Lesion

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def median_rises(intact: float, lesions: Sequence[Lesion]) -> dict[str, float]:
    """Median rise of the error (in 0..1) over the blocks that downsample, and over the others."""
    kinds = {"downsampling": True, "other": False}
    rises = {kind: [each.error - intact for each in lesions if each.downsamples is is_] for kind, is_ in kinds.items()}
    return {kind: statistics.median(values) for kind, values in rises.items() if values}


def write_table(path: Path, intact: float, lesions: Sequence[Lesion]) -> None:
    """CSV; errors and rises in %."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["block", "name", "downsamples", "error_percent", "rise_percent"])
        for each in lesions:
            row = [each.index, each.name, str(each.downsamples).lower()]
            writer.writerow([*row, f"{100 * each.error:.3f}", f"{100 * (each.error - intact):.3f}"])


def draw(path: Path, title: str, intact: float, lesions: Sequence[Lesion]) -> None:
    """PNG of `plot`."""
    plot(title, intact, lesions).savefig(path, dpi=130)


def plot(title: str, intact: float, lesions: Sequence[Lesion]) -> "Figure":
    """One point per block, the blocks that downsample marked, the intact network as a line."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(9, 4.5), layout="constrained")
    axes = figure.add_subplot()
    for each in lesions:
        if each.downsamples:
            axes.axvline(each.index, color="tab:blue", alpha=0.25, linewidth=6, zorder=0)
    xs, ys = [each.index for each in lesions], [100 * each.error for each in lesions]
    axes.plot(xs, ys, "o-", color="0.35", markersize=5, linewidth=1, label="one branch silent")
    marked = [each for each in lesions if each.downsamples]
    axes.plot(
        [each.index for each in marked],
        [100 * each.error for each in marked],
        "o",
        color="tab:blue",
        markersize=8,
        label="… of a block that downsamples",
    )
    axes.axhline(100 * intact, color="tab:red", linestyle="--", linewidth=1.2, label=f"intact: {100 * intact:.2f} %")
    axes.set_xlabel("residual block")
    axes.set_ylabel("validation error (%)")
    axes.set_title(title)
    axes.set_xlim(0.3, len(lesions) + 0.7)
    # Room above the highest point, however little the others differ from it.
    axes.set_ylim(0, 1.08 * max(100 * intact, *ys, 1))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.legend(loc="outside lower center", ncols=3, frameon=False)
    return figure

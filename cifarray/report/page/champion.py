"""Part 8, the champion: its confusion matrix, the accuracy of each class, and what it takes for something else.

Not here: evaluating it, which takes the network and its images (`cifarray.examine.champion`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cifarray.report.page.parts import BLUE, Column, Figure, Part, Picture, Table, plain, plural

MOST_NAMED, MOST_PAIRS = 40, 12
"""Classes that a matrix has words for, and pairs of them that are listed."""


@dataclass(frozen=True)
class Wrong:
    """A misclassified image as PNG, and how sure the network was of it."""

    png: bytes
    label: str
    answer: str
    confidence: float
    """0..1, of the answer."""


@dataclass(frozen=True)
class Examined:
    """What a trained network makes of validation images.

    confusion: (classes, classes) counts, a row for each true class and a column for each answer. images: that were
    looked at, `of` so many that were held out. worst: largest loss first.
    """

    trial: int
    classes: Sequence[str]
    confusion: Sequence[Sequence[int]]
    images: int
    of: int
    worst: Sequence[Wrong]
    computed: str = ""
    """In which number format and on what, in words; empty where that is not known."""


def champion(examined: Examined | str) -> Part:
    """examined: a sentence says why there is nothing to be seen."""
    if isinstance(examined, str):
        return Part(examined)
    counts = examined.confusion
    right = sum(row[place] for place, row in enumerate(counts))
    share = right / examined.images
    accuracy = [row[place] / sum(row) if sum(row) else None for place, row in enumerate(counts)]
    known = [(value, name) for value, name in zip(accuracy, examined.classes, strict=True) if value is not None]
    hardest, easiest = min(known), max(known)
    looked_at = f"{examined.images:,} validation images"
    if examined.images < examined.of:
        looked_at += f" of {examined.of:,}, an even part of each class"
    sentence = (
        f"Trial {examined.trial} is right on {share:.2%} of {looked_at}; {easiest[1]} is its easiest class "
        f"({easiest[0]:.1%}) and {hardest[1]} its hardest ({hardest[0]:.1%})."
    )
    wrong = examined.images - right
    notes = [f"Computed in {examined.computed}."] if examined.computed else []
    if examined.worst:
        notes.append(
            f"Of {plural(wrong, 'image')} that it takes for something else, these {len(examined.worst)} cost it most: "
            "what they are, and what it takes them for and how surely."
        )
    pictures = [
        Picture(each.png, f"{each.label}, taken for {each.answer} ({each.confidence:.0%})") for each in examined.worst
    ]
    tables = [_pairs(examined)] if wrong else []
    return Part(
        sentence,
        figures=[_matrix(examined), _per_class(examined, accuracy)],
        tables=tables,
        pictures=pictures,
        notes=notes,
    )


def _matrix(examined: Examined) -> Figure:
    classes = [plain(name) for name in examined.classes]
    shares = [[count / max(1, sum(row)) for count in row] for row in examined.confusion]
    few = len(classes) <= MOST_NAMED
    trace: dict[str, Any] = {
        "type": "heatmap",
        "z": [[round(share, 4) for share in row] for row in shares],
        "text": [list(row) for row in examined.confusion],
        "x": classes,
        "y": classes,
        "colorscale": [[0, "rgba(31,119,180,0.05)"], [1, "rgba(31,119,180,1)"]],
        "zmin": 0,
        "zmax": 1,
        "colorbar": {"tickformat": ".0%", "thickness": 12},
        "hovertemplate": "%{y} taken for %{x}: %{text} (%{z:.1%})<extra></extra>",
    }
    if len(classes) <= 12:
        trace |= {"texttemplate": "%{text}", "textfont": {"size": 10}}
    axis = {"type": "category", "automargin": True, "showticklabels": few}
    layout = {
        "xaxis": {**axis, "title": {"text": "answer"}, "tickangle": -45},
        "yaxis": {**axis, "title": {"text": "true class"}, "autorange": "reversed"},
    }
    return Figure("Confusion matrix: true class against answer", {"data": [trace], "layout": layout}, 460)


def _per_class(examined: Examined, accuracy: Sequence[float | None]) -> Figure:
    found = sorted(zip(accuracy, examined.classes, strict=True), key=lambda each: -1.0 if each[0] is None else each[0])
    trace = {
        "type": "bar",
        "orientation": "h",
        "x": [value for value, _ in found],
        "y": [plain(name) for _, name in found],
        "marker": {"color": BLUE},
        "hovertemplate": "%{y}: %{x:.1%}<extra></extra>",
    }
    layout = {
        "xaxis": {"tickformat": ".0%", "range": [0, 1], "title": {"text": "accuracy"}},
        "yaxis": {"type": "category", "automargin": True},
    }
    return Figure("Accuracy of each class", {"data": [trace], "layout": layout}, max(460, 90 + 16 * len(found)))


def _pairs(examined: Examined) -> Table:
    """What is taken for what, the most frequent first."""
    pairs = [
        (count, label, answer)
        for label, row in zip(examined.classes, examined.confusion, strict=True)
        for answer, count in zip(examined.classes, row, strict=True)
        if count and label != answer
    ]
    cells = [[label, answer, count] for count, label, answer in sorted(pairs, key=lambda pair: (-pair[0], *pair[1:]))]
    cells = cells[:MOST_PAIRS]
    columns = [Column("true class"), Column("answer"), Column("images", "count")]
    return Table("Most frequent mistakes", columns, cells)

"""The parts of one study, or of several side by side, as one HTML file that opens without a network.

Names and messages are somebody else's text: Jinja escapes all that is markup, and JSON in the page has no `<`. Not
here: what the parts say (a file for each), how the page looks (`page.html`, `page.css`, `page.js`).
"""

import dataclasses
import json
import math
from collections.abc import Callable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from cifarray.redaction import redact
from cifarray.report.page.answer import answer
from cifarray.report.page.board import board
from cifarray.report.page.champion import Examined, champion
from cifarray.report.page.curves import curves
from cifarray.report.page.hours import where_time_went
from cifarray.report.page.mattered import mattered
from cifarray.report.page.origins import origins
from cifarray.report.page.overview import overview
from cifarray.report.page.parts import Figure, Part, Table
from cifarray.report.page.price import price
from cifarray.report.page.told import Told
from cifarray.report.page.trust import trust

DIGITS = 6
"""Of a number in a figure."""
NOT_EXAMINED = "The champion was not looked at: python jobs/report.py evaluates it on the validation images."


@dataclasses.dataclass(frozen=True)
class Section:
    """One heading of the page, and what each study says under it."""

    key: str
    title: str
    """With its number, where it has one."""
    parts: Sequence[tuple[str, Part]]
    """With the names of the studies."""


def sections(
    studies: Sequence[Told], examined: Mapping[str, Examined | str] | None = None, per_hour: float | None = None
) -> list[Section]:
    """examined: by the name of the study. per_hour: the price of a worker-hour."""
    examined = examined or {}
    makers: list[tuple[str, str, Callable[[Told], Part]]] = [
        ("answer", "The answer", lambda told: answer(told, per_hour)),
        ("leaderboard", "Leaderboard", board),
        ("curves", "Learning curves", curves),
        ("price", "What accuracy costs", price),
        ("mattered", "What mattered", mattered),
        ("time", "Where the time went", where_time_went),
        ("trust", "How far to trust it", trust),
        ("champion", "The champion", lambda told: champion(examined.get(told.name, NOT_EXAMINED))),
        ("origins", "Where it comes from", origins),
    ]
    made = [
        Section(key, f"{number}. {title}", [(told.name, make(told)) for told in studies])
        for number, (key, title, make) in enumerate(makers, start=1)
    ]
    return [Section("overview", "Side by side", [("", overview(studies))]), *made] if len(studies) > 1 else made


def render(made: Sequence[Section], title: str) -> str:
    """The whole page."""
    # Late: they are for reports alone.
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from plotly.offline import get_plotlyjs

    environment = Environment(
        loader=PackageLoader("cifarray.report.page", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        finalize=_without_secrets,
    )
    figures: list[dict[str, Any]] = []
    tables: list[dict[str, Any]] = []

    def figure(each: Figure) -> int:
        figures.append({"content": each.content, "width": each.width, "wide": each.wide})
        return len(figures) - 1

    def table(each: Table) -> int:
        columns = [[column.heading, column.kind] for column in each.columns]
        tables.append({"columns": columns, "rows": each.cells})
        return len(tables) - 1

    package = resources.files("cifarray.report.page")
    return environment.get_template("page.html").render(
        title=title,
        sections=made,
        figure=figure,
        table=table,
        figures=lambda: _embedded(figures),
        tables=lambda: _embedded(tables),
        css=_of_script(package.joinpath("page.css").read_text(encoding="utf-8")),
        js=_of_script(package.joinpath("page.js").read_text(encoding="utf-8")),
        plotly=_of_script(get_plotlyjs()),
    )


def write(
    studies: Sequence[Told],
    path: Path,
    examined: Mapping[str, Examined | str] | None = None,
    price: float | None = None,
) -> Path:
    """The page of these studies at `path`, whole or not at all. Raises OSError."""
    page = render(sections(studies, examined, price), " · ".join(told.name for told in studies))
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(page, encoding="utf-8")
    partial.replace(path)
    return path


def _embedded(values: Any) -> Any:
    """JSON that may stand in a script element: it cannot end it, whatever its texts say."""
    from markupsafe import Markup

    text = json.dumps(_written(values), allow_nan=False, separators=(",", ":"), ensure_ascii=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


def _without_secrets(value: Any) -> Any:
    """Texts of the page; what is made here and marked as safe is not looked at."""
    return redact(value) if type(value) is str else value


def _of_script(text: str) -> Any:
    """What is the project's or plotly's own, as it is."""
    from markupsafe import Markup

    assert "</script" not in text.lower() or "</style" not in text.lower()
    return Markup(text)


def _written(value: Any) -> Any:
    """As JSON has it: arrays as lists, numbers with six digits, what is no number as null."""
    match value:
        case bool() | None:
            return value
        case str():
            return redact(value)
        case int():
            return int(value)
        case float():
            return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None
        case Mapping():
            return {str(name): _written(each) for name, each in value.items()}
        case list() | tuple():
            return [_written(each) for each in value]
    return _written(value.tolist())

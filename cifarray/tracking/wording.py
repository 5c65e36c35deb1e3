"""How a study's values, colours and plan are put for MLflow: short, and within its limits. Pure.

Not here: which event says what (`cifarray.tracking.changes`).
"""

import colorsys
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cifarray.fields import as_text
from cifarray.study.events import DriverStarted, StudyStarted
from cifarray.study.time_budget import UNLIMITED
from cifarray.study.trial_record import Metric
from cifarray.tracking.summary import Totals

PARAM_LENGTH, TAG_LENGTH = 6000, 8000  # MLflow's limits


@dataclass(frozen=True)
class Links:
    """Within MLflow's pages. name: the study's. model: what became of the winner's network, a sentence."""

    name: str
    trials: Mapping[int, str]
    table: str
    model: str


def brief(value: Any) -> str:
    """A param's value as MLflow shows it: short, because its parallel coordinates cut words after 10 characters.

    Numbers keep six digits, which is for reading; the exact ones are in the journal and in the config artifact.
    """
    return clip(as_text(value), PARAM_LENGTH)


def color(trial: int) -> str:
    """A trial's colour in MLflow's charts, whose own choice gives two of six runs the same one.

    Hues a golden ratio apart: any few trials in a row differ.
    """
    hue = (0.58 + trial * 0.618034) % 1
    rgb = colorsys.hls_to_rgb(hue, (0.4, 0.55, 0.35)[trial % 3], 0.7)
    return "#" + "".join(f"{round(255 * part):02x}" for part in rgb)


def describe(study: StudyStarted) -> str:
    """One line for the parent run: what varies, over how many trials, and who decides."""
    varied = [f"{path} in {_domain(domain)}" for path, domain in study.domains.items()]
    what = f"Searches {', '.join(varied)}" if varied else "Trains one config"
    trials = "1 trial" if study.num_trials == 1 else f"{study.num_trials} trials"
    if study.num_trials >= UNLIMITED:
        trials = "as many trials as a budget of time allows"
    deciders = [f"scheduler {_decider(study.scheduler)}", f"searcher {_decider(study.searcher)}"]
    workers = "1 worker" if study.workers == 1 else f"{study.workers} workers"
    return " · ".join([what, trials, *deciders, f"{workers} per trial"])


def source_tags(driver: DriverStarted) -> dict[str, str | None]:
    """MLflow's own tags of where a run's code is from, which its table of runs shows."""
    tags: dict[str, str | None] = {}
    script = next((word for word in shlex.split(driver.command)[1:] if word.endswith(".py")), None)
    if script is not None:
        tags |= {"mlflow.source.name": script, "mlflow.source.type": "LOCAL"}
    commit, _, changed = driver.versions.get("commit", "").partition(" ")
    if commit:
        tags |= {"mlflow.source.git.commit": commit, "mlflow.source.git.dirty": str(bool(changed)).lower()}
    return tags


def note(started: StudyStarted, best: Sequence[tuple[int, Totals]], links: Links) -> str:
    """The parent run's description, in Markdown: what is searched, how the best trials stand, where all of them are."""
    lines = [describe(started)]
    if best:
        metric = Metric(started.metric)
        lines += ["", f"| trial | {metric.label} | epochs | outcome | what varied |", "|---|---|---|---|---|"]
    for number, trial in best:
        address = links.trials.get(number)
        name = f"{links.name}-{number}"
        shown = metric.show(trial.final.get(metric.name))
        cells = [
            f"[{name}]({address})" if address else name,
            shown,
            str(trial.epochs),
            str(trial.outcome),
            trial.params,
        ]
        lines.append(f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |")
    lines += ["", f"[All trials, with what varied]({links.table})"]
    if links.model:
        lines += ["", links.model]
    return clip("\n".join(lines), TAG_LENGTH)


def table_of_trials(started: StudyStarted, study_tag: str) -> dict[str, Any]:
    """What MLflow's page of runs is to show of the study: its runs, the best first, with its metric and what varies."""
    metric = Metric(started.metric)
    columns = [f"attributes.`{name}`" for name in ("Source", "Models", "Dataset")]
    columns += [f"metrics.`{metric.name}`", *(f"params.`{path}`" for path in started.domains)]
    return {
        "searchFilter": f"tags.`{study_tag}` = '{started.id}'",
        "orderByKey": f"metrics.`{metric.name}`",
        "orderByAsc": metric.lower_is_better,
        "selectedColumns": columns,
    }


def _decider(value: Any) -> str:
    if not isinstance(value, Mapping):
        return brief(value)
    fields = ", ".join(f"{name}={brief(item)}" for name, item in value.items() if name != "name")
    return f"{value.get('name', '')} ({fields})".strip() if fields else str(value["name"])


def _domain(domain: Mapping[str, Any]) -> str:
    if "cases" in domain:
        return " or ".join(_domain(case) for _, case in domain["cases"])
    if "values" in domain:
        return "{" + ", ".join(brief(value) for value in domain["values"]) + "}"
    return f"{domain['low']:g}..{domain['high']:g}{' (log)' if domain['log'] else ''}"


def clip(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"

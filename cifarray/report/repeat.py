"""The command that trains a trial's config once more: a recipe, and what differs from it.

Not here: how a command line becomes a config (`cifarray.cli.flags`).
"""

import shlex
from collections.abc import Mapping
from typing import Any

from cifarray.config import TrainConfig
from cifarray.fields import flatten
from cifarray.recipes import RECIPES
from cifarray.space.space import RECIPE
from cifarray.study.trial_record import TrialRecord

FLAGS = {"data.source": "--data", "seed": "--seed", "epochs": "--epochs", "distillation.teacher": "--teacher"}
"""Fields that have a flag of their own."""
FOUND_BY_FLAGS = ("distillation.studies",)


def repeat(trial: TrialRecord, name: str, workers: int) -> str | None:
    """`python jobs/train.py RECIPE …`, as a study of that `name` with so many `workers`.

    None where no recipe has the trial's network, or a field cannot be typed. Raises ValueError for a config that is
    none any more.
    """
    # Of a journal that is older than a field, with that field's default.
    wanted = flatten(TrainConfig.from_dict(trial.config).to_dict())
    candidates = [str(trial.params[RECIPE])] if trial.params.get(RECIPE) in RECIPES else list(RECIPES)
    found = [(changes, each) for each in candidates if (changes := _differences(each, wanted)) is not None]
    if not found:
        return None
    changed, recipe = min(found, key=lambda each: len(each[0]))
    words = ["python", "jobs/train.py", recipe, "--name", name]
    for path, flag in FLAGS.items():
        if wanted.get(path) is not None and (path in changed or path == "data.source"):
            words += [flag, str(wanted[path])]
    if workers > 1:
        words += ["--workers", str(workers)]
    assigned = []
    for path in changed:
        if path in FOUND_BY_FLAGS or (path in FLAGS and wanted.get(path) is not None):
            continue
        text = _typed(wanted[path])
        if text is None:
            return None
        assigned.append(f"{path}={text}")
    return shlex.join([*words, *(["--set", *assigned] if assigned else [])])


def _differences(name: str, wanted: Mapping[str, Any]) -> list[str] | None:
    """The fields that have to be changed in a recipe; None where it has a field that cannot be taken away."""
    fields = flatten(RECIPES[name]().to_dict())
    if fields["model.name"] != wanted.get("model.name") or not fields.keys() <= wanted.keys():
        return None
    return [path for path, value in wanted.items() if path not in fields or fields[path] != value]


def _typed(value: Any) -> str | None:
    """As `parse_value` reads it."""
    match value:
        case None:
            return "none"
        case bool():
            return str(value).lower()
        case int() | float():
            return repr(value)
        case str():
            return value or None
        case list() | tuple() if all(isinstance(part, int | float) for part in value):
            return f"[{','.join(map(repr, value))}]"
    return None

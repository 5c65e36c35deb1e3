"""Imports go one way: jobs → search_spaces → cifarray, and inside it search → training → {models, data} → config."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# What a part of the package may import of the others.
ALLOWED = {
    "config": set(),
    "storage": set(),
    "places": set(),
    "models": set(),
    "data": {"config", "storage"},
    "training": {"config", "storage", "models", "data"},
    "recipes": {"config"},
    "tracking": {"config"},
    "report": {"config", "search", "recipes", "models", "training"},
    "search": {"config", "storage", "models", "data", "training", "tracking", "report"},
    "cluster_file": {"storage"},
    "cli": {"config", "storage", "models", "data", "training", "recipes", "report", "search", "tracking"},
    "__init__": {"training", "tracking"},
}
# Where a library may be imported at all.
LIBRARIES = {
    "pyarrow": {"data", "storage"},
    "mlflow": {"tracking", "report"},
    "ray": {"search", "cluster_file"},
    "optuna": {"search"},
    "yaml": {"cluster_file"},
    "boto3": {"cluster_file"},
    "moto": {"cluster_file"},
}


def part_of(path):
    relative = path.relative_to(ROOT / "cifarray")
    return relative.parts[0] if len(relative.parts) > 1 else relative.stem


def imported(path):
    """Dotted names of everything a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


FILES = sorted((ROOT / "cifarray").rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_parts_import_only_what_is_below_them(path):
    part = part_of(path)
    for name in imported(path):
        pieces = name.split(".")
        if pieces[0] in ("jobs", "search_spaces", "tests"):
            pytest.fail(f"{path} imports {name}")
        if pieces[0] == "cifarray" and len(pieces) > 1 and pieces[1] != part:
            assert pieces[1] in ALLOWED[part] | {"places"}, name
        if pieces[0] in LIBRARIES:
            assert part in LIBRARIES[pieces[0]], name


def test_models_import_torch_and_torchvision_alone():
    for path in (ROOT / "cifarray" / "models").glob("*.py"):
        foreign = {name.split(".")[0] for name in imported(path)} & {"ray", "mlflow", "pyarrow", "numpy", "pydantic"}
        assert not foreign


@pytest.mark.parametrize("path", sorted((ROOT / "jobs").glob("*.py")), ids=lambda path: path.name)
def test_jobs_are_thin(path):
    assert len(path.read_text().splitlines()) <= 30
    assert not [name for name in imported(path) if name.startswith("jobs")]


def test_no_file_is_called_after_nothing():
    names = {path.name for path in FILES}
    assert not names & {"utils.py", "common.py", "helpers.py", "base.py"}

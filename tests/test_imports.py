"""Imports go one way, between rooms and between files, and every library has its rooms.

config → {models, data, recipes, space} → training → study → journal → {report, tracking} → {engine, examine, ablation}
→ simulate → cli → jobs; imports for types alone count too.
"""

import ast
import graphlib
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PLAIN = {"config", "errors", "fields", "output", "places", "redaction", "storage"}
"""Single files at the bottom, which any room may import."""
ROOMS = {
    "models": set(),
    "data": set(),
    "recipes": set(),
    "space": {"models"},
    "training": {"models", "data"},
    "study": {"models", "space", "training"},
    "journal": {"space", "study"},
    "report": {"models", "recipes", "space", "training", "study", "journal"},
    "tracking": {"training", "study", "journal"},
    "engine": {"data", "space", "training", "study", "journal", "report", "tracking"},
    "examine": {"models", "data", "space", "training", "study", "journal", "report", "tracking"},
    "ablation": {"models", "recipes", "space", "training", "study", "journal", "report", "tracking"},
    "simulate": {"space", "study", "training", "engine"},
    "cluster_file": set(),
}
ROOMS["cli"] = set(ROOMS) - {"cluster_file"}
"""What a room may import of the others, beside `PLAIN`."""
ALLOWED = {
    **{room: allowed | PLAIN for room, allowed in ROOMS.items()},
    "config": {"fields", "wrong_fields"},
    "errors": set(),
    "fields": set(),
    "output": set(),
    "places": set(),
    "redaction": set(),
    "storage": {"places", "redaction"},
    "wrong_fields": set(),
    # `cifarray.load` of a trained network, `cifarray.results` of a study.
    "__init__": {"training", "examine", "report"},
}
LIBRARIES = {
    "torch": {"models", "data", "training", "tracking", "engine", "examine", "cli"},
    "torchvision": {"models", "data", "training"},
    "pyarrow": {"data", "storage"},
    "mlflow": {"tracking", "report"},
    "ray": {"engine", "cluster_file"},
    "optuna": {"study", "report", "simulate"},
    "plotly": {"report"},
    "jinja2": {"report"},
    "pandas": {"report", "__init__"},
    "matplotlib": {"report", "examine", "ablation"},
    "rich": {"report", "ablation", "cli", "cluster_file"},
    "pydantic": {"config", "wrong_fields", "cluster_file"},
    "yaml": {"cluster_file"},
    "onnx": {"examine"},
    "onnxruntime": {"examine"},
    "boto3": {"cluster_file"},
    "moto": {"cluster_file"},
}
"""Where a library may be imported at all."""
MODELS = {"torch", "torchvision", "cifarray", *sys.stdlib_module_names}
"""All that networks are made of."""

FILES = sorted((ROOT / "cifarray").rglob("*.py"))


def module_of(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room_of(module):
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


MODULES = {module_of(path): path for path in FILES}


def imported(path):
    """Dotted names of everything a file imports, wherever in it; of our own, the modules."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield whole if whole in MODULES else node.module


def violations(room, name):
    """Why a file of `room` may not import `name`; None if it may."""
    first, *rest = name.split(".")
    if first in ("jobs", "search_spaces", "tests"):
        return f"{first} is built on cifarray"
    if first == "cifarray":
        other = rest[0] if rest else "__init__"
        if other not in {room, "__init__"} | ALLOWED[room]:
            return f"{room} may import {', '.join(sorted(ALLOWED[room])) or 'no other room'}"
    elif first in LIBRARIES and room not in LIBRARIES[first]:
        return f"{first} is for {', '.join(sorted(LIBRARIES[first]))}"
    return None


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_rooms_import_only_what_is_below_them(path):
    room = room_of(module_of(path))
    found = [(name, why) for name in imported(path) if (why := violations(room, name))]
    assert not found, f"{path.relative_to(ROOT)} imports {found}"


def test_the_rooms_are_in_an_order():
    list(graphlib.TopologicalSorter(ALLOWED).static_order())


def test_the_files_are_in_an_order():
    """No circle: each file can be read after those that it imports. A package that only gathers its own files aside."""
    edges = {module: {name for name in imported(path) if name in MODULES} for module, path in MODULES.items()}
    try:
        list(graphlib.TopologicalSorter(edges).static_order())
    except graphlib.CycleError as error:
        pytest.fail(" → ".join(reversed(error.args[1])))


def test_models_import_torch_and_torchvision_alone():
    for path in (ROOT / "cifarray" / "models").glob("*.py"):
        foreign = {name for name in imported(path) if name.split(".")[0] not in MODELS}
        assert not foreign, f"{path.name} imports {foreign}"


def test_search_spaces_import_space_recipes_and_the_config_alone():
    for path in (ROOT / "search_spaces").glob("*.py"):
        foreign = {name for name in imported(path) if room_of(name) not in {"space", "recipes", "config", "__init__"}}
        assert not foreign, f"{path.name} imports {foreign}"


@pytest.mark.parametrize("path", sorted((ROOT / "jobs").glob("*.py")), ids=lambda path: path.name)
def test_jobs_are_thin(path):
    assert len(path.read_text().splitlines()) <= 30
    assert not [name for name in imported(path) if name.startswith("jobs")]


def test_no_file_is_called_after_nothing():
    names = {path.name for path in FILES}
    assert not names & {"utils.py", "common.py", "helpers.py", "base.py"}


def modules_after(statement, blocked=()):
    """What is loaded and what is in the environment after a statement in a fresh process in which the modules `blocked`
    cannot be imported."""
    code = (
        f"import os, sys; sys.modules.update(dict.fromkeys({list(blocked)!r}))\n"
        f"before = set(os.environ.items())\n{statement}\n"
        "print(*sys.modules, *(f'{name}=' for name, _ in set(os.environ.items()) - before))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


@pytest.mark.parametrize("room", ["study", "journal", "space"])
def test_what_decides_and_records_needs_neither_torch_nor_ray_nor_mlflow(room):
    modules = [module for module in MODULES if room_of(module) == room]
    loaded = modules_after("\n".join(f"import {module}" for module in modules), blocked=("ray", "mlflow", "torch"))
    assert not loaded & {"torchvision", "optuna", "scipy", "pandas"}


def test_search_spaces_set_no_environment_variable_and_need_no_ray():
    modules = [f"search_spaces.{path.stem}" for path in (ROOT / "search_spaces").glob("[a-z]*.py")]
    loaded = modules_after("\n".join(f"import {module}" for module in modules), blocked=("ray", "mlflow"))
    assert not [name for name in loaded if name.endswith("=")]


def test_training_needs_neither_ray_nor_mlflow():
    modules = [module for module in MODULES if room_of(module) in ("training", "models", "data")]
    modules_after("\n".join(f"import {module}" for module in modules), blocked=("ray", "mlflow"))


def test_the_driver_needs_no_ray():
    modules_after("import cifarray.engine.driver", blocked=("ray", "mlflow", "torch"))


def test_a_network_that_is_not_compiled_does_not_import_the_compiler():
    """It takes longer than PyTorch itself."""
    modules = [module for module in MODULES if room_of(module) == "models"]
    counted = "from cifarray.models import count_params; count_params('stochastic_depth_resnet', 10, {'depth': 8})"
    loaded = modules_after("\n".join([*(f"import {module}" for module in modules), counted]))
    assert "torch" in loaded
    assert "torch._dynamo" not in loaded

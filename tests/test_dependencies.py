"""What is imported is declared in pyproject.toml, and what is declared there is used."""

import ast
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
OURS = {"cifarray", "jobs", "search_spaces", "tests", *(path.stem for path in (ROOT / "tests").rglob("*.py"))}
EXTRAS = {
    "cifarray": [],
    "jobs": [],
    "search_spaces": [],
    "cifarray/cluster_file": ["head", "cluster"],
    "cifarray/examine": ["export"],
    "tests": ["test"],
    "tests/benchmarks": ["test", "bench"],
}
"""What may be imported in a folder beside what everybody has; of two folders the inner one's."""
NEVER_IMPORTED = {
    *("supervisor", "ruff", "mypy", "pytest-timeout", "pytest-xdist"),  # commands and plugins
    "setuptools",  # run in a process of its own
    "onnxscript",  # imported by torch
    *("google-api-python-client", "google-auth-httplib2", "google-cloud-storage"),  # imported by Ray and MLflow
}


def declared(*extras):
    """Canonical names of the packages that are installed with these extras."""
    texts = [*PROJECT["dependencies"], *(each for extra in extras for each in PROJECT["optional-dependencies"][extra])]
    found = set()
    for requirement in map(Requirement, texts):
        name = canonicalize_name(requirement.name)
        found |= declared(*requirement.extras) if name == "cifarray" else {name}
    return found


DISTRIBUTIONS = {
    module: {canonicalize_name(name) for name in names} for module, names in metadata.packages_distributions().items()
}


def imported(folder):
    """The packages that the files of a folder import, without those of inner folders that have extras of their own."""
    inner = [ROOT / other for other in EXTRAS if other.startswith(f"{folder}/")]
    found = {}
    for path in (ROOT / folder).rglob("*.py"):
        if any(path.is_relative_to(other) for other in inner):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            names = [node.module] if isinstance(node, ast.ImportFrom) and node.level == 0 else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            for name in {name.split(".")[0] for name in names} - OURS - sys.stdlib_module_names:
                found[name] = path.relative_to(ROOT)
    return {name: (DISTRIBUTIONS.get(name, {name}), path) for name, path in found.items()}


@pytest.mark.parametrize("folder", EXTRAS)
def test_what_is_imported_is_declared(folder):
    known = declared(*EXTRAS[folder])
    missing = {name: str(path) for name, (packages, path) in imported(folder).items() if not packages & known}
    assert not missing, f"declare in pyproject.toml what {folder} imports: {missing}"


def test_what_is_declared_is_used():
    used = {package for folder in EXTRAS for packages, _ in imported(folder).values() for package in packages}
    assert declared(*PROJECT["optional-dependencies"]) - used == NEVER_IMPORTED

"""A clone in a folder of the package's name, installed as `make install` does, and a script beside that folder."""

import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

import cifarray

ROOT = Path(__file__).parents[1]
BUILD = "import sys; from setuptools.build_meta import build_editable; print(build_editable(sys.argv[1]))"


@pytest.fixture(scope="module")
def projects(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the clone `cifarray` in it, and a virtual environment that has its editable install alone."""
    projects = tmp_path_factory.mktemp("projects")
    clone, wheels = projects / "cifarray", projects / "wheels"
    wheels.mkdir()
    for name in ("cifarray", "search_spaces"):
        shutil.copytree(ROOT / name, clone / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, clone)
    subprocess.run([sys.executable, "-c", BUILD, str(wheels)], cwd=clone, check=True, capture_output=True, timeout=120)
    venv.create(projects / ".venv", symlinks=True)
    # All that pip does with the wheel of an editable install.
    (wheel,) = wheels.glob("*.whl")
    (site_packages,) = (projects / ".venv" / "lib").glob("python*/site-packages")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site_packages)
    return projects


@pytest.mark.parametrize("where", ["projects", "clone", "elsewhere"])
def test_the_package_is_imported_wherever_a_script_lies(projects: Path, tmp_path: Path, where: str) -> None:
    """In the folder of the clone, that is an empty namespace package for Python, found before the installed one."""
    folder = {"projects": projects, "clone": projects / "cifarray", "elsewhere": tmp_path}[where]
    (folder / "script.py").write_text(
        "import cifarray, search_spaces\nprint(cifarray.__file__, cifarray.__version__, cifarray.load.__name__)\n"
    )
    for command in (["script.py"], ["-c", (folder / "script.py").read_text()]):
        done = subprocess.run(
            [projects / ".venv" / "bin" / "python", *command],
            cwd=folder,
            env={},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        expected = f"{projects}/cifarray/cifarray/__init__.py {cifarray.__version__} load\n"
        assert (done.stdout, done.stderr) == (expected, "")

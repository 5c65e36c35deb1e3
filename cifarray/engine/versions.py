"""What runs here, and whether another node runs the same. Not here: asking the nodes (`nodes`)."""

import hashlib
import platform
import shlex
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from importlib import metadata
from pathlib import Path

import cifarray
from cifarray.redaction import redact

NO_PART_OF_TRAINING = ("cluster_file",)
"""Rooms whose change makes no node's code an older one."""


@cache
def versions() -> dict[str, str]:
    """Of all that a driver and its workers must have in common; read from the packages' records, nothing is imported.

    That of cifarray ends with a digest of its source files, so that a node whose code is older is told by it.
    """
    return {
        "python": platform.python_version(),
        "cifarray": f"{cifarray.__version__}+{digest(Path(cifarray.__file__).parent)}",
        **{name: metadata.version(name) for name in ("torch", "ray")},
    }


def commit(package: Path) -> str:
    """The git commit that a package is run from, `… with changes` where tracked files differ from it; empty where it is
    no clone, or git is not there."""
    root = package.parent
    if not (root / ".git").exists():
        return ""

    def git(*words: str) -> str:
        told = subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True, timeout=10, check=True)
        return told.stdout.strip()

    try:
        changes = git("status", "--porcelain", "--untracked-files=no")
        return git("rev-parse", "HEAD") + (" with changes" if changes else "")
    except (OSError, subprocess.SubprocessError):
        return ""


def command() -> str:
    """How this process was started, as a shell takes it, without secrets."""
    return shlex.join(["python", *map(redact, sys.argv)])


def digest(package: Path) -> str:
    """Eight hexadecimal digits that change with any Python file of a package but those of no part in training."""
    whole = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        if path.relative_to(package).parts[0] in NO_PART_OF_TRAINING:
            continue
        content = path.read_bytes()
        whole.update(f"{path.relative_to(package).as_posix()} {len(content)}\n".encode())
        whole.update(content)
    return whole.hexdigest()[:8]


def difference(driver: Mapping[str, str], node: Mapping[str, str]) -> str | None:
    """What follows "node X …" where it does not run what the driver does; None if it does."""
    others = [name for name in driver if driver[name] != node.get(name)]
    if not others:
        return None
    here, there = (" and ".join(f"{name} {those.get(name, 'none')}" for name in others) for those in (node, driver))
    remedy = "bring it up to date (ray up again)"
    if "python" in others:
        remedy = "install the driver's Python there, delete ~/cifarray/.venv and ray up again"
    elif others == ["cifarray"]:
        remedy += ", or submit the job with --working-dir, so that every node runs that code"
    return f"runs {here}, the driver {there}: {remedy}"

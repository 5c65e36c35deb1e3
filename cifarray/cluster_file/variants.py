"""Other places for the cluster than AWS: `cluster.yaml` with the top-level keys that a block of README puts in place.

Here: reading such a block and building the variant, as text that keeps the other keys' comments. Not here: whether Ray
takes it (`checks`).
"""

import re
from pathlib import Path
from typing import Any

import yaml

from cifarray.cluster_file.checks import ClusterFileError

_KEY = re.compile(r"(?:^#.*\n)*^(\w+):.*\n(?:(?:#.*\n|\n)*[ -].*\n)*", re.MULTILINE)
"""A top-level key of a YAML file, the comment right above it, and all that is below it."""


def text(cluster_yaml: Path, readme: Path, name: str) -> str:
    """The cluster file with the keys of README's block that opens with ```` ```yaml NAME ````; null deletes a key.

    What is replaced loses its comment, which is of what was there. Raises ClusterFileError if README has no such block.
    """
    blocks = dict(re.findall(r"^```yaml (\S+)\n(.*?)^```$", readme.read_text(), re.M | re.S))
    if name not in blocks:
        known = ", ".join(sorted(blocks)) or "none"
        raise ClusterFileError(
            f"variant {name!r} is not in {readme}: its blocks open with ```yaml NAME; choose one of {known}"
        )
    new = {key[1]: "" if yaml.safe_load(key[0])[key[1]] is None else key[0] for key in _KEY.finditer(blocks[name])}
    replaced = _KEY.sub(lambda key: new.pop(key[1], key[0]), cluster_yaml.read_text())
    return re.sub(r"\n{3,}", "\n\n", "\n".join([replaced, *new.values()]).rstrip("\n") + "\n")


def build(cluster_yaml: Path, readme: Path, name: str) -> dict[str, Any]:
    """What `text` says."""
    built: dict[str, Any] = yaml.safe_load(text(cluster_yaml, readme, name))
    return built

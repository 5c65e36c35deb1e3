"""Other places for the cluster than AWS: `cluster.yaml` with the top-level keys that a block of README puts in place.

Here: reading such a block and building the variant. Not here: whether Ray takes it (`checks`).
"""

import re
from pathlib import Path
from typing import Any

import yaml


def build(cluster_yaml: Path, readme: Path, name: str) -> dict[str, Any]:
    """The cluster file with the keys of README's block that opens with ```` ```yaml NAME ````; null deletes a key.

    Raises ValueError if README has no such block.
    """
    blocks = dict(re.findall(r"^```yaml (\S+)\n(.*?)^```$", readme.read_text(), re.M | re.S))
    if name not in blocks:
        known = ", ".join(sorted(blocks)) or "none"
        raise ValueError(
            f"variant {name!r} is not in {readme}: its blocks open with ```yaml NAME; choose one of {known}"
        )
    variant = yaml.safe_load(cluster_yaml.read_text()) | yaml.safe_load(blocks[name])
    return {key: value for key, value in variant.items() if value is not None}

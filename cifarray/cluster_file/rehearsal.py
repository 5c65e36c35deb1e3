"""What `ray up` does at AWS, by Ray's own code, for whichever AWS the environment points to: `launch` runs it.

    python -m cifarray.cluster_file.rehearsal cluster.yaml

Launches the head and one node of each other type. Not here: SSH, installation, starting Ray.
"""

import sys
from pathlib import Path
from typing import Any

from cifarray.cluster_file import checks


def main(path: Path) -> None:
    from ray.autoscaler import tags
    from ray.autoscaler._private.commands import _bootstrap_config
    from ray.autoscaler._private.providers import _get_node_provider
    from ray.autoscaler._private.util import hash_launch_conf

    # The cache is a file that a later `ray up` would take for the true AWS's answers.
    config: dict[str, Any] = _bootstrap_config(checks.read(path), no_config_cache=True)
    provider = _get_node_provider(config["provider"], config["cluster_name"])
    for name, node_type in config["available_node_types"].items():
        is_head = name == config["head_node_type"]
        kind = tags.NODE_KIND_HEAD if is_head else tags.NODE_KIND_WORKER
        node_config = {**(config["head_node"] if is_head else {}), **node_type["node_config"]}
        provider.create_node(
            node_config,
            {
                tags.TAG_RAY_NODE_KIND: kind,
                tags.TAG_RAY_NODE_NAME: f"ray-{config['cluster_name']}-{kind}",
                tags.TAG_RAY_NODE_STATUS: tags.STATUS_UNINITIALIZED,
                tags.TAG_RAY_USER_NODE_TYPE: name,
                tags.TAG_RAY_LAUNCH_CONFIG: hash_launch_conf(node_config, config["auth"]),
            },
            1,
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""The cluster file's commands; `make`, MLflow's keeper and the nodes call them.

python -m cifarray.cluster_file check cluster.yaml [head=0.20 gpu_spot=0.40 …]
python -m cifarray.cluster_file restore | copy        # MLflow's database, from and to $CIFARRAY_STORAGE
python -m cifarray.cluster_file spot HOST:PORT        # on a worker: tells Ray's head when AWS takes this node back
python -m cifarray.cluster_file head LOG              # `make cluster`: a head on this machine, and how to submit to it
python -m cifarray.cluster_file stop                  # on the head of own machines: Ray on all of them
python -m cifarray.cluster_file pins REPORT           # pip's installation report as constraints
"""

import argparse
import json
import logging
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from cifarray.cluster_file import checks, cost, database_copy, local_head, own_machines, spot
from cifarray.cluster_file.launch import launch
from cifarray.cluster_file.rehearsal import Launched
from cifarray.output import take_streams
from cifarray.places import results

DATABASE = Path("~/mlflow.db")


def check(path: Path, prices: list[str]) -> None:
    """Prints what is right. Raises ClusterFileError for what is not."""
    console = Console(width=None if sys.stdout.isatty() else 120, highlight=False)
    config = checks.read(path)
    prepared = checks.check(config, str(path))
    hourly = cost.hourly(prepared, cost.parse_prices(prices)) if prices else None
    launched = launch(path) if config["provider"]["type"] == "aws" else None
    console.print(f"{path}: Ray takes it; its files are here")
    if launched:
        show(launched, prepared, console)
    if hourly:
        console.print(
            f"per hour: {hourly.head:.2f} the head alone, {hourly.least:.2f} with all workers that always run, "
            f"{hourly.most:.2f} with all that may run"
        )
    for word in checks.placeholders(path.read_text()):
        console.print(f"before ray up: {word} in {path} stands for a name of yours, fill it in")


def show(launched: Launched, prepared: dict[str, Any], console: Console) -> None:
    """Two tables, the nodes and what is let in to them, and the images."""
    types = prepared["available_node_types"]
    nodes = Table("node type", "instance", "market", "how many", "volumes", "profile", title="ray up launches")
    for node in launched.nodes:
        limits = types[node.node_type]
        most = min(limits["max_workers"], prepared["max_workers"])
        volumes = (
            f"{volume.size} GiB {volume.kind}{', outlives the node' if volume.outlives_node else ''}"
            for volume in node.volumes
        )
        nodes.add_row(
            node.node_type,
            node.instance_type,
            node.market,
            "1" if node.node_type == prepared["head_node_type"] else f"{limits['min_workers']} to {most}",
            "; ".join(volumes),
            node.profile or "none",
        )
    console.print(nodes)
    rules = Table("group", "protocol", "ports", "from", title="and lets in")
    for rule in launched.rules:
        rules.add_row(rule.group, "all" if rule.protocol == "-1" else rule.protocol, rule.ports, rule.source)
    console.print(rules)
    if launched.left_out:
        console.print(
            f"tried without your own {' and '.join(launched.left_out)}, which only your AWS knows: the groups above "
            "are what Ray would make without them",
            soft_wrap=True,
        )
    for image in dict.fromkeys(node.image for node in launched.nodes):
        users = ", ".join(node.node_type for node in launched.nodes if node.image == image)
        console.print(f"{users}: {image}", soft_wrap=True)


def until_terminated() -> threading.Event:
    """Set by SIGTERM."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    return stop


def pins(report: Path) -> list[str]:
    """`name==version` of all that pip would install from an index, sorted."""
    installs = json.loads(report.read_text())["install"]
    packages = [each["metadata"] for each in installs if "dir_info" not in each["download_info"]]
    return sorted(f"{each['name'].lower()}=={each['version']}" for each in packages)


def main() -> int:
    take_streams()
    parser = argparse.ArgumentParser(prog="python -m cifarray.cluster_file", description=__doc__.partition("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    checking = commands.add_parser("check", help="is it right, what would be launched, what does that cost")
    checking.add_argument("file", type=Path)
    checking.add_argument("prices", nargs="*", metavar="NAME=PRICE", help="per hour, of a node type or instance type")
    commands.add_parser("restore", help="begin with the copy of MLflow's database if there is none here")
    commands.add_parser("copy", help="copy MLflow's database whenever it has changed")
    commands.add_parser("spot", help="tell Ray when AWS takes this node back").add_argument("head", metavar="HOST:PORT")
    commands.add_parser("head", help="start a head on this machine").add_argument("log", type=Path)
    commands.add_parser("stop", help="end Ray on this head and its workers, if they are machines of your own")
    commands.add_parser("pins", help="constraints of an installation report").add_argument("report", type=Path)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    try:
        match arguments.command:
            case "check":
                check(arguments.file, arguments.prices)
            case "restore":
                database_copy.restore(DATABASE.expanduser(), database_copy.address(results()))
            case "copy":
                database_copy.keep_copying(DATABASE.expanduser(), database_copy.address(results()), until_terminated())
            case "spot":
                spot.watch(arguments.head, spot.Metadata(), until_terminated())
            case "head":
                print(local_head.announcement(local_head.start(arguments.log)))
            case "stop":
                failures = own_machines.stop(own_machines.BOOTSTRAP.expanduser())
                print("\n".join(failures), file=sys.stderr)
                return 1 if failures else 0
            case "pins":
                print("\n".join(pins(arguments.report)))
    except (checks.ClusterFileError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())

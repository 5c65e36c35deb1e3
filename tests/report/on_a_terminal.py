"""Shows a made-up study on this terminal, step by step as the lines of the file (a pipe) that is named say it."""

import logging
import os
import sys
from collections.abc import Iterable
from functools import partial

from rich.console import Console
from scenes import Scene

from cifarray.engine.signals import interruptible
from cifarray.output import take_streams
from cifarray.report.live import view_for
from search_spaces import pyramidnet

SLOPE = {"model.depth": 110, "model.bottleneck": False, "model.widening": "multiplicative", "model.alpha": 4.75}


def follow(steps: Iterable[str], scene: Scene) -> None:
    for step in map(str.strip, steps):
        match step:
            case "train":
                scene.begins(0, {**SLOPE, "optimizer.lr": 0.05})
                scene.epoch(0, 1, 0.25)
            case "warn":
                logging.getLogger("cifarray").warning("the disk is slow: look at it")
                print("said to standard error", file=sys.stderr)
            case "stop":
                scene.view.stop()
                print(f"over in {os.environ['TERM']}")


def main() -> None:
    take_streams()
    space = pyramidnet.space.pin({"epochs": 20})
    scene = Scene(lambda console: view_for(Console()), space, num_trials=6)
    with open(sys.argv[1]) as steps, interruptible() as ending:
        ending.announce = partial(scene.view.stopping, "stopping: waits for the workers")
        try:
            follow(steps, scene)
        except KeyboardInterrupt:
            follow(steps, scene)


if __name__ == "__main__":
    main()

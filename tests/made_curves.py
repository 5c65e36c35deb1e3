"""Curves whose best, costs and ends are known. Not here: any test."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cifarray.simulate.curves import Curve, Curves, points_of


def straight(finals: Sequence[float], epochs: int = 4, seconds: float = 10.0, base: int | None = None) -> Curves:
    """A curve for each final value, which rises evenly from 0 to it; they differ in `optimizer.lr`."""
    curves = [
        Curve({"optimizer.lr": 0.01 * (place + 1)}, tuple(final * (e + 1) / epochs for e in range(epochs)), seconds)
        for place, final in enumerate(finals)
    ]
    return points_of(curves, base)


def line(values: Sequence[float], **more: Any) -> str:
    run = {"study": "one", "trial": 0, "params": {"optimizer.lr": 0.1}, "seed": 0, "num_params": 1, "macs": 1}
    return json.dumps({**run, "epochs": len(values), "seconds": [2.0] * len(values), "val_accuracy": [*values], **more})


def written(folder: Path, *lines: str) -> Path:
    path = folder / "curves.jsonl"
    path.write_text("\n".join(lines) + "\n")
    return path

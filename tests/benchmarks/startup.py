"""From a command to its first training step: seconds by stages, CPU-seconds and processes, beside another checkout.

Claim: at most half of what it took when every group had a controller of its own and Ray its dashboard (`--other` with
a checkout of commit d5fd505).

Each start is a whole `jobs/train.py` on synthetic images, of one epoch, with results in an empty folder; data are
prepared before, and the two checkouts alternate. The first start of each warms the disk's cache and is not counted.
When the first step began is read from the journal: when the first epoch was told, less what it took. Processes are
those that have the start's environment, looked at four times a second.

    python -m tests.benchmarks.startup --other ../before                 # 4 minutes on two idle cores
    python -m tests.benchmarks.startup --other ../before --on-a-cluster  # on a Ray that runs
"""

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.benchmarks.setting import print_table

HERE = Path(__file__).parents[2]
JOB = ("jobs/train.py", "wide_resnet_fast", "--data", "synthetic:1000", "--epochs", "1", "--set", "batch_size=64")
LOOK_SECONDS = 0.25
STAGES = ("the first group is asked for", "its workers are ready", "the first step begins")


@dataclass(frozen=True)
class Start:
    """One start: seconds until each of STAGES, CPU-seconds until the last, processes at once at most."""

    seconds: tuple[float, ...]
    cpu_seconds: float
    processes: int


def start(checkout: Path, folder: Path, arguments: list[str]) -> Start:
    """Run the job of a checkout. Raises RuntimeError if it does not end well."""
    results = folder / f"results-{time.time_ns()}"
    environment = {**os.environ, "PYTHONPATH": str(checkout), "CIFARRAY_STORAGE": str(results)}
    environment |= {"CIFARRAY_HOME": str(folder / "home"), "OMP_NUM_THREADS": "1"}
    began = time.time()
    with subprocess.Popen(
        [sys.executable, *JOB, *arguments], cwd=checkout, env=environment, stdout=subprocess.PIPE, text=True
    ) as job:
        used: dict[int, float] = {}
        belongs: dict[int, bool] = {}
        samples: list[tuple[float, float]] = []
        most = 0
        while job.poll() is None:
            now = 0
            for process in psutil.process_iter():
                with contextlib.suppress(psutil.Error):
                    # A process that has just been forked does not have its own environment yet.
                    if not belongs.get(process.pid):
                        belongs[process.pid] = process.environ().get("CIFARRAY_STORAGE") == str(results)
                    if belongs[process.pid]:
                        used[process.pid] = sum(process.cpu_times()[:2])
                        now += 1
            most = max(most, now)
            samples.append((time.time(), sum(used.values())))
            time.sleep(LOOK_SECONDS)
        if job.returncode != 0:
            raise RuntimeError(f"{checkout}: {job.stdout.read() if job.stdout else ''}")
    moments = stages(next(results.glob("*/journal.jsonl")))
    cpu = next((total for moment, total in samples if moment >= moments[-1]), samples[-1][1])
    return Start(tuple(moment - began for moment in moments), cpu, most)


def stages(journal: Path) -> tuple[float, float, float]:
    """When each of STAGES was reached, in unix seconds."""
    events = [json.loads(line) for line in journal.read_text().splitlines()]
    asked, ready = (
        next(event["time"] for event in events if event["kind"] == "group" and event["event"] == change)
        for change in ("started", "ready")
    )
    first = next(event for event in events if event["kind"] == "epoch")
    return asked, ready, first["time"] - first["metrics"]["epoch_seconds"]


@contextlib.contextmanager
def a_running_ray() -> Iterator[None]:
    """A head on this machine that the jobs join."""
    ray = str(Path(sys.executable).with_name("ray"))
    os.environ["RAY_AUTH_MODE"] = "disabled"
    options = ("--head", "--port=6399", "--disable-usage-stats", "--include-dashboard=true")
    subprocess.run([ray, "start", *options], check=True, stdout=subprocess.DEVNULL)
    os.environ["RAY_ADDRESS"] = "127.0.0.1:6399"
    try:
        yield
    finally:
        subprocess.run([ray, "stop"], check=True, stdout=subprocess.DEVNULL)


def main() -> None:
    parser = argparse.ArgumentParser(description="Seconds from a command to its first training step.")
    parser.add_argument("--other", type=Path, required=True, help="a checkout to compare with")
    parser.add_argument("--rounds", type=int, default=3, help="starts of each, after one that is not counted")
    parser.add_argument("--workers", type=int, default=1, help="DDP workers")
    parser.add_argument("--on-a-cluster", action="store_true", help="on a Ray that runs, with its dashboard")
    flags = parser.parse_args()

    arguments = ["--workers", str(flags.workers)]
    own: list[Start] = []
    other: list[Start] = []
    with tempfile.TemporaryDirectory() as folder, a_running_ray() if flags.on_a_cluster else contextlib.nullcontext():
        for _ in range(1 + flags.rounds):
            other.append(start(flags.other.absolute(), Path(folder), arguments))
            own.append(start(HERE, Path(folder), arguments))
    rows = [
        row(f"seconds until {what}", [s.seconds[i] for s in own], [s.seconds[i] for s in other])
        for i, what in enumerate(STAGES)
    ]
    rows.append(row("CPU-seconds until then", [s.cpu_seconds for s in own], [s.cpu_seconds for s in other]))
    rows.append(row("processes at once", [float(s.processes) for s in own], [float(s.processes) for s in other]))
    print_table(("median of the starts", "here", "other", "ratio"), rows)


def row(what: str, own: list[float], other: list[float]) -> tuple[str, ...]:
    """Medians of all starts but the first, and the median of the rounds' ratios."""
    own, other = own[1:] or own, other[1:] or other
    ratio = statistics.median(a / b for a, b in zip(own, other, strict=True))
    return what, f"{statistics.median(own):.1f}", f"{statistics.median(other):.1f}", f"{ratio:.2f}"


if __name__ == "__main__":
    main()

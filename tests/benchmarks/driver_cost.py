"""What a trial costs beside its training: a study of 1,000 trials that do nothing, tracked in MLflow.

Claim: at most 40 ms of wall time per trial, from the first trial's start to the last one's outcome, with tracking on.
The worker groups are scripted (`tests.search.scripted`): an epoch is answered at once. All else is real: Ray, Tune,
the journal with its fsync, the decisions, the MLflow mirror with its SQLite database. The second line adds what the
mirror still has to send once the last trial is over.

    python -m tests.benchmarks.driver_cost                       # about 1 minute on two idle cores
    python -m tests.benchmarks.driver_cost --trials 200 --concurrent 1 --searcher tpe
"""

import argparse
import tempfile
import time
from pathlib import Path

from cifarray.config import TrainConfig, override
from cifarray.search.cluster import connected
from cifarray.search.samplers import SEARCHERS
from cifarray.search.space import SearchSpace, log_uniform
from cifarray.search.study import Study, run_study
from tests.benchmarks.setting import Quiet, data_in, print_table
from tests.search.scripted import ScriptedGroup

TARGET_MS = 40.0


def main() -> None:
    parser = argparse.ArgumentParser(description="Milliseconds that a trial costs beside its training.")
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--concurrent", type=int, nargs="+", default=[1, 2], help="trials at once, a study for each")
    parser.add_argument("--searcher", choices=SEARCHERS, default="random")
    flags = parser.parse_args()

    rows = []
    with tempfile.TemporaryDirectory() as folder:
        data_in(folder)
        with connected(num_cpus=max(flags.concurrent)):
            for concurrent in flags.concurrent:
                in_study, with_mirror, waiting = measure(Path(folder), flags.trials, concurrent, flags.searcher)
                until = f"{concurrent} at once, to the last outcome"
                rows.append((until, f"{in_study:.1f}", f"{in_study / TARGET_MS:.2f}", f"≤ {TARGET_MS:.0f}"))
                until = f"{concurrent} at once, to the end of tracking"
                rows.append((until, f"{with_mirror:.1f}", f"{with_mirror / TARGET_MS:.2f}", ""))
                if waiting:
                    rows.append((f"{concurrent} at once: {waiting} events still unsent", "", "", ""))
    print_table((f"{flags.trials} trials", "ms per trial", "of the target", "target"), rows)


def measure(folder: Path, trials: int, concurrent: int, searcher: str) -> tuple[float, float, int]:
    """Milliseconds per trial: to the last outcome, and to the end of tracking; and events that MLflow lacks then."""
    base = override(TrainConfig(), {"data.source": "synthetic:500", "epochs": 1, "batch_size": 64})
    name = f"noop-{concurrent}"
    study = Study(
        name=name,
        space=SearchSpace(name, base, {"optimizer.lr": log_uniform(0.001, 1.0)}),
        num_trials=trials,
        storage=str(folder),
        tracking_uri=f"sqlite:///{folder}/mlflow-{concurrent}.db",
        searcher=searcher,
        cpus_per_worker=1.0,
        gpus_per_worker=0.0,
        concurrent=concurrent,
    )
    view = Quiet()
    result = run_study(study, view, host=ScriptedGroup)
    end = time.time()
    first = min(event["time"] for event in view.events if event["kind"] == "start")
    last = max(event["time"] for event in view.events if event["kind"] == "outcome")
    waiting = result.tracking.waiting_events if result.tracking else 0
    return 1000 * (last - first) / trials, 1000 * (end - first) / trials, waiting


if __name__ == "__main__":
    main()

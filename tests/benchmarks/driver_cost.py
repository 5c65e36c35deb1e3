"""What a trial costs beside its training: a study of 1,000 trials that do nothing, tracked in MLflow.

Claim: at most 40 ms of wall time per trial, from the first trial's start to the last one's outcome, with tracking on.
The worker groups are scripted (`tests.engine.scripted`): an epoch is answered at once. All else is real: Ray, Tune,
the journal with its fsync, the decisions, the MLflow mirror with its SQLite database. The second line adds what the
mirror still has to send once the last trial is over. CPU times, which other processes on the machine disturb less, say
where it goes: the driver's own, and the mirror's with its start and the making of its database.

    python -m tests.benchmarks.driver_cost                       # about 1 minute on two idle cores
    python -m tests.benchmarks.driver_cost --trials 200 --concurrent 1 --searcher tpe
    python -m tests.benchmarks.driver_cost --trials 1000 10000 --concurrent 1    # does the cost grow with the study
"""

import argparse
import itertools
import resource
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from cifarray.config import TrainConfig, override
from cifarray.engine.connection import connected
from cifarray.engine.run import run_study
from cifarray.space.domains import log_uniform
from cifarray.space.space import SearchSpace
from cifarray.study.events import Event, TrialEnded, TrialStarted
from cifarray.study.samplers import SEARCHERS, SearcherName
from cifarray.study.study import Study
from tests.benchmarks.setting import Quiet, data_in, print_table
from tests.engine.scripted import ScriptedGroup

TARGET_MS = 40.0
TARGET_GROWTH = 1.2
"""What a trial of a long study may cost over one of a short one."""


def main() -> None:
    parser = argparse.ArgumentParser(description="Milliseconds that a trial costs beside its training.")
    parser.add_argument("--trials", type=int, nargs="+", default=[1000], help="in all, a study for each number")
    parser.add_argument("--concurrent", type=int, nargs="+", default=[1, 2], help="trials at once, a study for each")
    parser.add_argument("--searcher", choices=SEARCHERS, default="random")
    flags = parser.parse_args()

    rows: list[tuple[str, ...]] = []
    costs: dict[int, Cost] = {}
    with tempfile.TemporaryDirectory() as folder:
        data_in(folder)
        with connected(num_cpus=max(flags.concurrent)):
            for concurrent, trials in itertools.product(flags.concurrent, flags.trials):
                cost = measure(Path(folder), trials, concurrent, flags.searcher)
                case = f"{trials:,} trials, {concurrent} at once"
                first = costs.setdefault(concurrent, cost)
                rows += [
                    (f"{case}, to the last outcome", f"{cost.study:.1f}", f"≤ {TARGET_MS:.0f}"),
                    (f"{case}, over the first number", f"{cost.study / first.study:.2f}", f"≤ {TARGET_GROWTH}"),
                    (f"{case}, to the end of tracking ({cost.unsent} events unsent)", f"{cost.tracked:.1f}", ""),
                    (f"{case}, CPU time of the driver", f"{cost.driver_cpu:.1f}", ""),
                    (f"{case}, CPU time of the mirror", f"{cost.mirror_cpu:.1f}" if cost.mirror_cpu else "–", ""),
                ]
    print_table(("study", "ms per trial", "target"), rows)


@dataclass(frozen=True)
class Cost:
    """Milliseconds per trial, from the first start to the last outcome or to the end of tracking."""

    study: float
    tracked: float
    driver_cpu: float
    """Of all its threads, to the last outcome."""
    mirror_cpu: float
    """0 where the mirror was not waited for to its end: it then goes on in the background."""
    unsent: int
    """Events that MLflow lacks in the end."""


class CpuClock(Quiet):
    """A view that notes this process's CPU time with every event."""

    def __init__(self) -> None:
        super().__init__()
        self.cpu: list[float] = []

    def event(self, event: Event) -> None:
        super().event(event)
        self.cpu.append(time.process_time())


def measure(folder: Path, trials: int, concurrent: int, searcher: SearcherName) -> Cost:
    """One study."""
    base = override(TrainConfig(), {"data.source": "synthetic:500", "epochs": 1, "batch_size": 64})
    name = f"noop-{trials}-{concurrent}"
    study = Study(
        name=name,
        space=SearchSpace(name, base, {"optimizer.lr": log_uniform(0.001, 1.0)}),
        num_trials=trials,
        storage=str(folder),
        tracking_uri=f"sqlite:///{folder}/mlflow-{trials}-{concurrent}.db",
        searcher=searcher,
        cpus_per_worker=1.0,
        gpus_per_worker=0.0,
        concurrent=concurrent,
    )
    view = CpuClock()
    # The mirror is the one child that ends in here; Ray's processes end later.
    before = children_cpu()
    result = run_study(study, view, host=ScriptedGroup)
    end = time.time()
    first = next(index for index, event in enumerate(view.events) if isinstance(event, TrialStarted))
    last = max(index for index, event in enumerate(view.events) if isinstance(event, TrialEnded))
    began = view.events[first].time
    return Cost(
        study=1000 * (view.events[last].time - began) / trials,
        tracked=1000 * (end - began) / trials,
        driver_cpu=1000 * (view.cpu[last] - view.cpu[first]) / trials,
        mirror_cpu=1000 * (children_cpu() - before) / trials,
        unsent=result.tracking.waiting_events if result.tracking else 0,
    )


def children_cpu() -> float:
    """Seconds of the child processes that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()

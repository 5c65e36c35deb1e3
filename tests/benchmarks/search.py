"""How soon a strategy finds what is good: recorded curves replayed under each, with the product's own decisions.

Claim: `freeze-thaw` reaches the best of a pool sooner than Ray's ASHA with random points, and than random points that
all run to their end. Targets are the final accuracies of the best 10, 5, 2 and 1 % of the pool. A target is reached by
an epoch of any trial, or, stricter, by the last epoch of one. Times are worker-seconds; ratios are those of mean times,
a time beyond the budget counting as the budget, with 90 % intervals over repetitions that share their seeds.

    python -m tests.benchmarks.search FILE.jsonl --workers 1 4 16 --repetitions 60
    python -m tests.benchmarks.search FILE.jsonl --base top     # one of the best tenth, drawn for each repetition

The budget is what Ray's ASHA (η = 4) takes for the whole pool. The curves are a file of your own (`replayed.read` says
what a line is). About 3 s for each repetition of freeze-thaw on a pool of 265 curves of 40 epochs.
"""

import argparse
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from cifarray.study.schedulers import Asha, FreezeThaw, Promote, RunAll, Scheduler, StudyView
from cifarray.study.trial_record import Decision, TrialRecord
from tests.benchmarks.replayed import Curves, Seen, read, replay
from tests.benchmarks.setting import print_table

SHARES = (0.10, 0.05, 0.02, 0.01)
RESAMPLES = 2000


class RaysAsha(RunAll):
    """Ray Tune's own rungs and cut-offs, of grace 1."""

    compares = True

    def __init__(self, reduction_factor: int, epochs: int) -> None:
        from ray.tune.schedulers.async_hyperband import _Bracket

        object.__setattr__(self, "_bracket", _Bracket(1, epochs, reduction_factor, 0))

    def after_epoch(self, study: StudyView, trial: TrialRecord) -> tuple[Decision, str]:
        known = SimpleNamespace(trial_id=str(trial.number))
        says = self._bracket.on_result(known, trial.epoch, trial.score)  # type: ignore[attr-defined]
        return (Decision.STOP if says == "STOP" else Decision.CONTINUE), ""


class Unlimited(FreezeThaw):
    """Ends with the replay's budget, which is one of time."""

    def is_spent(self, study: StudyView, running: Collection[int]) -> bool:
        return False


STRATEGIES: dict[str, tuple[Callable[[int], Scheduler], bool]] = {
    "freeze-thaw": (lambda epochs: Unlimited(), False),
    "random, all run to their end": (lambda epochs: RunAll(), False),
    "the same, base point first": (lambda epochs: RunAll(), True),
    "Ray's ASHA, η = 4, random": (lambda epochs: RaysAsha(4, epochs), False),
    "the same, base point first ": (lambda epochs: RaysAsha(4, epochs), True),
    "Ray's ASHA, η = 3, random": (lambda epochs: RaysAsha(3, epochs), False),
    "asha, random": (lambda epochs: Asha(3, 1), False),
    "promote, random": (lambda epochs: Promote(3, 1), False),
}


def main() -> None:
    parser = argparse.ArgumentParser(description="Time to targets on recorded curves, by strategy.")
    parser.add_argument("curves", type=Path, help="a file of curves")
    parser.add_argument("--workers", type=int, nargs="+", default=[4])
    parser.add_argument("--repetitions", type=int, default=60)
    parser.add_argument("--base", choices=("recorded", "top"), default="recorded", help="which curve is the base point")
    flags = parser.parse_args()
    curves = read(flags.curves)
    rows = [row for workers in flags.workers for row in compare(curves, workers, flags.repetitions, flags.base)]
    print_table(("workers, target", *list(STRATEGIES)[1:]), rows)


def compare(curves: Curves, workers: int, repetitions: int, base: str) -> list[tuple[str, ...]]:
    """A row for each target: how many times sooner freeze-thaw reached it than each of the others."""
    whole = [replay(curves, RaysAsha(4, curves.epochs), seed, workers, None)[-1].at for seed in range(10_000, 10_015)]
    budget = float(np.mean(whole))
    seen: dict[str, list[list[Seen]]] = {name: [] for name in STRATEGIES}
    for seed in range(repetitions):
        pool = curves if base == "recorded" else replace(curves, base=_one_of_the_best(curves, seed))
        for name, (make, first) in STRATEGIES.items():
            seen[name].append(replay(pool, make(curves.epochs), seed, workers, budget, first))
    finals = sorted((curve.values[-1] for curve in curves.curves), reverse=True)
    rows = []
    for share in SHARES:
        target = finals[max(0, round(share * len(finals)) - 1)]
        for of_last in (False, True):
            times = {name: [_time_to(run, target, budget, of_last) for run in runs] for name, runs in seen.items()}
            own, *others = times.values()
            what = f"{workers}, best {100 * share:.0f} %{' complete' if of_last else ''}"
            rows.append(
                (f"{what} ({100 * np.mean(own) / budget:.0f} % of the budget)", *(_ratio(t, own) for t in others))
            )
    return rows


def _one_of_the_best(curves: Curves, seed: int) -> int:
    order = sorted(range(len(curves.curves)), key=lambda place: -curves.curves[place].values[-1])
    return int(np.random.default_rng([seed, 1]).choice(order[: max(1, len(order) // 10)]))


def _time_to(run: Sequence[Seen], target: float, budget: float, of_last: bool) -> float:
    reached = (seen.at for seen in run if seen.value >= target and (seen.is_last or not of_last))
    return min(next(reached, budget), budget)


def _ratio(times: Sequence[float], own: Sequence[float]) -> str:
    drawn = np.random.default_rng(0).integers(0, len(own), (RESAMPLES, len(own)))
    ratios = np.array(times)[drawn].mean(axis=1) / np.array(own)[drawn].mean(axis=1)
    low, high = np.quantile(ratios, [0.05, 0.95])
    return f"{np.mean(times) / np.mean(own):.2f} [{low:.2f}, {high:.2f}]"


if __name__ == "__main__":
    main()

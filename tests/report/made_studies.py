"""Whole studies with plausible curves, decided by the product's own state on a virtual clock and written as a driver
writes them; nothing is trained.

Not here: single events (`histories`), the engine on a virtual clock (`tests.engine.simulated_study`).
"""

import heapq
import math
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from cifarray.config import TrainConfig, override
from cifarray.journal.events import FORMAT, to_json
from cifarray.journal.journal import FILE_NAME
from cifarray.space.domains import choice, log_uniform
from cifarray.space.space import SearchSpace
from cifarray.study import decisions
from cifarray.study.events import (
    DriverEnded,
    DriverStarted,
    Event,
    GroupChanged,
    StudyStarted,
    TrialEnded,
    TrialSampled,
    TrialStarted,
    WorkersRestarted,
)
from cifarray.study.schedulers import Asha, RunAll, Scheduler
from cifarray.study.state import StudyState

BEGAN = 1_764_000_000.0
"""Seconds since 1970."""
SPACE = SearchSpace(
    "made",
    override(TrainConfig(), {"data.source": "synthetic:50000"}),
    {
        "model.widen_factor": choice(1, 2, 4, 8),
        "model.depth": choice(10, 16, 22, 28),
        "optimizer.lr": log_uniform(0.01, 0.4),
        "optimizer.weight_decay": log_uniform(1e-4, 2e-3),
        "schedule.name": choice("cosine", "one_cycle", "multistep"),
    },
)


def write_study(folder: Path, trials: int, epochs: int, name: str = "", **options: Any) -> Path:
    """The journal of a made-up study in `folder`, which is returned; `options` as of `events_of_study`."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / FILE_NAME, "w") as file:
        for event in events_of_study(name or folder.name, trials, epochs, **options):
            file.write(to_json(event) + "\n")
    return folder


def events_of_study(
    name: str,
    trials: int,
    epochs: int,
    groups: int = 2,
    scheduler: Scheduler | None = None,
    space: SearchSpace = SPACE,
    mishaps: bool = True,
    workers: int = 2,
) -> Iterator[Event]:
    """All events of a study of so many trials on so many worker groups, in the order of their times.

    scheduler: ASHA if none is given. mishaps: now and then a trial loses its workers, and of those that run to
    their end one in twenty diverges or fails.
    """
    space = replace(space, base=override(space.base, {"epochs": epochs}))
    scheduler = scheduler or Asha(3, max(1, epochs // 27))
    yield StudyStarted(
        time=BEGAN,
        **space.to_dict(),
        name=name,
        id="f00d",
        scheduler=scheduler.settings(),
        searcher="random",
        seed=0,
        metric="val_accuracy",
        workers=workers,
        num_trials=trials,
        storage="/results",
        num_classes=10,
        data_sha256="5eed" * 16,
        format=FORMAT,
    )
    yield DriverStarted(
        time=BEGAN, pid=1, versions={"python": "3.11.9", "cifarray": "0.1.0+c0ffee00", "torch": "2.9.0"}
    )
    state = StudyState(space, trials, scheduler=scheduler, seed=0)
    chance = random.Random(name)
    waiting = [(BEGAN + 8.0 + 3 * group, f"{name}/group-{group}") for group in range(groups)]
    for ready, group in waiting:
        yield GroupChanged(time=BEGAN + 1, group=group, event="started")
        yield GroupChanged(time=ready, group=group, event="ready", reason=f"{ready - BEGAN:.1f} s")
    queue = [(ready, number, group, None) for number, (ready, group) in enumerate(waiting)]
    turn = len(queue)
    last = BEGAN
    while queue:
        now, _, group, trial = heapq.heappop(queue)
        last = max(last, now)
        ends = True
        if trial is not None:
            made = list(_epoch(state, trial, now, chance, mishaps))
            yield from made
            ends = state.trials[trial].outcome is not None
        if ends:
            if len(state.trials) >= state.budget:
                continue
            trial = len(state.trials)
            made = list(_begin(state, trial, now, group))
            yield from made
        turn += 1
        heapq.heappush(queue, (now + _seconds(state, trial, chance), turn, group, trial))
    for _, group in waiting:
        yield GroupChanged(time=last + 1, group=group, event="closed", reason="the study is over")
    yield DriverEnded(time=last + 2, reason="finished")


def _begin(state: StudyState, number: int, now: float, group: str) -> Iterator[Event]:
    params = state.sample(number)
    config = state.space.config(params).to_dict()
    params_count = int(20_000 * config["model"]["widen_factor"] ** 2 * config["model"]["depth"])
    sampled = TrialSampled(
        time=now, trial=number, params=params, config=config, num_params=params_count, macs=150 * params_count
    )
    started = TrialStarted(time=now, trial=number, attempt=1, group=group, epoch=0)
    for event in (sampled, started):
        state.apply(event)
        yield event


def _epoch(state: StudyState, number: int, now: float, chance: random.Random, mishaps: bool) -> Iterator[Event]:
    trial = state.trials[number]
    events: list[Event]
    if mishaps and chance.random() < 0.05 / trial.config["epochs"]:
        outcome = chance.choice(["diverged", "failed"])
        events = [TrialEnded(trial=number, outcome=outcome, message="the loss is not finite")]  # type: ignore[arg-type]
    else:
        metrics = _metrics(trial.config, number, trial.epoch + 1, chance)
        address = f"trial-{number:04d}/epoch-{trial.epoch + 1:04d}.pt"
        _, events = decisions.after_epoch(state, number, trial.epoch + 1, metrics, address, "bf16")
        if mishaps and chance.random() < 0.01 and trial.epoch + 1 < trial.config["epochs"]:
            lost = {
                "restarts": trial.restarts + 1,
                "epoch": trial.epoch,
                "reason": "rank 1 died",
                "fault": "worker_died",
            }
            events.insert(0, WorkersRestarted(trial=number, **lost))  # type: ignore[arg-type]
    for event in events:
        stamped = replace(event, time=now)
        state.apply(stamped)
        yield stamped
    for event in decisions.superfluous_checkpoints(state):
        stamped = replace(event, time=now)
        state.apply(stamped)
        yield stamped


def _metrics(config: dict[str, Any], number: int, epoch: int, chance: random.Random) -> dict[str, float]:
    model, optimizer = config["model"], config["optimizer"]
    capacity = math.log2(model["widen_factor"] * model["depth"] / 10) / 8
    rate = -0.06 * abs(math.log10(optimizer["lr"] / 0.1)) - 0.03 * abs(math.log10(optimizer["weight_decay"] / 5e-4))
    best = min(0.97, 0.72 + 0.25 * capacity + rate)
    share = epoch / config["epochs"]
    accuracy = best - (best - 0.1) * math.exp(-5 * share**0.7) + chance.gauss(0, 0.006)
    accuracy = min(0.9999, max(0.05, accuracy))
    seconds = 4.0 + model["widen_factor"] * model["depth"] / 20
    return {
        "epoch": epoch,
        "train_loss": round(-math.log(accuracy) * 0.9, 5),
        "train_accuracy": round(min(0.9999, accuracy + 0.02 * share), 5),
        "val_loss": round(-math.log(accuracy) + 0.05, 5),
        "val_accuracy": round(accuracy * 5000) / 5000,
        "lr": optimizer["lr"] * (1 - share),
        "epoch_seconds": round(seconds, 3),
        "images_per_second": round(45_000 / seconds, 1),
        "peak_memory": 1.5e9,
    }


def _seconds(state: StudyState, number: int, chance: random.Random) -> float:
    model = state.trials[number].config["model"]
    return 4.0 + float(model["widen_factor"] * model["depth"]) / 20 + 0.3 * chance.random()


__all__ = ["SPACE", "RunAll", "events_of_study", "write_study"]

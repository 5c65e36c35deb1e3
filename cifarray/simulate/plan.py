"""What a study will take, from a few measured steps: the study itself on a virtual clock, several times over.

Epochs take what the network's multiply-adds say, on the line through what was measured; which trials are stopped early
is decided by the study's own strategy on curves by a formula, another one each time. Not here: the measuring
(`cifarray.engine.preflight`), what is told of it (`cifarray.cli.preflight`).
"""

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cifarray.simulate.curves import Curve
from cifarray.simulate.machines import Cluster
from cifarray.simulate.run import simulate
from cifarray.simulate.study import GeneratedStudy
from cifarray.study.samplers import Allowed, SearcherName, point_key
from cifarray.study.study import Study
from cifarray.training.batches import split_of

REPEATS, REPEATS_OF_A_MODEL = 9, 3
"""Fewer where the strategy fits a model of all curves, which takes seconds."""
PACE_ERROR = 0.1
"""By which a worker's seconds may be others than those measured, either way; what is usual on machines of one kind."""
EVALUATION = 1 / 3
"""Of a training step for as many images (Kaplan et al. 2020, arXiv:2001.08361, §2.1)."""


@dataclass(frozen=True)
class Pace:
    """Seconds for one image in training on one worker: a + b · MACs."""

    constant: float
    per_mac: float

    @classmethod
    def through(cls, measured: Sequence[tuple[int, float]]) -> "Pace":
        """measured: multiply-adds and images/s of one network or two; of one alone all is its multiply-adds'."""
        (macs, rate), *others = sorted(measured)
        more_macs, lower_rate = others[-1] if others else (macs, rate)
        if more_macs == macs:
            return cls(0.0, 1 / rate / macs)
        per_mac = max(0.0, (1 / lower_rate - 1 / rate) / (more_macs - macs))
        constant = max(0.0, 1 / rate - per_mac * macs)
        return cls(constant, per_mac)

    def epoch_seconds(self, config: Mapping[str, Any], macs: int, num_images: int, workers: int) -> float:
        """Of a trial on so many workers, whose number is taken to divide its time."""
        num_train, held_out = split_of(config["data"], num_images)
        return (self.constant + self.per_mac * macs) * (num_train + EVALUATION * held_out) / workers


@dataclass(frozen=True)
class Plan:
    """Lowest and highest of what is expected: worker-seconds in trials, and seconds of the clock with `groups` worker
    groups."""

    low: float
    high: float
    wall_low: float
    wall_high: float
    groups: int


def plan(
    study: Study,
    pace: Pace,
    macs_of: Callable[[Mapping[str, Any]], int],
    num_images: int,
    groups: int,
    allowed: Allowed | None = None,
) -> Plan:
    """Of the whole study. macs_of: of a config, as a dict. num_images: that its data have before the split. allowed:
    whether a point's network is within the space's limits; None where all are."""
    epochs = study.space.base.epochs
    seconds: dict[str, float] = {}

    def seconds_of(params: Mapping[str, Any]) -> float:
        key = point_key(params)
        if key not in seconds:
            config = study.space.config(params).to_dict()
            share = config["epochs"] / epochs  # where epochs vary, as simulated trials all have as many
            seconds[key] = share * pace.epoch_seconds(config, macs_of(config), num_images, study.workers)
        return seconds[key]

    busy, walls = [], []
    for repeat in range(REPEATS_OF_A_MODEL if study.scheduler.chooses else REPEATS):
        searcher: SearcherName = "grid" if study.searcher == "grid" else "random"
        state = GeneratedStudy(study.space, study.num_trials, searcher, study.scheduler, study.seed)
        state.time_budget, state.audit, state.allowed = study.time_budget, study.audit, allowed
        state.begin(_curves(epochs, seconds_of, repeat), epochs)
        told = simulate(state, Cluster(groups))
        busy.append(told.busy_seconds * study.workers)
        walls.append(told.seconds)
    low, high = 1 - PACE_ERROR, 1 + PACE_ERROR
    return Plan(low * min(busy), high * max(busy), low * min(walls), high * max(walls), groups)


def _curves(
    epochs: int, seconds_of: Callable[[Mapping[str, Any]], float], repeat: int
) -> Callable[[Mapping[str, Any]], Curve]:
    """A curve that rises to a value of its own; made once for each point."""
    made: dict[str, Curve] = {}

    def curve_of(params: Mapping[str, Any]) -> Curve:
        key = point_key(params)
        if key not in made:
            digest = hashlib.blake2b(f"{repeat}/{key}".encode(), digest_size=16).digest()
            end = 0.5 + 0.4 * int.from_bytes(digest[:8], "little") / 2**64
            speed = 0.4 + 0.4 * int.from_bytes(digest[8:], "little") / 2**64
            values = tuple(end - (end - 0.1) * math.pow(epoch + 1, -speed) for epoch in range(1, epochs + 1))
            made[key] = Curve(dict(params), values, seconds_of(params))
        return made[key]

    return curve_of

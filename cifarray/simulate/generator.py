"""Curves for points that nobody trained: made from recorded ones, or, where there are none, from a formula.

Not here: recorded curves (`curves`).
"""

import hashlib
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from cifarray.config import TrainConfig
from cifarray.simulate.curves import Curve, Curves
from cifarray.space.domains import Range
from cifarray.space.features import Features
from cifarray.space.space import SearchSpace
from cifarray.study.samplers import point_key

NEIGHBOURS = 5
MADE_EPOCHS, MADE_SECONDS = 27, 10.0


class Fitted:
    """Any point of recorded curves' space: the mean of its five nearest curves, weighted by distance, in −log(1 − y),
    and noise of its own, as large as what that mean misses of a recorded curve that is left out (root mean square).

    The noise moves a whole curve, as other seeds do. A pure function of point and seed.
    """

    def __init__(self, curves: Curves, seed: int = 0) -> None:
        self.space, self.epochs, self._seed = curves.space, curves.epochs, seed
        self._features = Features(curves.space.tree)
        self._curves = curves.curves
        self._at = np.array([self._features.of(curve.params) for curve in curves.curves])
        self._log_errors = np.array([_log_error(curve.values) for curve in curves.curves])
        self._deviation = self._missed()

    def curve_of(self, params: Mapping[str, Any]) -> Curve:
        """Of any point of `space`."""
        at = np.array(self._features.of(params))
        log_error, seconds = self._mean(at, None)
        shift = self._deviation * _normal(f"{self._seed}/{point_key(params)}")
        values = 1 - np.exp(-np.maximum(log_error + shift, 0.0))
        return Curve(dict(params), tuple(values.tolist()), seconds)

    def _mean(self, at: np.ndarray, without: int | None) -> tuple[np.ndarray, float]:
        distances = np.sqrt(((self._at - at) ** 2).sum(axis=1))
        if without is not None:
            distances[without] = np.inf
        near = np.argsort(distances, kind="stable")[:NEIGHBOURS]
        near = near[np.isfinite(distances[near])]
        weights = 1 / (distances[near] + 1e-3)
        weights /= weights.sum()
        return weights @ self._log_errors[near], float(
            math.exp(sum(w * math.log(self._curves[i].seconds) for w, i in zip(weights, near, strict=True)))
        )

    def _missed(self) -> float:
        """Of the last value."""
        if len(self._curves) < 3:
            return 0.0
        missed = [self._log_errors[place][-1] - self._mean(at, place)[0][-1] for place, at in enumerate(self._at)]
        return float(np.sqrt(np.mean(np.square(missed))))


class Made:
    """A formula for where there are no curves: y(t) = c − (c − 0.1) · t^−a, whose end c and speed a follow from a
    learning rate, a weight decay and a width, with their best at 0.1, 5·10⁻⁴ and the greatest width, and noise.

    Nothing that was measured: it is for what a search takes, not for which strategy is better.
    """

    epochs = MADE_EPOCHS

    def __init__(self, seed: int = 0) -> None:
        self._seed = seed
        domains = {
            "optimizer.lr": Range(0.005, 1.0, log=True),
            "optimizer.weight_decay": Range(1e-5, 1e-2, log=True),
            "model.widen_factor": Range(1, 8, integer=True),
        }
        self.space = SearchSpace("made", TrainConfig(epochs=MADE_EPOCHS), domains)

    def curve_of(self, params: Mapping[str, Any]) -> Curve:
        """Of any point of `space`."""
        width = params["model.widen_factor"]
        rate, decay = math.log10(params["optimizer.lr"] / 0.1), math.log10(params["optimizer.weight_decay"] / 5e-4)
        noise = 0.003 * _normal(f"{self._seed}/{point_key(params)}")
        end = min(0.99, 0.9 + 0.015 * math.log2(width) - 0.05 * rate**2 - 0.02 * decay**2 + noise)
        speed = 0.6 + 0.2 * rate
        values = tuple(max(0.1, end - (end - 0.1) * epoch ** -max(speed, 0.1)) for epoch in range(1, self.epochs + 1))
        return Curve(dict(params), values, MADE_SECONDS * (1 + (width / 4) ** 2))


def _log_error(values: tuple[float, ...]) -> np.ndarray:
    """−log(1 − y) of accuracies; what lies outside of 0..1 is taken for its nearest end, but for a hair."""
    return -np.log(1 - np.clip(np.array(values), 0.0, 1 - 1e-6))


def _normal(key: str) -> float:
    """A draw of N(0, 1) that is a function of `key`."""
    digest = hashlib.blake2b(key.encode(), digest_size=16).digest()
    first, second = ((int.from_bytes(part, "little") + 0.5) / 2**64 for part in (digest[:8], digest[8:]))
    return math.sqrt(-2 * math.log(first)) * math.cos(2 * math.pi * second)


Source = Fitted | Made

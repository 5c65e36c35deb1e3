"""What trials will be after their last epoch: one exact Gaussian process over points and epochs.

    k = a0·kt + a1·kx + a2·kx·kt + [same trial]·(a3 + a4·kt) + [same observation]·noise

kx: Matérn 5/2 on the points' features with a length for each; kt: squared exponential on time. So a curve is one that
all have in common, a level and a course that alike points share, and a level and a course of its own. After Swersky,
Snoek & Adams 2014, "Freeze-thaw Bayesian optimization", arXiv:1406.3896, whose kernel in time is an exponential decay;
one smooth kernel with a common part predicted the curves better that this was tried on. Hyperparameters are those of
the highest posterior density, under normal priors of their logarithms.

Pure functions of arrays, numpy and scipy alone. Not here: which trials are observed, what is done with a prediction
(`cifarray.study.schedulers.freeze_thaw`).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

AMPLITUDES = 5
TIME_LENGTH, NOISE, FIRST_LENGTH = 5, 6, 7
"""Where they are among the hyperparameters: five amplitudes, the two, a length for each feature."""
PRIOR_MEANS = np.log([1.0, 0.5, 0.4, 0.15, 0.15, 0.4, 0.1])
PRIOR_DEVIATIONS = np.array([0.7, 0.7, 0.7, 0.7, 0.7, 0.4, 0.7])
LENGTH_MEAN, LENGTH_DEVIATION = 0.7, 0.8
FEATURES_OF_THAT_LENGTH = 5
"""Distances grow with the square root of the number of features, and so must lengths (Hvarfner, Hellsten & Nardi 2024,
"Vanilla Bayesian optimization performs great in high dimensions", arXiv:2402.02229, §4)."""
BOUND = 3.0
"""Deviations from a prior's mean."""
MAX_ITERATIONS = 25
JITTER = 1e-6


class NotPositiveError(ArithmeticError):
    """The kernel's matrix has no Cholesky factor, as far as can be computed."""


@dataclass(frozen=True)
class Observations:
    """features: (n, d); times: (n,), 0 after the first epoch and 1 after the last; trials: (n,) numbers of the trials;
    values: (n,), of mean 0 and variance 1 or so."""

    features: Array
    times: Array
    trials: npt.NDArray[np.int64]
    values: Array

    def __len__(self) -> int:
        return len(self.values)

    def joined(self, features: Array, times: Array, trials: npt.NDArray[np.int64], values: Array) -> "Observations":
        return Observations(
            np.concatenate([self.features, features]),
            np.concatenate([self.times, times]),
            np.concatenate([self.trials, trials]),
            np.concatenate([self.values, values]),
        )


@dataclass(frozen=True)
class Prior:
    """Of the logarithms of the hyperparameters: (7 + d,) each."""

    means: Array
    deviations: Array

    @classmethod
    def of(cls, num_features: int) -> "Prior":
        longer = max(1.0, num_features / FEATURES_OF_THAT_LENGTH) ** 0.5
        return cls(
            np.concatenate([PRIOR_MEANS, np.full(num_features, np.log(LENGTH_MEAN * longer))]),
            np.concatenate([PRIOR_DEVIATIONS, np.full(num_features, LENGTH_DEVIATION)]),
        )


def fit(observations: Observations) -> Array:
    """The logarithms of the hyperparameters, (7 + d,), by L-BFGS from the prior's means; the same for the same
    observations, whatever was fitted before."""
    from scipy.optimize import minimize

    prior = Prior.of(observations.features.shape[1])
    squares = (observations.features[:, None, :] - observations.features[None]) ** 2
    # One matrix for each feature, in one piece: the lengths' gradients go through them again and again.
    squares = np.ascontiguousarray(np.moveaxis(squares, 2, 0))
    found = minimize(
        lambda logs: _loss(logs, observations, prior, squares),
        prior.means,
        jac=True,
        method="L-BFGS-B",
        bounds=list(zip(prior.means - BOUND * prior.deviations, prior.means + BOUND * prior.deviations, strict=True)),
        options={"maxiter": MAX_ITERATIONS},
    )
    return np.asarray(found.x)


def negative_log_posterior(logs: Array, observations: Observations) -> tuple[float, Array]:
    """Of the hyperparameters `logs`, but for a constant; and its gradient, (7 + d,)."""
    squares = np.moveaxis((observations.features[:, None, :] - observations.features[None]) ** 2, 2, 0)
    return _loss(logs, observations, Prior.of(observations.features.shape[1]), np.ascontiguousarray(squares))


def _loss(logs: Array, observations: Observations, prior: Prior, squares: Array) -> tuple[float, Array]:
    """squares: (d, n, n), of the differences between features."""
    from scipy.linalg import LinAlgError, cho_solve, cholesky

    amplitudes, n = np.exp(2 * logs[:AMPLITUDES]), len(observations)
    weights = np.exp(-2 * logs[FIRST_LENGTH:])
    distance = np.sqrt(5 * np.tensordot(weights, squares, axes=1) + 1e-12)
    decay = np.exp(-distance)
    alike = (1 + distance + distance**2 / 3) * decay
    lag = ((observations.times[:, None] - observations.times[None]) * np.exp(-logs[TIME_LENGTH])) ** 2
    soon = np.exp(-lag / 2)
    same = (observations.trials[:, None] == observations.trials[None]).astype(float)
    noise = np.exp(2 * logs[NOISE])
    parts = (soon, alike, alike * soon, same, same * soon)
    matrix = sum(amplitude * part for amplitude, part in zip(amplitudes, parts, strict=True))
    deviation = (logs - prior.means) / prior.deviations
    try:
        lower = cholesky(matrix + (noise + JITTER) * np.eye(n), lower=True, check_finite=False)
    except LinAlgError:
        return 1e9, np.zeros_like(logs)
    solved = cho_solve((lower, True), observations.values, check_finite=False)
    loss = observations.values @ solved / 2 + np.log(np.diag(lower)).sum() + deviation @ deviation / 2
    # Rasmussen & Williams 2006, eq. 5.9, of the negative: half the sum of this times the derivative of the matrix.
    slope = cho_solve((lower, True), np.eye(n), check_finite=False) - np.outer(solved, solved)
    gradient = np.empty_like(logs)
    gradient[:AMPLITUDES] = [
        (slope * part).sum() * amplitude for amplitude, part in zip(amplitudes, parts, strict=True)
    ]
    in_time = amplitudes[0] + amplitudes[2] * alike + amplitudes[4] * same
    gradient[TIME_LENGTH] = (slope * soon * lag * in_time).sum() / 2
    gradient[NOISE] = np.trace(slope) * noise
    # d alike / d log length = 5/3 (1 + distance) exp(-distance) · the feature's square / length².
    through = slope * (amplitudes[1] + amplitudes[2] * soon) * (5 / 3) * (1 + distance) * decay
    gradient[FIRST_LENGTH:] = squares.reshape(len(weights), -1) @ through.ravel() * weights / 2
    return float(loss), gradient + deviation / prior.deviations


class Posterior:
    """The process with hyperparameters `logs`, given the observations. Raises NotPositiveError."""

    def __init__(self, logs: Array, observations: Observations) -> None:
        from scipy.linalg import LinAlgError, cho_solve, cholesky

        self.logs, self.observations = logs, observations
        matrix = self._kernel(observations.features, observations.times, observations.trials)
        matrix[np.diag_indices_from(matrix)] += np.exp(2 * logs[NOISE]) + JITTER
        try:
            self._lower = cholesky(matrix, lower=True)
        except (LinAlgError, ValueError) as error:
            raise NotPositiveError(f"{len(observations)} observations have no posterior: {error}") from error
        self._solved = cho_solve((self._lower, True), observations.values)

    def predict(self, features: Any, times: Any, trials: Any) -> tuple[Array, Array]:
        """Mean and standard deviation, (m,) each, of what is behind the noise.

        features: (m, d); times, trials: (m,).
        """
        from scipy.linalg import solve_triangular

        across = self._kernel(np.asarray(features), np.asarray(times), np.asarray(trials))
        mean = across @ self._solved
        explained = (solve_triangular(self._lower, across.T, lower=True, check_finite=False) ** 2).sum(axis=0)
        variance = np.exp(2 * self.logs[:AMPLITUDES]).sum() - explained
        return mean, np.sqrt(np.maximum(variance, 1e-10))

    def alike(self, left: Array, right: Array) -> Array:
        """(m, n): how much points with features `left` (m, d) and `right` (n, d) have in common, 0..1."""
        lengths = np.exp(self.logs[FIRST_LENGTH:])
        left, right = left / lengths, right / lengths
        squares = (left**2).sum(1)[:, None] + (right**2).sum(1)[None] - 2 * left @ right.T
        distance = np.sqrt(5 * np.maximum(squares, 0.0))
        return np.asarray((1 + distance + distance**2 / 3) * np.exp(-distance))

    def _kernel(self, features: Array, times: Array, trials: npt.NDArray[np.int64]) -> Array:
        """(m, n): between these and the observations."""
        seen, logs = self.observations, self.logs
        amplitudes = np.exp(2 * logs[:AMPLITUDES])
        alike = self.alike(features, seen.features)
        soon = np.exp(-(((times[:, None] - seen.times[None]) * np.exp(-logs[TIME_LENGTH])) ** 2) / 2)
        same = trials[:, None] == seen.trials[None]
        kernel = amplitudes[0] * soon + amplitudes[1] * alike + amplitudes[2] * alike * soon
        return np.asarray(kernel + same * (amplitudes[3] + amplitudes[4] * soon))


def log_expected_improvement(mean: Array, deviation: Array, best: float) -> Array:
    """log E[max(y − best, 0)] for y normal, (m,); exact where the improvement is hopeless too.

    Ament et al. 2023, "Unexpected improvements to expected improvement", arXiv:2310.20708, eq. 9.
    """
    from scipy.special import erfcx

    gain = (mean - best) / deviation
    density = -(gain**2) / 2 - np.log(2 * np.pi) / 2
    # The density times (1 + gain · Φ/φ); far below, 1 + gain · Φ/φ is a difference of equals and tends to 1 / gain².
    below = np.minimum(gain, 0.0)
    ratio = 1 + below * np.sqrt(np.pi / 2) * erfcx(-below / np.sqrt(2))
    far = -2 * np.log(np.maximum(-gain, 1.0))
    hopeless = density + np.where(gain < -1e3, far, np.log(np.maximum(ratio, 1e-12)))
    above = np.maximum(gain, -1.0)
    usual = np.log(above * _normal(above) + np.exp(-(above**2) / 2) / np.sqrt(2 * np.pi))
    return np.asarray(np.log(deviation) + np.where(gain > -1, usual, hopeless))


def chance_of_improvement(mean: Array, deviation: Array, best: float) -> Array:
    """P(y > best) for y normal, (m,)."""
    return _normal((mean - best) / deviation)


def _normal(values: Array) -> Array:
    from scipy.special import ndtr

    return np.asarray(ndtr(values))

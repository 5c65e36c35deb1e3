"""The process against what can be worked out otherwise: dense algebra, finite differences, integrals."""

import math

import numpy as np
import pytest
from scipy import integrate, stats

from cifarray.study.gaussian_process import (
    NotPositiveError,
    Observations,
    Posterior,
    Prior,
    chance_of_improvement,
    fit,
    log_expected_improvement,
    negative_log_posterior,
)


def observations(n=12, d=3, seed=0):
    source = np.random.default_rng(seed)
    trials = np.arange(n) // 3
    return Observations(source.random((n // 3, d))[trials], source.random(n), trials, source.standard_normal(n))


def hyperparameters(d=3, seed=1):
    prior = Prior.of(d)
    return prior.means + 0.5 * prior.deviations * np.random.default_rng(seed).standard_normal(7 + d)


def kernel_of(logs, left, right):
    """Of two observations (features, time, trial), term by term."""
    (x, t, i), (y, u, j) = left, right
    a = [math.exp(2 * log) for log in logs[:5]]
    r = math.sqrt(5 * sum(((p - q) / math.exp(log)) ** 2 for p, q, log in zip(x, y, logs[7:], strict=True)))
    kx = (1 + r + r**2 / 3) * math.exp(-r)
    kt = math.exp(-(((t - u) / math.exp(logs[5])) ** 2) / 2)
    return a[0] * kt + a[1] * kx + a[2] * kx * kt + (a[3] + a[4] * kt if i == j else 0.0)


def test_the_posterior_is_that_of_the_textbook():
    """Rasmussen & Williams 2006, eq. 2.23 and 2.24, by the inverse of a matrix that is written out."""
    seen, logs = observations(), hyperparameters()
    rows = list(zip(seen.features, seen.times, seen.trials, strict=True))
    noise = math.exp(2 * logs[6]) + 1e-6
    matrix = np.array([[kernel_of(logs, a, b) for b in rows] for a in rows]) + noise * np.eye(len(rows))
    inverse = np.linalg.inv(matrix)
    new = [(np.array([0.2, 0.9, 0.4]), 1.0, -1), (seen.features[4], 1.0, 1)]
    mean, deviation = Posterior(logs, seen).predict(*(np.array(column) for column in zip(*new, strict=True)))
    for place, point in enumerate(new):
        across = np.array([kernel_of(logs, point, row) for row in rows])
        assert mean[place] == pytest.approx(across @ inverse @ seen.values, rel=1e-6)
        variance = kernel_of(logs, point, point) - across @ inverse @ across
        assert deviation[place] == pytest.approx(math.sqrt(variance), rel=1e-6)


def test_what_was_seen_of_a_trial_counts_for_it_and_less_for_others():
    """Two trials of the same point: one has done well, and more is expected of it than of the other."""
    at = np.full((1, 2), 0.5)
    seen = Observations(at, np.array([0.5]), np.array([7]), np.array([2.0]))
    posterior = Posterior(Prior.of(2).means, seen)
    (own, other), (sure, unsure) = posterior.predict(np.repeat(at, 2, axis=0), np.ones(2), np.array([7, 8]))
    assert 0 < other < own < 2
    assert sure < unsure


def test_the_gradient_is_the_slope():
    seen, logs = observations(), hyperparameters()
    _, gradient = negative_log_posterior(logs, seen)
    step = 1e-5
    for place in range(len(logs)):
        beside = [logs + sign * step * np.eye(len(logs))[place] for sign in (1, -1)]
        high, low = (negative_log_posterior(point, seen)[0] for point in beside)
        assert gradient[place] == pytest.approx((high - low) / (2 * step), rel=1e-4, abs=1e-6)


def test_the_likelihood_is_a_normal_distributions():
    seen, logs = observations(), hyperparameters()
    rows = list(zip(seen.features, seen.times, seen.trials, strict=True))
    prior = Prior.of(3)

    def by_hand(logs):
        matrix = np.array([[kernel_of(logs, a, b) for b in rows] for a in rows])
        matrix += (math.exp(2 * logs[6]) + 1e-6) * np.eye(len(rows))
        data = stats.multivariate_normal(np.zeros(len(rows)), matrix).logpdf(seen.values)
        return -data - stats.norm(prior.means, prior.deviations).logpdf(logs).sum()

    # But for a constant.
    difference = negative_log_posterior(logs, seen)[0] - negative_log_posterior(prior.means, seen)[0]
    assert difference == pytest.approx(by_hand(logs) - by_hand(prior.means), rel=1e-6)


def test_a_fit_is_better_than_the_prior_and_hangs_on_nothing_but_the_observations():
    seen = observations(30, seed=3)
    logs = fit(seen)
    fit(observations(12))
    assert (fit(seen) == logs).all()
    loss, _ = negative_log_posterior(logs, seen)
    assert loss < negative_log_posterior(Prior.of(3).means, seen)[0]


def test_a_fit_finds_which_feature_matters():
    """Values that only the first of three features decides: its length is the shortest."""
    source = np.random.default_rng(0)
    at = source.random((60, 3))
    values = np.sin(6 * at[:, 0]) + 0.01 * source.standard_normal(60)
    lengths = fit(Observations(at, np.ones(60), np.arange(60), values))[7:]
    assert lengths[0] < min(lengths[1:]) - 1


def test_lengths_are_expected_to_grow_with_the_root_of_the_number_of_features():
    assert Prior.of(20).means[-1] - Prior.of(5).means[-1] == pytest.approx(math.log(2))
    assert Prior.of(1).means[-1] == Prior.of(5).means[-1]


@pytest.mark.parametrize("gain", [-50.0, -5.0, -1.001, -0.999, 0.0, 2.0])
def test_expected_improvement_is_the_integral(gain):
    best, deviation = 0.3, 0.7
    mean = best + gain * deviation
    found = log_expected_improvement(np.array([mean]), np.array([deviation]), best)[0]
    if gain > -10:
        normal = stats.norm(mean, deviation)
        whole, _ = integrate.quad(lambda y: (y - best) * normal.pdf(y), best, best + 12, epsabs=0, epsrel=1e-10)
        assert found == pytest.approx(math.log(whole), rel=1e-6)
    else:
        # φ(g) / g² · (1 − 3 / g² + …), far below anything that a float holds.
        expected = math.log(deviation) - gain**2 / 2 - math.log(2 * math.pi) / 2 - 2 * math.log(-gain) - 3 / gain**2
        assert found == pytest.approx(expected, abs=1e-4)
    assert chance_of_improvement(np.array([mean]), np.array([deviation]), best)[0] == pytest.approx(
        stats.norm.cdf(gain)
    )


def test_improvements_that_are_hopeless_are_still_told_apart():
    found = log_expected_improvement(np.array([-1e5, -1e4, -2000.0, -900.0, -30.0]), np.ones(5), 0.0)
    assert np.isfinite(found).all()
    assert (np.diff(found) > 0).all()


def test_what_is_no_number_has_no_posterior():
    seen = observations()
    broken = Observations(np.where(seen.features > 0.5, np.nan, seen.features), seen.times, seen.trials, seen.values)
    with pytest.raises(NotPositiveError, match="12 observations have no posterior"):
        Posterior(hyperparameters(), broken)

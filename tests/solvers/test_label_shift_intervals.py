"""Intervals of class shares: coverage where the errors are known, ends, corrections, limits."""

import numpy as np
import pytest
import scipy.stats
from numpy.testing import assert_allclose

from clusterlib.solvers.label_shift_intervals import corrected_marginals, marginal_intervals
from clusterlib.solvers.simulated_shift import SimulatedRefits


def drawn(r=40, k=6, n_refits=10, rows=200, alpha=3.0, noise=0.02, bias=0.0, seed=0):
    """Shares, labels of rows drawn from them, and a fit and refits that err in the same way."""
    rng = np.random.default_rng(seed)
    shares = rng.dirichlet(np.full(k, alpha / k), r)
    realised = np.array([rng.multinomial(rows, row) for row in shares]) / rows
    size = noise * np.sqrt(realised * (1 - realised))
    offset = bias * size * np.sign(rng.normal(size=(r, k)))
    errors = offset + size * rng.normal(size=(n_refits + 1, r, k))
    fitted = np.clip(realised + errors[0], 0, None)
    fitted /= fitted.sum(axis=1, keepdims=True)
    refits = SimulatedRefits(errors[1:], np.ones(n_refits))
    return shares, realised, fitted, refits, np.full(r, rows)


def coverage(truth, intervals):
    return float(((truth >= intervals[0]) & (truth <= intervals[1])).mean())


@pytest.mark.parametrize("bias", [0.0, 2.0])
@pytest.mark.parametrize("fraction", [0.0, 1.0])
@pytest.mark.parametrize("level", [0.8, 0.95])
def test_covers_what_it_says(bias, fraction, level):
    found = []
    for seed in range(5):
        shares, realised, fitted, refits, rows = drawn(bias=bias, noise=0.1, seed=seed)
        truth = realised if fraction else shares
        found.append(
            coverage(
                truth,
                marginal_intervals(fitted, refits, rows, level=level, sampled_fraction=fraction),
            )
        )
    # The squared bias is added where all of it was taken off: with it intervals are too wide.
    assert np.mean(found) > level - 0.02
    if bias == 0.0:
        assert 1 - np.mean(found) > 0.3 * (1 - level)


def test_ends_are_shares_around_the_corrected_ones():
    _, _, fitted, refits, rows = drawn(bias=1.0)
    lower, upper = marginal_intervals(fitted, refits, rows)
    corrected = corrected_marginals(fitted, refits)
    assert (lower >= 0).all()
    assert (upper <= 1).all()
    assert (lower <= corrected + 1e-12).all()
    assert (corrected <= upper + 1e-12).all()
    assert_allclose(corrected.sum(axis=1), 1.0)


def test_of_two_classes_one_interval_mirrors_the_other():
    shares = np.array([[0.9, 0.1], [0.6, 0.4], [0.02, 0.98]])
    errors = np.random.default_rng(0).normal(0.0, 0.01, (20, 3, 1)) * np.array([1.0, -1.0])
    refits = SimulatedRefits(errors, np.ones(20))
    lower, upper = marginal_intervals(shares, refits, [400, 400, 400])
    assert_allclose(lower, 1 - upper[:, ::-1], atol=1e-10)


def test_wider_at_higher_levels_and_for_fewer_rows():
    _, _, fitted, refits, rows = drawn()
    usual = np.diff(marginal_intervals(fitted, refits, rows), axis=0)
    assert (np.diff(marginal_intervals(fitted, refits, rows, level=0.99), axis=0) > usual).all()
    fewer = np.diff(marginal_intervals(fitted, refits, rows // 4), axis=0)
    assert (fewer > usual).mean() > 0.95
    of_rows = np.diff(marginal_intervals(fitted, refits, rows, sampled_fraction=1.0), axis=0)
    assert (of_rows <= usual + 1e-12).all()


def test_none_may_be_none():
    fitted = np.array([[0.001, 0.999], [0.5, 0.5]])
    errors = np.random.default_rng(0).normal(0, 0.001, (12, 2, 1)) * np.array([1.0, -1.0])
    lower, upper = marginal_intervals(fitted, SimulatedRefits(errors, np.ones(12)), [100, 100])
    assert lower[0, 0] == 0.0
    assert upper[0, 1] == 1.0
    assert 0.3 < lower[1, 0] < upper[1, 0] < 0.7


def test_correction_takes_a_constant_error_off():
    truth = np.array([[0.3, 0.7], [0.6, 0.4]])
    error = np.array([[0.05, -0.05], [-0.1, 0.1]])
    refits = SimulatedRefits(np.repeat(error[None], 5, axis=0), np.ones(5))
    assert_allclose(corrected_marginals(truth + error, refits), truth)


def test_refits_without_errors_leave_the_sampling():
    """Jeffreys' interval of a binomial share."""
    fitted = np.array([[0.25, 0.75]])
    refits = SimulatedRefits(np.zeros((10, 1, 2)), np.ones(10))
    lower, upper = marginal_intervals(fitted, refits, [81])
    beta = scipy.stats.beta(20.5, 60.5)
    assert_allclose([lower[0, 0], upper[0, 0]], beta.ppf([0.025, 0.975]), rtol=1e-12)
    exact = marginal_intervals(fitted, refits, [81], sampled_fraction=1.0)
    assert_allclose(exact, [fitted, fitted], atol=1e-6)


@pytest.mark.parametrize("fraction", [0.0, 0.4])
def test_every_end_is_that_of_the_formula(fraction):
    rng = np.random.default_rng(0)
    fitted = rng.dirichlet(np.full(4, 0.4), 6)
    fitted[0] = [0.0, 0.001, 0.0095, 0.9895]  # below the least share and rows of none
    errors = 0.02 * rng.normal(size=(7, 6, 4))
    rows, refits = np.array([20, 50, 100, 200, 400, 1000]), SimulatedRefits(errors, np.ones(7))
    found = marginal_intervals(fitted, refits, rows, level=0.9, sampled_fraction=fraction)
    variances = np.array([[np.var(errors[:, d, y], ddof=1) for y in range(4)] for d in range(6)])
    variances *= 1 + 1 / 7
    spreads = np.maximum(fitted * (1 - fitted), 1e-3)
    estimate = corrected_marginals(fitted, refits)
    n_open = 0
    for d, y in np.ndindex(6, 4):
        # Three tenths of a variance are those that its share has in the mean.
        smooth = variances.mean() * spreads[d, y] / spreads.mean()
        variance = 0.7 * variances[d, y] + 0.3 * smooth + errors[:, d, y].mean() ** 2
        p = estimate[d, y]
        inside = min(max(p, 0.5 / rows[d]), 1 - 0.5 / rows[d])
        variance += (1 - fraction) * inside * (1 - inside) / rows[d]
        effective = max(inside * (1 - inside) / variance - 1, 1.0)
        beta = scipy.stats.beta(p * effective + 0.5, (1 - p) * effective + 0.5)
        lower = 0.0 if p * effective < 3 else beta.ppf(0.05)
        upper = 1.0 if (1 - p) * effective < 3 else beta.ppf(0.95)
        n_open += (lower == 0.0) + (upper == 1.0)
        assert_allclose(found[:, d, y], [lower, upper], rtol=1e-9)
    assert 5 < n_open < 40


@pytest.mark.parametrize(("rows", "lower"), [(2.99, 0.0), (3.01, None)])
def test_a_share_of_less_than_three_rows_may_be_none(rows, lower):
    # Refits without errors: a share of p has as many effective rows as there are, less one.
    refits = SimulatedRefits(np.zeros((10, 1, 2)), np.ones(10))
    p = rows / 400
    found = marginal_intervals(np.array([[p, 1 - p]]), refits, [401])[:, 0, 0]
    expected = scipy.stats.beta(rows + 0.5, 400 - rows + 0.5).ppf([0.025, 0.975])
    assert_allclose(found, [expected[0] if lower is None else lower, expected[1]], rtol=1e-9)

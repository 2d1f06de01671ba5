"""Parts of the Sinkhorn divergence beside dense formulas, solved to the end or not."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import logsumexp

from clusterlib.solvers import PointCost, sinkhorn_divergence
from clusterlib.solvers.sinkhorn_divergence import _Side
from tests.solvers.dense_sinkhorn import random_weights

OPTIONS = {"n_threads": None, "backend": None}


def clouds(seed=0):
    rng = np.random.default_rng(seed)
    X, Y = rng.normal(size=(9, 2)), rng.normal(size=(7, 2)) + 0.3
    a, b = random_weights(9, rng), random_weights(7, rng)
    a[2], b[[0, 4]] = 0.0, 0.0
    return X, Y, a, b * a.sum() / b.sum()


def costs(X, Y):
    return ((X[:, None] - Y) ** 2).sum(axis=2)


@pytest.mark.parametrize("rho", [np.inf, 0.4])
def test_what_a_side_knows(rho):
    X, Y, a, _ = clouds()
    epsilon, tau = 0.5, 1.0 if np.isinf(rho) else rho / (rho + 0.5)
    cost = PointCost(X, Y)
    side = _Side(cost, a, epsilon, rho, OPTIONS)
    assert side.tau == pytest.approx(tau)
    assert_allclose(side.damped, a ** (1 / tau))
    here, C, g = a > 0, costs(X, Y), np.linspace(-1, 1, 7)
    f = np.zeros(9)
    sums = side.sweep(cost, f, g)
    logs = logsumexp((g - C) / epsilon, axis=1)
    log_damped = np.log(np.maximum(a, 1e-300)) / tau
    expected = np.where(here, tau * epsilon * (log_damped - logs), -np.inf)
    assert_allclose(f, expected, rtol=1e-10)
    assert_allclose(sums, np.exp((expected[:, None] + g - C) / epsilon).sum(axis=0), rtol=1e-10)
    relative = np.where(here, expected - epsilon * np.log(np.maximum(a, 1e-300)), 0.0)
    assert_allclose(side.relative(f), relative, atol=1e-12)
    # Where there is no weight the potential is what a softmin over the targets says.
    everywhere = side.everywhere(cost, f, g)
    assert_allclose(everywhere, np.where(here, relative, -tau * epsilon * logs), atol=1e-12)
    # Sums of this side should be a exp(-f / rho), f relative to the weights.
    wanted = np.where(here, a * np.exp(-relative / rho), 0.0)
    given = np.random.default_rng(1).uniform(size=9)
    assert side.error(given, f) == pytest.approx(np.abs(given - wanted)[here].sum())


def plain(X, Y, a, b, epsilon, rho, n):
    """Damped updates of g, then f; relative to the weights."""
    tau, C = 1.0 if np.isinf(rho) else rho / (rho + epsilon), costs(X, Y)
    with np.errstate(divide="ignore"):
        log_a, log_b = np.log(a) / tau, np.log(b) / tau
    g = np.where(b > 0, 0.0, -np.inf)
    for _ in range(n):
        f = tau * epsilon * (log_a - logsumexp((g - C) / epsilon, axis=1))
        g = tau * epsilon * (log_b - logsumexp((f[:, None] - C) / epsilon, axis=0))
    f = tau * epsilon * (log_a - logsumexp((g - C) / epsilon, axis=1))
    return f, g


def dual_of(X, Y, a, b, epsilon, rho, n=500):
    """Dual value, with potentials relative to the weights."""
    f, g = plain(X, Y, a, b, epsilon, rho, n)
    value = -epsilon * np.exp((f[:, None] + g - costs(X, Y)) / epsilon).sum()
    for weight, potential in ((a, f), (b, g)):
        here = weight > 0
        p = potential[here] - epsilon * np.log(weight[here])
        value += weight[here] @ (p if np.isinf(rho) else rho * (1 - np.exp(-p / rho)))
    return value, f, g


@pytest.mark.parametrize("rho", [np.inf, 2.0, 0.3])
def test_the_value_and_all_potentials(rho):
    X, Y, a, b = clouds()
    if np.isfinite(rho):
        b = 1.3 * b
    found = sinkhorn_divergence(X, Y, 0.5, a=a, b=b, rho=rho, tol=1e-11)
    between, f, g = dual_of(X, Y, a, b, 0.5, rho)
    alone = [dual_of(Z, Z, w, w, 0.5, rho) for Z, w in ((X, a), (Y, b))]
    assert found.value == pytest.approx(between - sum(one[0] for one in alone) / 2, rel=1e-6)
    shift = 0.0
    if np.isinf(rho):  # a constant is free
        here = a > 0
        shift = (found.f[here] - f[here] + 0.5 * np.log(a[here])).mean()
    for potential, plain_one, weight, sign in ((found.f, f, a, 1), (found.g, g, b, -1)):
        here = weight > 0
        expected = plain_one[here] - 0.5 * np.log(weight[here])
        assert_allclose(potential[here] - sign * shift, expected, atol=1e-6)
    for potential, (_, one, other), weight in zip(
        (found.self_f, found.self_g), alone, (a, b), strict=True
    ):
        here = weight > 0
        expected = (one + other)[here] / 2 - 0.5 * np.log(weight[here])
        assert_allclose(potential[here], expected, atol=1e-6)
    assert found.converged
    assert found.marginal_error <= 1e-11
    assert all(n > 2 for n in found.n_iter)


@pytest.mark.parametrize("rho", [np.inf, 2.0, 0.3])
@pytest.mark.parametrize("max_iter", [2, 3, 4])
def test_a_solve_that_is_cut_short_says_by_how_much(rho, max_iter):
    X, Y, a, b = clouds()
    found = sinkhorn_divergence(X, Y, 0.5, a=a, b=b, rho=rho, max_iter=max_iter, tol=1e-12)
    assert not found.converged
    assert found.marginal_error > 1e-12
    assert_array_equal(found.n_iter[1:], [max_iter] * 2)
    assert max_iter <= found.n_iter[0] <= max_iter + 2
    if rho == 0.3:  # plain sweeps where the penalty is weaker than the entropy
        assert found.n_iter[0] == max_iter + 1
    loose = sinkhorn_divergence(X, Y, 0.5, a=a, b=b, rho=rho, max_iter=max_iter, tol=1e3)
    assert loose.converged


@pytest.mark.parametrize("max_iter", [1, 0])
def test_at_least_two_sweeps(max_iter):
    with pytest.raises(ValueError, match="max_iter must be from 2"):
        sinkhorn_divergence([[0.0]], [[1.0]], 1.0, max_iter=max_iter)
    assert sinkhorn_divergence([[0.0]], [[1.0]], 1.0, max_iter=2).value == pytest.approx(1.0)

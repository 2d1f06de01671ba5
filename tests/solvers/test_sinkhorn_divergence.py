"""The Sinkhorn divergence: definition, closed forms, limits, hostile numbers."""

import tracemalloc
from functools import cache

import numpy as np
import pytest
from scipy.special import logsumexp

from clusterlib.kernels import available_backends, pairwise_distances
from clusterlib.solvers import PointCost, sinkhorn_divergence
from clusterlib.solvers.self_transport import self_transport

METRICS = ["sqeuclidean", "euclidean", "cosine", "inner_product"]


def clouds(n=40, m=50, d=3, seed=0, dtype=np.float64):
    rng = np.random.default_rng(seed)
    X, Y = rng.normal(size=(n, d)), 0.7 * rng.normal(size=(m, d)) + 0.4
    a, b = rng.dirichlet(np.full(n, 3.0)), rng.dirichlet(np.full(m, 3.0))
    return X.astype(dtype), Y.astype(dtype), a, b


def kl(x, y):
    return float((np.where(x > 0, x * np.log(np.maximum(x, 1e-300) / y), 0) - x + y).sum())


def primal(cost, epsilon, a, b, rho):
    """``<C, P> + epsilon KL(P | a b') + rho KL(P 1 | a) + rho KL(P' 1 | b)`` at the optimum."""
    tau = 1.0 if np.isinf(rho) else rho / (rho + epsilon)
    f, g = np.zeros(len(a)), np.zeros(len(b))
    for _ in range(100_000):
        before = f
        f = -tau * epsilon * logsumexp(np.log(b) + (g - cost) / epsilon, axis=1)
        g = -tau * epsilon * logsumexp(np.log(a)[:, None] + (f[:, None] - cost) / epsilon, axis=0)
        if np.abs(f - before).max() < 1e-12:
            break
    product = np.outer(a, b)
    plan = product * np.exp((f[:, None] + g - cost) / epsilon)
    value = (cost * plan).sum() + epsilon * kl(plan, product)
    if np.isfinite(rho):
        value += rho * (kl(plan.sum(axis=1), a) + kl(plan.sum(axis=0), b))
    return value


@cache
def expected_value(rho, epsilon):
    """The definition for small clouds, of different masses if that is allowed."""
    X, Y, a, b = clouds(12, 15)
    return definition(X, Y, epsilon, a, b if np.isinf(rho) else 1.7 * b, rho)


def definition(X, Y, epsilon, a, b, rho, metric="sqeuclidean"):
    def transport(X, Y, a, b):
        return primal(pairwise_distances(X, Y, metric=metric), epsilon, a, b, rho)

    bias = transport(X, X, a, a) + transport(Y, Y, b, b)
    return transport(X, Y, a, b) - bias / 2 + epsilon / 2 * (a.sum() - b.sum()) ** 2


@pytest.mark.parametrize("backend", available_backends())
@pytest.mark.parametrize("epsilon", [1.0, 3.0, 20.0])
@pytest.mark.parametrize("rho", [np.inf, 1e-2, 0.5, 5.0])
def test_definition(rho, epsilon, backend):
    X, Y, a, b = clouds(12, 15)
    b = b if np.isinf(rho) else 1.7 * b
    result = sinkhorn_divergence(X, Y, epsilon, a=a, b=b, rho=rho, backend=backend)
    assert result.converged
    np.testing.assert_allclose(result.value, expected_value(rho, epsilon), rtol=1e-7, atol=1e-9)
    assert f"value={result.value:.6g}" in repr(result)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("rho", [np.inf, 1.0])
def test_metrics(metric, rho):
    X, Y, a, b = clouds(12, 15)
    if metric == "inner_product":
        rho = np.inf
    result = sinkhorn_divergence(X, Y, 0.5, a=a, b=b, rho=rho, metric=metric)
    expected = definition(X, Y, 0.5, a, b, rho, metric)
    np.testing.assert_allclose(result.value, expected, rtol=1e-7, atol=1e-9)
    equal = sinkhorn_divergence(X, X[::-1], 0.5, a=a, b=a[::-1], rho=rho, metric=metric)
    assert equal.value < 1e-10 < result.value


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("epsilon", [1e-3, 0.1, 10.0])
@pytest.mark.parametrize("rho", [np.inf, 1.0])
def test_equal_measures(rho, epsilon, dtype):
    """Equal are measures, not arrays: an atom may be split, and the order is none."""
    X, _, a, _ = clouds(dtype=dtype)
    order = np.random.default_rng(1).permutation(41)
    Y, b = np.vstack([X, X[:1]])[order], np.append(a, 0.25 * a[0])
    b[0] *= 0.75
    result = sinkhorn_divergence(X, Y, epsilon, a=a, b=b[order], rho=rho)
    assert result.converged
    # Second order in the tolerance, and in the rounding of float32 costs that are not 0 for pairs.
    assert 0 <= result.value < 1e-8


def test_exchanging_the_clouds():
    X, Y, a, b = clouds()
    for rho in (np.inf, 0.7):
        one = sinkhorn_divergence(X, Y, 0.5, a=a, b=b, rho=rho, tol=1e-9)
        other = sinkhorn_divergence(Y, X, 0.5, a=b, b=a, rho=rho, tol=1e-9)
        np.testing.assert_allclose(one.value, other.value, rtol=1e-10)
        np.testing.assert_allclose(one.self_f, other.self_g, atol=1e-12)
        sums = [r.f[:, None] + r.g for r in (one, other)]
        np.testing.assert_allclose(sums[0], sums[1].T, atol=1e-7)


@pytest.mark.parametrize("epsilon", [1e-2, 1.0, 1e3])
def test_a_translation_costs_its_square(epsilon):
    X, _, a, _ = clouds()
    shift = np.array([1.0, -2.0, 0.5])
    result = sinkhorn_divergence(X, X + shift, epsilon, a=a, b=a, tol=1e-8)
    np.testing.assert_allclose(result.value, shift @ shift, rtol=1e-8)


def test_two_points():
    assert sinkhorn_divergence([[0.0]], [[3.0]], 0.1).value == pytest.approx(9.0, rel=1e-14)
    far = sinkhorn_divergence([[0.0]], [[1e4]], 0.1, rho=2.0)
    # Nothing is transported: the penalties of both masses, and the entropy of no plan.
    assert far.value == pytest.approx(2.0 + 2.0 + 0.1, rel=1e-14)


@pytest.mark.parametrize("epsilon", [0.2, 1.0])
def test_gaussians(epsilon):
    """Janati et al. 2020: entropic transport of N(m, s^2) to N(n, t^2) in closed form."""

    def transport(s, t, distance):
        half = epsilon / 2
        root = np.sqrt(4 * s**2 * t**2 + half**2)
        return (
            distance**2
            + s**2
            + t**2
            - root
            + half * (1 - np.log(2 * half))
            + half * np.log(root + half)
        )

    grid = np.linspace(-7, 8, 400)[:, None]
    s, t, distance = 0.8, 1.1, 0.6
    a = np.exp(-0.5 * (grid[:, 0] / s) ** 2)
    b = np.exp(-0.5 * ((grid[:, 0] - distance) / t) ** 2)
    result = sinkhorn_divergence(grid, grid, epsilon, a=a / a.sum(), b=b / b.sum(), tol=1e-9)
    expected = transport(s, t, distance) - (transport(s, s, 0) + transport(t, t, 0)) / 2
    np.testing.assert_allclose(result.value, expected, rtol=1e-7)


def test_limits():
    rng = np.random.default_rng(2)
    X, Y = rng.normal(size=(60, 1)), 2 * rng.normal(size=(60, 1)) + 1
    sharp = sinkhorn_divergence(X, Y, 1e-4, max_iter=20_000)
    exact = np.square(np.sort(X, axis=0) - np.sort(Y, axis=0)).mean()
    np.testing.assert_allclose(sharp.value, exact, rtol=1e-3)
    blurred = sinkhorn_divergence(X, Y, 1e6)
    np.testing.assert_allclose(blurred.value, (X.mean() - Y.mean()) ** 2, rtol=1e-4)
    stiff = sinkhorn_divergence(X, Y, 1.0, rho=1e7, tol=1e-8)
    np.testing.assert_allclose(stiff.value, sinkhorn_divergence(X, Y, 1.0).value, rtol=1e-5)


@pytest.mark.parametrize("epsilon", [1e-6, 1e-3, 1.0, 1e3])
@pytest.mark.parametrize("tau", [1.0, 0.5])
@pytest.mark.parametrize("metric", METRICS)
def test_transport_to_itself_takes_few_sweeps(metric, tau, epsilon):
    X, _, a, _ = clouds(200, d=4)
    if metric == "inner_product" and tau < 1:
        return
    cost = PointCost(X, X, metric=metric)
    log_a = np.log(a) / tau
    solution = self_transport(
        cost, epsilon * cost.magnitude, log_a, tau, 1.0, tol=1e-9, max_iter=100
    )
    assert solution.error <= 1e-9
    assert solution.n_iter <= 35
    update, f = solution.potentials
    np.testing.assert_allclose(update, f, atol=1e-6 * epsilon * cost.magnitude + 1e-9)


def test_potentials_are_the_derivative():
    X, Y, a, b = clouds()
    step = np.zeros(len(a))
    step[3], step[11] = 1e-4, -1e-4
    result = sinkhorn_divergence(X, Y, 0.5, a=a, b=b, tol=1e-10)
    up, down = (
        sinkhorn_divergence(X, Y, 0.5, a=a + sign * step, b=b, tol=1e-10).value for sign in (1, -1)
    )
    gradient = result.f - result.self_f
    np.testing.assert_allclose((up - down) / 2, gradient @ step, rtol=1e-5)


def test_points_without_weight():
    X, Y, a, b = clouds()
    a, b = a.copy(), b.copy()
    a[::4], b[1::5] = 0.0, 0.0
    a, b = a / a.sum(), b / b.sum()
    for rho in (np.inf, 0.5):
        result = sinkhorn_divergence(X, Y, 0.5, a=a, b=b, rho=rho, tol=1e-9)
        part = sinkhorn_divergence(
            X[a > 0], Y[b > 0], 0.5, a=a[a > 0], b=b[b > 0], rho=rho, tol=1e-9
        )
        np.testing.assert_allclose(result.value, part.value, rtol=1e-10)
        np.testing.assert_allclose(result.f[a > 0], part.f, atol=1e-8)
        tau = 1.0 if np.isinf(rho) else rho / (rho + 0.5)
        exponents = (part.g - pairwise_distances(X, Y[b > 0])) / 0.5
        update = -0.5 * tau * logsumexp(exponents, axis=1, b=b[b > 0])
        np.testing.assert_allclose(result.f, update, atol=1e-8)
        for potential in (result.g, result.self_f, result.self_g):
            assert np.isfinite(potential).all()


def test_threads_change_no_bit():
    X, Y, _, _ = clouds(700, 300)
    one = sinkhorn_divergence(X, Y, 0.5, n_threads=1)
    two = sinkhorn_divergence(X, Y, 0.5, n_threads=2)
    assert one.value == two.value
    np.testing.assert_array_equal(one.f, two.f)
    np.testing.assert_array_equal(one.self_g, two.self_g)


def test_narrow_points_have_values_of_double_precision():
    X, Y, a, b = clouds(dtype=np.float32)
    narrow = sinkhorn_divergence(X, Y, 0.2, a=a, b=b)
    wide = sinkhorn_divergence(X.astype(float), Y.astype(float), 0.2, a=a, b=b)
    np.testing.assert_allclose(narrow.value, wide.value, rtol=1e-7)


def test_no_matrix_is_stored():
    X, Y, _, _ = clouds(3000, 2500)
    tracemalloc.start()
    result = sinkhorn_divergence(X, Y, 5.0, tol=1e-3)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert result.converged
    assert peak < 3000 * 2500 * 8 / 10


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e6])
@pytest.mark.parametrize("epsilon", [1e-6, 1e-2, 10.0])
@pytest.mark.parametrize("rho", [np.inf, 10.0, 1e-3])
def test_hostile_numbers(rho, epsilon, scale, dtype):
    X, Y, a, b = clouds(12, 15)
    X, Y = (scale * X).astype(dtype), (scale * Y).astype(dtype)
    largest = PointCost(X, Y).magnitude
    epsilon, rho = epsilon * largest, rho * largest
    a[:3], b[0] = 1e-12, 0.0
    b *= a.sum() / b.sum()
    result = sinkhorn_divergence(X, Y, epsilon, a=a, b=b, rho=rho, max_iter=100)
    for values in (result.value, result.marginal_error):
        assert 0 <= values < np.inf
    for values in (result.f, result.g, result.self_f, result.self_g):
        assert np.isfinite(values).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"X": np.array([[np.nan]])}, "X contains NaN"),
        ({"Y": np.ones((2, 2))}, "same number of features"),
        ({"epsilon": 0.0}, "epsilon must be"),
        ({"rho": 0.0}, "rho must be a number above 0, got 0"),
        ({"rho": 1.0, "metric": "inner_product"}, "rho must be infinite for the inner product"),
        ({"metric": "manhattan"}, "metric must be one of"),
        ({"a": np.array([0.5, 0.7]), "b": np.ones(3)}, "a and b must have the same sum"),
        ({"a": np.array([1.0, -1.0])}, "a must hold finite weights"),
        ({"b": np.ones((2, 3))}, r"b must have shape \(3,\), got \(2, 3\)"),
        ({"max_iter": 1}, "max_iter must be from 2"),
        ({"max_iter": 2**31}, "max_iter must be from 2"),
        ({"tol": np.inf}, "tol must be"),
    ],
)
def test_bad_input(arguments, message):
    good = {"X": np.ones((2, 1)), "Y": np.arange(3.0)[:, None], "epsilon": 0.1}
    with pytest.raises(ValueError, match=message):
        sinkhorn_divergence(**(good | arguments))

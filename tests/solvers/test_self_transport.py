"""The symmetric problem: its error is what its definition says, solved or not."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from clusterlib.solvers import PointCost
from clusterlib.solvers.self_transport import self_transport

EPSILON = 0.5


def problem(n=30, dtype=np.float64, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 2)).astype(dtype)
    return X, PointCost(X, X), rng.dirichlet(np.full(n, 2.0))


def solved(a, cost, tau, **options):
    settings = {"tol": 1e-10, "max_iter": 500} | options
    return self_transport(cost, EPSILON, np.log(a), tau, a.sum(), **settings)


@pytest.mark.parametrize("tau", [1.0, 0.8, 0.3])
@pytest.mark.parametrize("max_iter", [1, 2, 5, 500])
def test_the_error_is_how_far_row_sums_are_from_what_the_penalty_asks_for(tau, max_iter):
    X, cost, a = problem()
    result = solved(a, cost, tau, max_iter=max_iter)
    assert result.n_iter <= max_iter
    f = result.potentials[1]
    C = np.square(X[:, None] - X).sum(axis=2)
    sums = np.exp((f[:, None] + f - C) / EPSILON).sum(axis=1)
    # rho = tau epsilon / (1 - tau); it is infinite for tau = 1, where the sums are to be a.
    wanted = a * np.exp(-f * (1 - tau) / (tau * EPSILON))
    expected = np.abs(sums - wanted).sum() / a.sum()
    assert_allclose(result.error, expected, rtol=1e-6, atol=1e-12)
    assert (result.error <= 1e-10) == (max_iter == 500)


@pytest.mark.parametrize("tau", [1.0, 0.8])
def test_errors_shrink_by_half_at_least(tau):
    _, cost, a = problem()
    errors = [solved(a, cost, tau, max_iter=n).error for n in range(2, 12)]
    assert (np.diff(np.log2(errors)) <= -0.9).all()


def test_the_mass_is_that_of_the_plan_of_both_potentials():
    X, cost, a = problem()
    result = solved(a, cost, 0.8)
    C = np.square(X[:, None] - X).sum(axis=2)
    plan = np.exp((result.potentials[0][:, None] + result.potentials[1] - C) / EPSILON)
    assert_allclose(result.mass, plan.sum(), rtol=1e-12)
    assert abs(result.mass - a.sum()) > 1e-3  # the penalty lets it


def test_narrow_costs_are_finished_in_double_precision():
    _, cost, a = problem(dtype=np.float32)
    result = solved(a, cost, 1.0)
    assert result.error <= 1e-10
    expected = solved(a, cost.astype(np.float64), 1.0)
    assert_allclose(result.potentials[1], expected.potentials[1], atol=1e-9)


def test_points_without_weight_stay_out():
    X, cost, a = problem()
    a[3] = 0.0
    a /= a.sum()
    with np.errstate(divide="ignore"):
        result = solved(a, cost, 1.0)
    assert result.potentials[1][3] == -np.inf
    rest = np.delete(X, 3, axis=0)
    expected = solved(np.delete(a, 3), PointCost(rest, rest), 1.0)
    assert_allclose(np.delete(result.potentials[1], 3), expected.potentials[1], atol=1e-9)


@pytest.mark.parametrize("max_iter", [1, 2, 3, 6, 12])
@pytest.mark.parametrize("tau", [1.0, 0.6])
@pytest.mark.parametrize("metric", ["sqeuclidean", "inner_product"])
def test_every_sweep_goes_half_the_way(metric, tau, max_iter):
    X, _, a = problem()
    a[3] = 0.0
    C = np.square(X[:, None] - X).sum(axis=2) if metric == "sqeuclidean" else -X @ X.T
    here, log_a = a > 0, np.log(np.maximum(a, 1e-300))
    start = 0.0 if metric == "sqeuclidean" else -0.5 * np.square(X).sum(axis=1)
    f = np.where(here, tau * EPSILON * log_a + start, -np.inf)
    for n in range(1, max_iter + 1):
        logs = np.log(np.exp((f - C) / EPSILON).sum(axis=1))
        update = np.where(here, tau * EPSILON * (log_a - logs), -np.inf)
        if n < max_iter:
            f = np.where(here, (f + update) / 2, -np.inf)
    with np.errstate(divide="ignore"):
        found = solved(a, PointCost(X, X, metric=metric), tau, max_iter=max_iter)
    assert found.n_iter == max_iter
    assert_allclose(found.potentials[0], update, atol=1e-12)
    assert_allclose(found.potentials[1], f, atol=1e-12)
    assert_allclose(found.mass, np.exp((update[:, None] + f - C) / EPSILON).sum())


@pytest.mark.parametrize("tol", [1e-2, 1e-5])
def test_it_ends_with_the_first_error_within_the_tolerance(tol):
    _, cost, a = problem()
    errors = [solved(a, cost, 0.8, max_iter=n, tol=0.0).error for n in range(1, 40)]
    found = solved(a, cost, 0.8, tol=tol)
    assert found.n_iter == 1 + int(np.argmax(np.array(errors) <= tol))
    assert found.error == errors[found.n_iter - 1]
    doubled = self_transport(cost, EPSILON, np.log(a), 0.8, 2 * a.sum(), max_iter=5, tol=0.0)
    assert_allclose(doubled.error, errors[4] / 2)


def test_narrow_costs_get_a_last_sweep_in_double_precision():
    _, cost, a = problem(dtype=np.float32)
    for max_iter in (1, 2, 5):
        narrow = solved(a, cost, 1.0, max_iter=max_iter)
        wide = solved(a, cost.astype(np.float64), 1.0, max_iter=max_iter)
        assert narrow.n_iter == max_iter
        assert_allclose(narrow.potentials[1], wide.potentials[1], atol=1e-5)

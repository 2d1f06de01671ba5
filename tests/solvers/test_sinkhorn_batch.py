"""Many small problems in one call: each as if it were alone, whatever its neighbours are."""

import numpy as np
import pytest
from scipy.special import logsumexp

from clusterlib.kernels import available_backends
from clusterlib.solvers import sinkhorn_batch


def problems(n_problems=20, n=5, m=17, dtype=np.float64, seed=0):
    rng = np.random.default_rng(seed)
    costs = rng.random((n_problems, n, m)).astype(dtype)
    a = rng.dirichlet(np.full(n, 3.0), size=n_problems)
    b = rng.dirichlet(np.full(m, 3.0), size=n_problems)
    return costs, a, b


def textbook(cost, epsilon, a, b, rho_a=np.inf, rho_b=np.inf, n_iter=5000):
    """Damped updates of the potentials until they stand still."""
    f, g = np.zeros(len(a)), np.zeros(len(b))
    tau_a, tau_b = (1.0 if np.isinf(rho) else rho / (rho + epsilon) for rho in (rho_a, rho_b))
    for _ in range(n_iter):
        before = g
        f = tau_a * epsilon * (np.log(a) - logsumexp((g - cost) / epsilon, axis=1))
        g = tau_b * epsilon * (np.log(b) - logsumexp((f[:, None] - cost) / epsilon, axis=0))
        if np.abs(g - before).max() < 1e-15:
            break
    return np.exp((f[:, None] + g - cost) / epsilon)


def same_fields(left, right, part=slice(None)):
    for name in ("f", "g", "marginal_error", "n_iter", "converged"):
        np.testing.assert_array_equal(getattr(left, name), getattr(right, name)[part])


@pytest.mark.parametrize("backend", available_backends())
@pytest.mark.parametrize(("rho_a", "rho_b"), [(np.inf, np.inf), (np.inf, 0.3), (1.0, 0.5), (0, 2)])
def test_agrees_with_the_textbook(rho_a, rho_b, backend):
    costs, a, b = problems()
    result = sinkhorn_batch(
        costs, 0.1, a=a, b=b, rho_a=rho_a, rho_b=rho_b, tol=1e-12, backend=backend
    )
    assert result.converged.all()
    for problem, plan in enumerate(result.plans()):
        expected = textbook(costs[problem], 0.1, a[problem], b[problem], rho_a, rho_b)
        np.testing.assert_allclose(plan, expected, atol=1e-11)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("rho_b", [np.inf, 0.5])
def test_neighbours_and_threads_change_no_bit(rho_b, dtype):
    costs, a, b = problems(50, dtype=dtype)
    arguments = {"rho_b": rho_b, "tol": 1e-5, "max_iter": 200}
    together = sinkhorn_batch(costs, 0.05, a=a, b=b, n_threads=1, **arguments)
    assert 1 < together.n_iter.min() < together.n_iter.max() <= 200
    for n_threads in (2, 3):
        same_fields(
            sinkhorn_batch(costs, 0.05, a=a, b=b, n_threads=n_threads, **arguments), together
        )
    for problem in (0, 13, 49):
        part = slice(problem, problem + 1)
        alone = sinkhorn_batch(costs[part], 0.05, a=a[part], b=b[part], **arguments)
        same_fields(alone, together, part)
    order = np.random.default_rng(1).permutation(50)
    same_fields(
        sinkhorn_batch(costs[order], 0.05, a=a[order], b=b[order], **arguments), together, order
    )


@pytest.mark.parametrize("rho_a", [np.inf, 1.0])
def test_each_problem_has_its_epsilon(rho_a):
    costs, a, b = problems(12)
    epsilon = np.tile([0.05, 0.1, 0.3], 4)
    result = sinkhorn_batch(costs, epsilon, a=a, b=b, rho_a=rho_a)
    for value in np.unique(epsilon):
        part = epsilon == value
        alone = sinkhorn_batch(costs[part], value, a=a[part], b=b[part], rho_a=rho_a)
        same_fields(alone, result, part)
    np.testing.assert_array_equal(result.epsilon, epsilon)


def test_weights_may_be_shared():
    costs, a, b = problems(12)
    expected = sinkhorn_batch(costs, 0.1, a=np.tile(a[0], (12, 1)), b=np.tile(b[0], (12, 1)))
    same_fields(sinkhorn_batch(costs, 0.1, a=a[0], b=b[0]), expected)
    uniform = sinkhorn_batch(costs, 0.1, a=np.full(5, 0.2), b=np.full(17, 1 / 17))
    np.testing.assert_allclose(sinkhorn_batch(costs, 0.1).plans(), uniform.plans(), rtol=1e-12)


def test_masses_are_kept():
    costs, a, b = problems(12)
    mass = np.geomspace(1e-9, 1e9, 12)[:, None]
    expected = sinkhorn_batch(costs, 0.1, a=a, b=b)
    heavy = sinkhorn_batch(costs, 0.1, a=mass * a, b=mass * b)
    np.testing.assert_allclose(heavy.plans(), mass[:, :, None] * expected.plans(), rtol=1e-9)
    np.testing.assert_array_equal(heavy.n_iter, expected.n_iter)
    spread = sinkhorn_batch(costs, 0.1, b=mass * b).plans()
    np.testing.assert_allclose(spread.sum(axis=2), np.tile(mass / 5, (1, 5)), rtol=1e-6)


@pytest.mark.parametrize("max_iter", [1, 3, 10])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_errors_are_what_they_are_said_to_be(dtype, max_iter):
    costs, a, b = problems(40, dtype=dtype)
    tolerance = 1e-4
    result = sinkhorn_batch(costs, 0.05, a=a, b=b, max_iter=max_iter, tol=tolerance)
    plans, rounding = result.plans(), 100 * np.finfo(dtype).eps
    rows = np.abs(plans.sum(axis=2) - a).sum(axis=1)
    columns = np.abs(plans.sum(axis=1) - b).sum(axis=1)
    done = result.converged
    np.testing.assert_array_equal(done, result.marginal_error <= tolerance)
    assert (result.n_iter[~done] == max_iter).all()
    np.testing.assert_allclose(columns[done], result.marginal_error[done], atol=rounding)
    assert (rows[done] <= rounding).all()
    assert (columns[~done] <= rounding).all()
    assert (rows[~done] <= result.marginal_error[~done] + rounding).all()
    if max_iter < 10:
        assert not done.all()


def test_a_tolerance_of_zero_makes_every_iteration():
    costs, a, b = problems()
    result = sinkhorn_batch(costs, 1.0, a=a, b=b, tol=0.0, max_iter=77)
    assert (result.n_iter == 77).all()


def test_weights_of_zero_are_left_out():
    costs, a, b = problems()
    a[:, 1], b[3, :4] = 0.0, 0.0
    a /= a.sum(axis=1, keepdims=True)
    b /= b.sum(axis=1, keepdims=True)
    result = sinkhorn_batch(costs, 0.1, a=a, b=b, tol=1e-10)
    plans = result.plans()
    assert (result.f[:, 1] == -np.inf).all()
    assert (plans[:, 1] == 0).all()
    assert (plans[3, :, :4] == 0).all()
    np.testing.assert_allclose(plans.sum(axis=1), b, atol=1e-10)
    mapped = result.barycentric_maps(np.eye(17))
    np.testing.assert_allclose(mapped.sum(axis=2), 1.0)
    np.testing.assert_allclose(a[:, :, None] * mapped, plans, atol=1e-10)


def test_maps():
    costs, a, b = problems()
    result = sinkhorn_batch(costs, 0.1, a=a, b=b)
    plans, values = result.plans(), np.random.default_rng(3).normal(size=(20, 17, 4))
    expected = plans @ values / plans.sum(axis=2, keepdims=True)
    np.testing.assert_allclose(result.barycentric_maps(values), expected, rtol=1e-9)
    shared = plans @ values[0] / plans.sum(axis=2, keepdims=True)
    np.testing.assert_allclose(result.barycentric_maps(values[0]), shared, rtol=1e-9)
    with pytest.raises(ValueError, match=r"values must have shape \(20, 17, q\) or \(17, q\)"):
        result.barycentric_maps(values[:, 1:])


def test_warm_start():
    costs, a, b = problems()
    first = sinkhorn_batch(costs, 0.02, a=a, b=b)
    again = sinkhorn_batch(costs, 0.02, a=a, b=b, g=first.g)
    assert first.n_iter.min() > 5
    assert again.n_iter.max() <= 2


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e8, 1e30])
@pytest.mark.parametrize("relative", [1e-6, 1e-3, 10.0])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("rho", [np.inf, 1.0])
def test_hostile_numbers(dtype, relative, scale, rho):
    costs, a, b = problems(6, dtype=dtype)
    a[:, 0], b[:, 2] = 1e-12, 0.0
    a, b = (w / w.sum(axis=1, keepdims=True) for w in (a, b))
    costs[:, 1], costs[:, :, 3] = 0.0, 1.0
    costs = (costs * dtype(scale)).astype(dtype)
    result = sinkhorn_batch(costs, relative * scale, a=a, b=b, rho_a=rho * scale, max_iter=50)
    assert np.isfinite(result.f).all()
    assert np.isfinite(np.delete(result.g, 2, axis=1)).all()
    assert np.isfinite(result.marginal_error).all()
    plans = result.plans()
    assert np.isfinite(plans).all()
    assert (plans.sum(axis=(1, 2)) > 0).all()
    assert "largest_error" in repr(result)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"costs": np.zeros((2, 3))}, r"costs must have shape \(B, n, m\)"),
        ({"costs": np.zeros((0, 2, 3))}, "at least 1 problem"),
        ({"costs": np.full((4, 2, 3), np.inf)}, "costs contain NaN or infinity"),
        ({"epsilon": 0.0}, "epsilon must be above 0"),
        ({"epsilon": np.array([0.1, 0.1, 1e-13, 0.1])}, "epsilon must be above 0 and at least"),
        ({"epsilon": 1e-13}, "epsilon must be above 0 and at least 1e-12"),
        ({"epsilon": np.ones(3)}, r"epsilon must be a scalar or have shape \(4,\)"),
        ({"epsilon": np.nan}, "epsilon must be finite"),
        ({"a": np.array([1.0, -1.0])}, "a must hold finite weights that are not negative"),
        ({"a": np.full((3, 2), 0.5)}, "a must hold one side, or one for each of the 4 problems"),
        ({"a": np.ones(2)}, "a and b must have the same sum, got 2 and 1"),
        ({"b": np.zeros((4, 3))}, "b must have a sum that is positive"),
        ({"rho_a": -1.0}, "rho_a must be"),
        ({"g": np.zeros((4, 2))}, r"g must hold finite potentials of shape \(4, 3\)"),
        ({"max_iter": 0}, "max_iter must be from 1"),
        ({"tol": np.nan}, "tol must be"),
    ],
)
def test_bad_input(arguments, message):
    good = {"costs": np.ones((4, 2, 3)), "epsilon": 0.1, "b": np.full(3, 1 / 3)}
    with pytest.raises(ValueError, match=message):
        sinkhorn_batch(**(good | arguments))

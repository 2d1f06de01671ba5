"""sinkhorn(): closed forms, limits, an independent transcription, invariances, bad input."""

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import linear_sum_assignment
from scipy.special import logsumexp

from clusterlib.solvers import PartialSinkhornResult, PointCost, sinkhorn


def problem(n=30, m=20, seed=0):
    rng = np.random.default_rng(seed)
    C = rng.uniform(size=(n, m))
    a, b = rng.uniform(0.5, 1.5, size=n), rng.uniform(0.5, 1.5, size=m)
    return C, a / a.sum(), b / b.sum()


def textbook(C, a, b, epsilon, rho_a=np.inf, rho_b=np.inf, n_iters=20_000):
    """Log-domain Sinkhorn as in the textbook: two half-steps, nothing else."""
    tau_a, tau_b = (1.0 if np.isinf(rho) else rho / (rho + epsilon) for rho in (rho_a, rho_b))
    g = np.zeros(C.shape[1])
    for _ in range(n_iters):
        f = tau_a * epsilon * (np.log(a) - logsumexp((g - C) / epsilon, axis=1))
        previous = g
        g = tau_b * epsilon * (np.log(b) - logsumexp((f[:, None] - C) / epsilon, axis=0))
        if np.abs(g - previous).max() < 1e-14:
            break
    return np.exp((f[:, None] + g - C) / epsilon), f, g


@pytest.mark.parametrize("epsilon", [1.0, 0.05, 0.01])
@pytest.mark.parametrize(
    ("rho_a", "rho_b"), [(np.inf, np.inf), (0.5, np.inf), (np.inf, 2.0), (1.0, 0.3), (np.inf, 0.0)]
)
def test_plan_is_that_of_the_textbook(epsilon, rho_a, rho_b):
    C, a, b = problem()
    plan, _, _ = textbook(C, a, b, epsilon, rho_a, rho_b)
    result = sinkhorn(C, epsilon, a=a, b=b, rho_a=rho_a, rho_b=rho_b, tol=1e-12)
    assert result.converged
    assert np.abs(result.plan() - plan).sum() < 1e-8
    objective = (C * plan).sum() + epsilon * (plan * (np.log(plan) - 1)).sum()
    for rho, marginal, weight in ((rho_a, plan.sum(axis=1), a), (rho_b, plan.sum(axis=0), b)):
        if np.isfinite(rho):
            objective += rho * (marginal * np.log(marginal / weight) - marginal + weight).sum()
    np.testing.assert_allclose(result.value, objective, rtol=1e-9)
    np.testing.assert_allclose(result.transport_cost, (C * plan).sum(), rtol=1e-8)


@pytest.mark.parametrize("epsilon", [0.05, 0.005])
def test_plan_of_single_precision_costs(epsilon):
    C, a, b = problem()
    C = C.astype(np.float32)
    plan, _, _ = textbook(C.astype(np.float64), a, b, epsilon)
    result = sinkhorn(C, epsilon, a=a, b=b, tol=1e-7)
    assert result.converged
    assert np.abs(result.plan() - plan).sum() < 1e-5


@pytest.mark.parametrize("epsilon", [0.1, 1.0])
def test_gaussians_on_a_line(epsilon):
    # The plan between N(m, s^2) and N(n, t^2) is Gaussian; from its precision -2 / epsilon off
    # the diagonal its covariance c solves 2 c^2 + epsilon c = 2 s^2 t^2 (Janati et al. 2020).
    s, t, shift = 0.7, 1.2, 0.5
    x, y = s * np.linspace(-6, 6, 241), shift + t * np.linspace(-6, 6, 241)
    a, b = np.exp(-((x / s) ** 2) / 2), np.exp(-(((y - shift) / t) ** 2) / 2)
    covariance = (np.sqrt(epsilon**2 + 16 * (s * t) ** 2) - epsilon) / 4
    cost = PointCost(x[:, None], y[:, None])
    result = sinkhorn(cost, epsilon, a=a / a.sum(), b=b / b.sum(), tol=1e-10)
    expected = shift**2 + s**2 + t**2 - 2 * covariance
    np.testing.assert_allclose(result.transport_cost, expected, rtol=1e-6)
    middle = slice(60, 181)
    mapped = shift + covariance / s**2 * x[middle]
    np.testing.assert_allclose(result.barycentric_map()[middle, 0], mapped, atol=1e-5)


def test_large_epsilon_gives_the_product_of_the_weights():
    C, a, b = problem()
    result = sinkhorn(C, 1e5, a=a, b=b)
    np.testing.assert_allclose(result.plan(), np.outer(a, b), rtol=1e-4)


def test_small_epsilon_gives_the_assignment():
    rng = np.random.default_rng(1)
    n, epsilon = 60, 1e-3
    C = rng.uniform(size=(n, n))
    rows, columns = linear_sum_assignment(C)
    best = C[rows, columns].sum() / n
    result = sinkhorn(C, epsilon)
    reached = (C * result.rounded_plan()).sum()
    assert result.converged
    assert best - 1e-12 <= reached <= best + epsilon * np.log(n)


@pytest.mark.parametrize("factor", [1e-20, 1e-3, 1e6])
def test_scaling_cost_and_epsilon_changes_nothing(factor):
    C, a, b = problem()
    base = sinkhorn(C, 0.02, a=a, b=b, tol=1e-10)
    scaled = sinkhorn(factor * C, factor * 0.02, a=a, b=b, tol=1e-10)
    np.testing.assert_allclose(scaled.plan(), base.plan(), atol=1e-10)
    np.testing.assert_allclose(scaled.transport_cost, factor * base.transport_cost, rtol=1e-8)


def test_potentials_take_up_what_rows_and_columns_have_in_common():
    C, a, b = problem()
    rng = np.random.default_rng(2)
    r, s = rng.normal(size=len(a)), rng.normal(size=len(b))
    base = sinkhorn(C, 0.05, a=a, b=b, tol=1e-11)
    moved = sinkhorn(C + r[:, None] + s, 0.05, a=a, b=b, tol=1e-11)
    np.testing.assert_allclose(moved.plan(), base.plan(), atol=1e-10)
    np.testing.assert_allclose(
        (moved.f - r)[:, None] + (moved.g - s), base.f[:, None] + base.g, atol=1e-8
    )
    assert moved.value == pytest.approx(base.value + a @ r + b @ s)


@pytest.mark.parametrize("rho", [(np.inf, np.inf), (0.5, np.inf), (np.inf, 0.5)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_large_offset(rho, dtype):
    C, a, b = problem()
    C = np.round(C * 8).astype(dtype)  # differences that survive the offset
    offset = 2.0**24 if dtype == np.float32 else 1e8
    moved = C + dtype(offset)
    C = (moved - dtype(offset)).astype(dtype)
    options = {"a": a, "b": b, "rho_a": rho[0], "rho_b": rho[1], "tol": 1e-8}
    base, result = sinkhorn(C, 0.2, **options), sinkhorn(moved, 0.2, **options)
    assert result.converged
    np.testing.assert_allclose(result.plan(), base.plan(), rtol=1e-6, atol=1e-12)
    # An exact marginal pays the offset for its whole mass.
    np.testing.assert_allclose(result.value - offset, base.value, atol=1e-7)
    np.testing.assert_allclose(
        result.f[:, None] + result.g - offset, base.f[:, None] + base.g, atol=1e-6
    )


def test_an_offset_counts_where_both_marginals_are_relaxed():
    C, a, b = problem()
    options = {"a": a, "b": b, "rho_a": 1.0, "rho_b": 1.0}
    base, moved = sinkhorn(C, 0.1, **options), sinkhorn(C + 10.0, 0.1, **options)
    assert moved.plan().sum() < 0.1 * base.plan().sum()


def test_permutation_and_transposition():
    C, a, b = problem()
    rng = np.random.default_rng(3)
    rows, columns = rng.permutation(len(a)), rng.permutation(len(b))
    base = sinkhorn(C, 0.02, a=a, b=b, tol=1e-11).plan()
    shuffled = sinkhorn(C[rows][:, columns], 0.02, a=a[rows], b=b[columns], tol=1e-11).plan()
    np.testing.assert_allclose(shuffled, base[rows][:, columns], atol=1e-10)
    turned = sinkhorn(C.T, 0.02, a=b, b=a, tol=1e-11).plan()
    np.testing.assert_allclose(turned, base.T, atol=1e-10)


@pytest.mark.parametrize("method", ["log", "newton", "scaling"])
def test_split_and_empty_atoms(method):
    C, a, b = problem()
    base = sinkhorn(C, 0.02, a=a, b=b, tol=1e-10, method=method).plan()
    C2 = np.vstack([C[:1], C[:1], C[1:], 7 * C[:2]])
    C2 = np.hstack([C2, -50 * C2[:, :1]])
    a2 = np.concatenate([[a[0] / 2, a[0] / 2], a[1:], [0, 0]])
    result = sinkhorn(C2, 0.02, a=a2, b=np.append(b, 0), tol=1e-10, method=method)
    plan = result.plan()
    assert result.converged
    np.testing.assert_allclose((plan[0] + plan[1])[:-1], base[0], atol=1e-9)
    np.testing.assert_allclose(plan[2:-2, :-1], base[1:], atol=1e-9)
    assert plan[-2:].sum() == plan[:, -1].sum() == 0
    assert np.isneginf(result.f[-2:]).all()
    assert np.isneginf(result.g[-1])


def test_mass_is_kept():
    C, a, b = problem()
    base, heavy = sinkhorn(C, 0.05, a=a, b=b), sinkhorn(C, 0.05, a=40 * a, b=40 * b)
    np.testing.assert_allclose(heavy.plan(), 40 * base.plan(), atol=1e-4)
    assert heavy.marginal_error == pytest.approx(base.marginal_error, rel=1e-3)
    counts = sinkhorn(C, 0.05, a=np.arange(30))
    assert counts.plan().sum() == pytest.approx(435)
    assert counts.b == pytest.approx(435 / 20)


def test_weights_that_sum_alike_but_for_rounding():
    C, a, b = problem()
    result = sinkhorn(C, 0.05, a=a.astype(np.float32), b=b * (1 + 5e-7))
    assert result.converged
    assert result.a.sum() == pytest.approx(result.b.sum(), rel=1e-15)


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (2, 1)])
@pytest.mark.parametrize("method", ["auto", "log", "newton", "scaling"])
def test_one_row_or_column(shape, method):
    C = np.random.default_rng(0).uniform(size=shape)
    result = sinkhorn(C, 1e-3, method=method)
    assert result.converged
    np.testing.assert_allclose(result.plan(), np.full(shape, 1 / C.size))


@pytest.mark.parametrize("value", [0.0, -3.0, 1e20])
def test_constant_cost(value):
    result = sinkhorn(np.full((3, 4), value), 0.5)
    np.testing.assert_allclose(result.plan(), np.full((3, 4), 1 / 12))
    assert result.transport_cost == pytest.approx(value)


@pytest.mark.parametrize("metric", ["sqeuclidean", "euclidean", "cosine", "inner_product"])
def test_points_are_as_good_as_their_costs(metric):
    rng = np.random.default_rng(4)
    X, Y = rng.normal(size=(40, 5)) + 3, rng.normal(size=(30, 5)) + 3
    cost = PointCost(X, Y, metric=metric)
    epsilon = 0.02 * cost.magnitude
    lazy = sinkhorn(cost, epsilon, tol=1e-10)
    stored = sinkhorn(cost.block(slice(None)), epsilon, tol=1e-10)
    assert lazy.converged
    np.testing.assert_allclose(lazy.plan(), stored.plan(), atol=1e-10)
    single = PointCost(X.astype(np.float32), Y.astype(np.float32), metric=metric)
    narrow = sinkhorn(single, epsilon, tol=1e-7)
    assert narrow.converged
    np.testing.assert_allclose(narrow.plan(), stored.plan(), atol=1e-6)


@pytest.mark.parametrize("as_points", [False, True])
def test_several_right_hand_sides(as_points):
    rng = np.random.default_rng(5)
    X, Y = rng.normal(size=(25, 2)), rng.normal(size=(15, 2))
    cost = PointCost(X, Y)
    cost = cost if as_points else cost.block(slice(None))
    b = rng.uniform(size=(3, 15))
    b[1, :4] = 0
    b /= b.sum(axis=1, keepdims=True)
    result = sinkhorn(cost, 0.1, b=b, tol=1e-10)
    assert result.converged
    assert result.f.shape == (3, 25)
    assert result.marginal_error.shape == result.value.shape == (3,)
    for r in range(3):
        alone = sinkhorn(cost, 0.1, b=b[r], tol=1e-10)
        np.testing.assert_allclose(result.side(r).plan(), alone.plan(), atol=1e-10)
        assert result.side(r).value == pytest.approx(alone.value)


@pytest.mark.parametrize("epsilon", [0.1, 1e-3])
def test_several_right_hand_sides_with_masses_of_their_own(epsilon):
    C, _, _ = problem()
    b = np.random.default_rng(6).uniform(size=(4, 20)) * [[1], [10], [0.1], [3]]
    result = sinkhorn(C, epsilon, b=b)
    assert result.converged
    np.testing.assert_allclose(result.a.sum(axis=1), b.sum(axis=1))


def layouts(C):
    wide = np.zeros((2 * C.shape[0], 3 * C.shape[1]), dtype=C.dtype)
    wide[::2, ::3] = C
    frozen = C.copy()
    frozen.flags.writeable = False
    return {"fortran": np.asfortranarray(C), "strided": wide[::2, ::3], "read-only": frozen}


@pytest.mark.parametrize("layout", ["fortran", "strided", "read-only"])
@pytest.mark.parametrize("epsilon", [0.1, 1e-3])
def test_layout_does_not_matter(layout, epsilon):
    C, a, b = problem()
    base = sinkhorn(C, epsilon, a=a, b=b)
    other = sinkhorn(layouts(C)[layout], epsilon, a=a, b=b)
    np.testing.assert_allclose(other.plan(), base.plan(), atol=1e-12)


@pytest.mark.parametrize("convert", [pd.DataFrame, np.ndarray.tolist, lambda C: C.astype(object)])
def test_what_is_taken_for_an_array(convert):
    C = np.arange(12).reshape(3, 4) % 5
    a = pd.Series([1, 2, 3])
    base = sinkhorn(C.astype(np.float64), 0.5, a=[1.0, 2.0, 3.0])
    np.testing.assert_array_equal(sinkhorn(convert(C), 0.5, a=a).plan(), base.plan())


@pytest.mark.parametrize("epsilon", [0.05, 1e-3])
def test_threads_change_no_bit(epsilon):
    rng = np.random.default_rng(7)
    C = rng.uniform(size=(700, 300)).astype(np.float32)
    one, two = (sinkhorn(C, epsilon, n_threads=n) for n in (1, 2))
    np.testing.assert_array_equal(one.f, two.f)
    np.testing.assert_array_equal(one.g, two.g)
    assert one.method == two.method


@pytest.mark.parametrize("use", ["g", "f", "both"])
@pytest.mark.parametrize("rho_b", [np.inf, 0.5])
def test_warm_start(use, rho_b):
    C, a, b = problem()
    options = {"a": a, "b": b, "rho_b": rho_b, "tol": 1e-8}
    cold = sinkhorn(C, 0.02, **options)
    start = {"f": {"f": cold.f}, "g": {"g": cold.g}, "both": {"f": cold.f, "g": cold.g}}[use]
    warm = sinkhorn(C, 0.02, **options, **start)
    assert warm.n_iter <= 3 < cold.n_iter
    np.testing.assert_allclose(warm.plan(), cold.plan(), atol=1e-8)


def test_warm_start_from_potentials_that_are_not_finite():
    C, a, b = problem()
    g = np.where(np.arange(20) < 5, -np.inf, 0.1)
    assert sinkhorn(C, 0.05, a=a, b=b, g=g).converged
    assert sinkhorn(C, 0.05, a=a, b=b, f=np.full(30, -np.inf)).converged
    # Potentials are known up to a constant, with what takes the place of others.
    one, other = (sinkhorn(C, 0.05, a=a, b=b, g=g + shift, max_iter=1) for shift in (0.0, 3.0))
    np.testing.assert_allclose(other.plan(), one.plan(), rtol=1e-9)


def test_a_part_of_the_mass_is_delegated():
    C, a, b = problem()
    result = sinkhorn(C, 0.05, a=a, b=b, mass=0.4)
    assert isinstance(result, PartialSinkhornResult)
    assert result.plan().sum() == pytest.approx(0.4, rel=1e-5)


C4 = np.arange(12.0).reshape(3, 4)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"cost": np.where(C4 == 3, np.nan, C4)}, ValueError, "cost contains NaN"),
        ({"cost": np.where(C4 == 3, np.inf, C4)}, ValueError, "cost contains NaN or infinity"),
        ({"cost": np.ones(4)}, ValueError, r"cost must be a matrix.*\(4,\)"),
        ({"cost": np.ones((0, 4))}, ValueError, r"cost must be a matrix.*\(0, 4\)"),
        ({"cost": "nonsense"}, TypeError, "cost must be an array"),
        ({"cost": None}, TypeError, "cost must be an array"),
        ({"cost": C4 * 1j}, TypeError, "cost must be an array of real numbers"),
        ({"cost": np.array([[-1e308, 1e308]])}, ValueError, "cost must not exceed"),
        ({"a": [1, 2]}, ValueError, r"a must have shape \(3,\), got \(2,\)"),
        ({"b": [[1, 2]]}, ValueError, r"b must have shape \(4,\) or \(R, 4\), got \(1, 2\)"),
        ({"a": [1, -1, 1]}, ValueError, "a must hold finite weights.*-1.0 at index 1"),
        ({"b": [1, 2, np.nan, 0]}, ValueError, "b must hold finite weights.*nan at index 2"),
        ({"a": [0, 0, 0]}, ValueError, "a must have a sum that is positive"),
        ({"b": np.zeros((2, 4))}, ValueError, "b must have a sum that is positive"),
        ({"a": [1, 1, 1], "b": [1, 1, 1, 1]}, ValueError, "same sum, got 3 and 4"),
        ({"epsilon": 0}, ValueError, "epsilon must be a finite number above 0, got 0"),
        ({"epsilon": -1.0}, ValueError, "epsilon must be .* got -1.0"),
        ({"epsilon": np.nan}, ValueError, "epsilon must be .* got nan"),
        ({"epsilon": "0.1"}, TypeError, "epsilon must be .* got '0.1'"),
        ({"epsilon": 1e-13}, ValueError, "epsilon must be at least"),
        ({"rho_a": -1}, ValueError, "rho_a must be a number at least 0, got -1"),
        ({"rho_b": np.nan}, ValueError, "rho_b must be"),
        ({"method": "fast"}, ValueError, "method must be one of 'auto'.*'fast'"),
        ({"method": "scaling", "rho_a": 1.0}, ValueError, "'scaling' needs exact marginals"),
        ({"max_iter": 0}, ValueError, "max_iter must be"),
        ({"max_iter": 1.5}, TypeError, "max_iter must be an integer"),
        ({"tol": -1e-3}, ValueError, "tol must be"),
        ({"g": np.zeros(3)}, ValueError, r"g must have shape \(4,\), got \(3,\)"),
        ({"f": [np.nan, 0, 0]}, ValueError, "f contains NaN"),
        ({"mass": 0.5, "rho_a": 1.0}, ValueError, "mass cannot be given together"),
        ({"n_threads": 0}, ValueError, "n_threads must be"),
        ({"backend": "gpu"}, ValueError, "backend must be"),
    ],
)
def test_bad_input(options, error, message):
    arguments = {"cost": C4, "epsilon": 0.1} | options
    with pytest.raises(error, match=message):
        sinkhorn(**arguments)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (([[1.0]], [[1.0, 2.0]]), ValueError, "same number of features"),
        (([[np.nan]], [[1.0]]), ValueError, "X contains NaN"),
        (([[1.0]], np.ones((0, 1))), ValueError, "Y must have at least 1 row"),
        (([1.0], [[1.0]]), ValueError, "X must have 2 dimensions"),
    ],
)
def test_bad_points(arguments, error, message):
    with pytest.raises(error, match=message):
        PointCost(*arguments)


def test_bad_metric_of_points():
    with pytest.raises(ValueError, match="metric must be one of"):
        PointCost([[1.0]], [[1.0]], metric="manhattan")
    with pytest.raises(ValueError, match="needs a stored cost"):
        sinkhorn(PointCost([[1.0]], [[1.0]]), 1.0, method="scaling")

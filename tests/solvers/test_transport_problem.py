"""What is refused at the door of the transport solvers, just beside its limits, and what is made."""

from enum import Enum
from fractions import Fraction

import numpy as np
import pytest

from clusterlib.kernels import Metric
from clusterlib.solvers import PointCost
from clusterlib.solvers import transport_problem as transport_problem_module
from clusterlib.solvers.transport_problem import (
    balanced_weights,
    checked_epsilon,
    checked_member,
    checked_real,
    checked_weights,
    transport_problem,
)

RNG = np.random.default_rng(0)
METRICS = ["sqeuclidean", "euclidean", "cosine", "inner_product"]


def clouds(dtype=np.float64, offset=0.0, n=7, m=5):
    rng = np.random.default_rng(1)
    return [(offset + rng.normal(size=(size, 3))).astype(dtype) for size in (n, m)]


def distances(X, Y, metric):
    X, Y = X.astype(np.float64), Y.astype(np.float64)
    squares = ((X[:, None] - Y) ** 2).sum(axis=2)
    if metric == "cosine":
        X, Y = (Z / np.linalg.norm(Z, axis=1, keepdims=True) for Z in (X, Y))
        return 1 - X @ Y.T
    formulas = {"sqeuclidean": squares, "euclidean": np.sqrt(squares), "inner_product": -X @ Y.T}
    return formulas[metric]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("offset", [0.0, 100.0])
@pytest.mark.parametrize("metric", METRICS)
def test_costs_of_points(metric, offset, dtype):
    X, Y = clouds(dtype, offset)
    cost = PointCost(X, Y, metric=metric)
    expected = distances(X, Y, metric)
    assert cost.shape == (7, 5)
    assert cost.dtype == dtype
    assert cost.offset == 0.0
    assert cost.metric is Metric[metric.upper()]
    scale = np.abs(expected).max()
    np.testing.assert_allclose(cost.block(slice(None)), expected, atol=3e-6 * scale)
    np.testing.assert_allclose(cost.block(slice(2, 4)), expected[2:4], atol=3e-6 * scale)
    assert cost.block(slice(1)).dtype == np.float64
    assert cost.block(slice(1), np.float32).dtype == np.float32
    np.testing.assert_allclose(cost.T.block(slice(None)), expected.T, atol=3e-6 * scale)
    assert cost.T.shape == (5, 7)
    wide = cost.astype(np.float64)
    assert wide.dtype == np.float64
    np.testing.assert_array_equal(wide.block(slice(None)), cost.block(slice(None)))
    one = cost.between(cost.X[:1], cost.Y[2:])
    np.testing.assert_allclose(one.block(slice(None)), cost.block(slice(1))[:, 2:], rtol=1e-12)
    new = cost.as_sources(X[3:5])
    np.testing.assert_array_equal(new, cost.X[3:5])
    assert np.abs(cost.block(slice(None))).max() <= cost.magnitude * (1 + 1e-12)


@pytest.mark.parametrize("metric", METRICS)
def test_the_magnitude_is_made_of_the_longest_rows(metric):
    X, Y = np.array([[1.0, 0.0], [-3.0, 4.0]]), np.array([[0.0, 2.0], [0.5, -1.0], [-2, 0.0]])
    expected = {"sqeuclidean": 49.0, "euclidean": 7.0, "cosine": 2.0, "inner_product": 10.0}
    assert PointCost(X, Y, metric=metric).magnitude == pytest.approx(expected[metric])


@pytest.mark.parametrize(("shift", "moves"), [(0.9, False), (1.1, True), (-1.1, True)])
@pytest.mark.parametrize("metric", METRICS)
def test_clouds_far_from_the_origin_are_moved_there(metric, shift, moves):
    # The mean of both clouds is (s, 0), the longest row of both together has the norm |s| + 1.
    X, Y = np.array([[shift + 1.0, 0.0], [shift - 1, 0]]), np.array([[shift, 0.0], [shift, 0.0]])
    cost = PointCost(X, Y, metric=metric)
    if moves and metric in ("sqeuclidean", "euclidean"):
        np.testing.assert_allclose(cost.center, [shift, 0.0])
        np.testing.assert_allclose(cost.X, X - [shift, 0])
        np.testing.assert_allclose(cost.Y, Y - [shift, 0], atol=1e-15)
        assert cost.T.center is cost.center
    else:
        np.testing.assert_array_equal(cost.center, [0.0, 0.0])
        assert cost.X is X
        assert cost.Y is Y


def test_the_mean_is_that_of_the_means_of_both_clouds():
    X, Y = np.full((9, 2), 10.0), np.full((1, 2), 20.0)
    np.testing.assert_allclose(PointCost(X, Y).center, [15.0, 15.0])
    narrow = PointCost(X.astype(np.float32), Y.astype(np.float32))
    assert narrow.center.dtype == narrow.X.dtype == np.float32


def test_points_that_are_refused():
    X = np.ones((3, 2))
    with pytest.raises(ValueError, match=r"X must have at least 1 row, got shape \(0, 2\)"):
        PointCost(X[:0], X)
    with pytest.raises(ValueError, match=r"Y must have at least 1 row, got shape \(0, 2\)"):
        PointCost(X, X[:0])
    with pytest.raises(ValueError, match="Y contains NaN"):
        PointCost(X, X * [1, np.nan])
    with pytest.raises(ValueError, match="X contains"):
        PointCost(X * [np.inf, 1], X)
    with pytest.raises(ValueError, match="X contains"):
        PointCost(X, X).as_sources([[np.nan, 1.0]])


def test_weights_are_logged_and_damped():
    C = RNG.uniform(size=(4, 3))
    problem = transport_problem(C, [1.0, 0, 2, 3], [2.0, 1, 0], rho_a=0.5, rho_b=2.0)
    np.testing.assert_allclose(np.exp(problem.log_a), [1, 0, 2, 3])
    np.testing.assert_allclose(np.exp(problem.log_b), [2, 1, 0])
    assert problem.shape == (4, 3)
    assert problem.damping(0.1) == pytest.approx((5 / 6, 20 / 21))
    assert not problem.is_balanced
    assert problem.mass == 3.0
    half = transport_problem(C, [1.0, 0, 2, 3], [20.0, 1, 0], rho_b=2.0)
    assert half.damping(0.1) == pytest.approx((1.0, 20 / 21))
    assert half.mass == 6.0
    assert not half.is_balanced
    assert not transport_problem(C, rho_a=2.0).is_balanced
    assert transport_problem(C).damping(0.1) == (1.0, 1.0)
    assert transport_problem(C).is_balanced
    assert transport_problem(C, rho_a=0, rho_b=0).damping(0.1) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("rho", "offsets"),
    [((np.inf, np.inf), (50, 0)), ((1, np.inf), (0, 50)), ((np.inf, 1), (50, 0))],
)
def test_offsets_of_costs_go_to_an_exact_marginal(rho, offsets):
    C = 50 + np.array([[0.0, 1], [2, 3]])
    problem = transport_problem(C, rho_a=rho[0], rho_b=rho[1])
    assert problem.offsets == offsets
    assert problem.cost.magnitude == 3.0
    both = transport_problem(C, rho_a=1.0, rho_b=1.0)
    assert both.cost.offset == 0.0
    assert both.cost.magnitude == 53.0


def test_missing_weights_spread_the_mass_of_the_other_side():
    C = RNG.uniform(size=(4, 2))
    problem = transport_problem(C)
    np.testing.assert_allclose(problem.a, np.full(4, 0.25))
    np.testing.assert_allclose(problem.b, np.full(2, 0.5))
    problem = transport_problem(C, [1, 2, 3, 6])
    np.testing.assert_allclose(problem.b, [6.0, 6.0])
    problem = transport_problem(C, None, [3.0, 5.0])
    np.testing.assert_allclose(problem.a, np.full(4, 2.0))
    problem = transport_problem(C, None, [[3.0, 5.0], [1.0, 1.0], [0.0, 4.0]])
    np.testing.assert_allclose(problem.a, np.repeat([[2.0], [0.5], [1.0]], 4, axis=1))
    assert problem.mass == 2.0
    one = problem.side(2)
    np.testing.assert_allclose(one.a, np.full(4, 1.0))
    np.testing.assert_allclose(one.b, [0.0, 4.0])
    assert one.cost is problem.cost
    relaxed = transport_problem(C, [1, 1, 1, 1], [[1, 1], [3, 5]], rho_a=1.0, rho_b=2.0).side(1)
    assert (relaxed.rho_a, relaxed.rho_b) == (1.0, 2.0)
    np.testing.assert_allclose(relaxed.a, np.ones(4))
    assert problem.a.flags.c_contiguous


@pytest.mark.parametrize("factor", [1.0, 7.0])
@pytest.mark.parametrize(("off", "fits"), [(0.99e-6, True), (1.01e-6, False)])
@pytest.mark.parametrize("larger", ["a", "b"])
def test_masses_agree_to_one_in_a_million(factor, off, fits, larger):
    a, b = factor * np.array([0.25, 0.75]), factor * np.array([[0.5, 0.5], [0.1, 0.9]])
    if larger == "a":
        b[1] *= 1 - off
    else:
        b[1] /= 1 - off
    sides = np.broadcast_to(a, (2, 2)), b
    if fits:
        balanced = balanced_weights(*sides)
        np.testing.assert_allclose(balanced.sum(axis=1), factor, rtol=1e-15)
        np.testing.assert_allclose(balanced, b, rtol=2e-6)
    else:
        said = f"got {factor:.9g} and {b[1].sum():.9g}; normalise"
        with pytest.raises(ValueError, match=said):
            balanced_weights(*sides)
    # Relaxed marginals may have any mass.
    transport_problem(np.ones((2, 2)), a, b, rho_b=1.0)


def test_weights_that_are_refused():
    good = checked_weights("w", [1, 0, 2], 3, (1,))
    assert good.dtype == np.float64
    assert good.flags.c_contiguous
    np.testing.assert_array_equal(good, [1.0, 0.0, 2.0])
    assert checked_weights("w", [[1, 2], [3, 4]], 2, (1, 2)).shape == (2, 2)
    for bad, dimensions, wanted in (
        ([1.0, 2.0], (1,), r"\(3,\), got \(2,\)"),
        ([[1.0, 2.0, 3.0]], (1,), r"\(3,\), got \(1, 3\)"),
        ([[1.0, 2.0]], (1, 2), r"\(3,\) or \(R, 3\), got \(1, 2\)"),
        (np.ones((0, 3)), (1, 2), r"or \(R, 3\), got \(0, 3\)"),
        (1.0, (1,), r"got \(\)"),
    ):
        with pytest.raises(ValueError, match="w must have shape " + r".*" + wanted):
            checked_weights("w", bad, 3, dimensions)
    for bad in (-1e-300, np.nan, np.inf):
        with pytest.raises(ValueError, match=rf"not negative, got {bad} at index 1"):
            checked_weights("w", [1.0, bad, 2.0], 3, (1,))
    with pytest.raises(ValueError, match=r"at index \(1, 0\)"):
        checked_weights("w", [[1.0, 0.0], [-1.0, 3.0]], 2, (1, 2))
    for bad in (np.zeros(3), np.full(3, 1e308)):
        with pytest.raises(ValueError, match="a sum that is positive and finite"):
            checked_weights("w", bad, 3, (1,))
    with pytest.raises(ValueError, match="a sum that is positive and finite"):
        checked_weights("w", [[1.0, 1.0], [0.0, 0.0]], 2, (1, 2))


def test_real_numbers():
    assert checked_real("x", 2, low=2.0) == 2.0
    assert type(checked_real("x", np.float32(2), low=0.0)) is float
    assert checked_real("x", Fraction(5, 2), low=0.0) == 2.5
    assert checked_real("x", np.inf, low=0.0, infinity=True) == np.inf
    for bad, options, said in (
        (1.999, {}, "x must be a finite number at least 2, got 1.999"),
        (2.0, {"low_open": True}, "x must be a finite number above 2, got 2.0"),
        (1.0, {"infinity": True}, "x must be a number at least 2, got 1.0"),
        (np.inf, {}, "finite number at least 2, got inf"),
        (np.nan, {"infinity": True}, "got nan"),
    ):
        with pytest.raises(ValueError, match=said):
            checked_real("x", bad, low=2.0, **options)
    for bad in (True, np.True_, "3", [3.0], np.array([3.0]), None, 3j):
        with pytest.raises(TypeError, match="x must be a finite number at least 2, got"):
            checked_real("x", bad, low=2.0)
    assert checked_real("x", np.nextafter(2.0, 3), low=2.0, low_open=True) > 2.0


def test_members():
    class Colour(Enum):
        RED = "red"
        BLUE = "blue"

    assert checked_member("colour", "red", Colour) is Colour.RED
    assert checked_member("colour", Colour.BLUE, Colour) is Colour.BLUE
    with pytest.raises(ValueError, match="colour must be one of 'red', 'blue', got 'green'"):
        checked_member("colour", "green", Colour)


@pytest.mark.parametrize("scale", [1.0, 1e6])
def test_epsilon_is_at_least_what_numbers_resolve(scale):
    cost = transport_problem(scale * np.array([[0.0, 1.0], [0.5, 0.25]])).cost
    assert checked_epsilon(1.001e-12 * scale, cost) == 1.001e-12 * scale
    with pytest.raises(ValueError, match=f"epsilon must be at least {1e-12 * scale:.3g} for costs"):
        checked_epsilon(0.999e-12 * scale, cost)
    nothing = transport_problem(np.zeros((2, 2))).cost
    assert checked_epsilon(1.1e-290, nothing) == 1.1e-290
    with pytest.raises(ValueError, match="epsilon must be at least 1e-290 for costs up to 0"):
        checked_epsilon(0.9e-290, nothing)
    with pytest.raises(ValueError, match="epsilon must be a finite number above 0, got 0"):
        checked_epsilon(0, nothing)


def test_penalties_are_at_least_0():
    for name in ("rho_a", "rho_b"):
        with pytest.raises(ValueError, match=f"{name} must be a number at least 0, got -1e-09"):
            transport_problem(np.ones((2, 2)), **{name: -1e-9})
        assert getattr(transport_problem(np.ones((2, 2)), **{name: 0}), name) == 0.0


@pytest.mark.parametrize("row", [0, 1, 2, 6, 9])
def test_norms_of_rows_on_a_device_are_found_in_chunks(monkeypatch, row):
    points = np.ones((10, 3), dtype=np.float32)
    points[row] = [1e20, 2e20, -2e20]  # whose squares float32 does not hold
    expected = transport_problem_module._largest_norm(points)
    monkeypatch.setattr(transport_problem_module, "is_device_array", lambda array: True)
    for values in (1, 7, 100):
        monkeypatch.setattr(transport_problem_module, "_CHUNK_VALUES", values)
        assert transport_problem_module._largest_norm(points) == pytest.approx(expected)
    assert expected == pytest.approx(3e20)

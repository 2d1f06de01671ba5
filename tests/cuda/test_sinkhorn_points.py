"""Sinkhorn kernels on points for CUDA devices, emulated: against the reference."""

import numpy as np
import pytest

from clusterlib.kernels import (
    pairwise_distances,
    sinkhorn_iterate,
    sinkhorn_iterate_points,
    sinkhorn_sweep_points,
)
from clusterlib.kernels._cupy.runtime import use
from tests.cuda.emul.emulator import ORDERS
from tests.cuda.test_sinkhorn import on_device
from tests.helpers import DTYPES, METRICS
from tests.kernels import test_sinkhorn_iterate as iterations
from tests.kernels.test_sinkhorn_sweep import clouds, distance_error
from tests.kernels.transport_cases import Bound, problem

SHAPES = [(1, 1, 1), (31, 9, 2), (32, 7, 3), (33, 31, 5), (129, 33, 4), (67, 127, 17), (3, 257, 2)]


def sweep(runtime, X, Y, p, metric, f=None, **options):
    """Row potentials and column sums, of the device or with None of the reference."""
    f = np.zeros(len(X)) if f is None else f.copy()
    arguments, options = (X, Y, 0.5, p.log_a, f, p.g), {"metric": metric, **options}
    if runtime is None:
        return f, sinkhorn_sweep_points(*arguments, backend="reference", **options)
    return f, on_device(runtime, sinkhorn_sweep_points, *arguments, **options)


def assert_close(X, Y, p, metric, result, expected):
    C = pairwise_distances(X, Y, metric=metric, backend="reference").astype(X.dtype)
    bound = Bound(C, p.g, 0.5, cost_error=distance_error(X, Y, metric))
    bound.assert_potentials(result[0], expected[0])
    bound.assert_sums(result[1], expected[1], expected[1].sum())


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("shape", SHAPES)
def test_all_sizes(emulated, shape, metric, dtype):
    n, m, d = shape
    X, Y = clouds(n, m, d, dtype)
    p = problem(n, m, dtype)
    result = sweep(emulated, X, Y, p, metric)
    assert result[1].dtype == np.float64
    assert_close(X, Y, p, metric, result, sweep(None, X, Y, p, metric))


def test_no_rows(emulated):
    X, Y = clouds(0, 5, 2, np.float64)
    assert np.array_equal(sweep(emulated, X, Y, problem(0, 5), "sqeuclidean")[1], np.zeros(5))


@pytest.mark.parametrize("metric", METRICS)
def test_options(emulated, metric):
    X, Y = clouds(65, 33, 5, np.float64)
    p = problem(65, 33)
    f = np.where(p.log_a > -np.inf, 0.3, -np.inf)
    for options in ({"tau_a": 0.5}, {"f_max": -0.5}, {"tau_a": 0.0}, {"update_f": False}):
        expected = sweep(None, X, Y, p, metric, f, **options)
        assert_close(X, Y, p, metric, sweep(emulated, X, Y, p, metric, f, **options), expected)


def iterate(runtime, X, Y, p, **options):
    f, g = np.zeros(len(X)), p.g.copy()
    arguments = X, Y, 0.5, p.log_a, p.log_b, f, g
    if runtime is None:
        return f, g, sinkhorn_iterate_points(*arguments, backend="reference", **options)
    return f, g, on_device(runtime, sinkhorn_iterate_points, *arguments, **options)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("taus", [(1.0, 1.0), (0.5, 1.0), (1.0, 0.5), (0.7, 0.6), (0.0, 1.0)])
def test_iterations(emulated, taus, dtype):
    X, Y = clouds(65, 33, 3, dtype)
    p = problem(65, 33, dtype)
    options = {"tau_a": taus[0], "tau_b": taus[1], "n_iters": 3}
    expected = iterate(None, X, Y, p, **options)
    C = pairwise_distances(X, Y, backend="reference").astype(dtype)
    error = distance_error(X, Y, "sqeuclidean")
    # The logarithm of a sum comes in the dtype of the points: a step adds the error of another
    # entry to that of the columns of a stored cost.
    iterations.assert_close(
        p._replace(C=C), 0.5, iterate(emulated, X, Y, p, **options), expected, growth=2.0,
        cost_error=2 * error,
    )  # fmt: skip


def test_tolerance_stops_before_the_step(emulated):
    X, Y = clouds(20, 15, 2, np.float64)
    p = problem(20, 15)
    _, g, history = iterate(emulated, X, Y, p, n_iters=500, tol=1e-6)
    assert 1 < len(history) < 500 and history[-1, 0] <= 1e-6 < history[-2, 0]
    stored = pairwise_distances(X, Y, backend="reference")
    potentials = np.zeros(20), p.g.copy()
    lines = sinkhorn_iterate(
        stored, 0.5, p.log_a, p.log_b, *potentials, n_iters=500, tol=1e-6, backend="reference"
    )
    assert len(lines) == len(history)
    here = p.log_b > -np.inf
    assert np.allclose(g[here], potentials[1][here], rtol=0, atol=1e-9)


@pytest.mark.parametrize("dtype", DTYPES)
def test_columns_out_of_reach_are_summed_exactly(emulated, dtype):
    # Sums of about exp(-3e4), which no exponential holds: their logarithms are never left.
    X, Y = clouds(20, 15, 2, dtype)
    Y[-1] += 100
    p = problem(20, 15)._replace(g=np.zeros(15), log_b=np.full(15, -np.log(15)))
    _, g, history = iterate(emulated, X, Y, p, n_iters=3)
    assert np.isfinite(g).all() and not np.isnan(history).any()
    expected = iterate(None, X, Y, p, n_iters=3)
    # Squared distances of 2e4 with a relative error of a few roundings.
    assert np.allclose(g, expected[1], rtol=64 * np.finfo(dtype).eps, atol=1e-3)


@pytest.mark.parametrize("emulated", ORDERS[1:], indirect=True)
def test_the_order_of_threads_changes_no_bit(emulated):
    X, Y = clouds(129, 70, 3, np.float32)
    p = problem(129, 70, np.float32)
    found = iterate(emulated, X, Y, p, n_iters=2)
    with use(type(emulated)(ORDERS[0])) as first:
        expected = iterate(first, X, Y, p, n_iters=2)
    assert all(np.array_equal(x, y) for x, y in zip(found, expected, strict=True))


@pytest.mark.parametrize("name", ["X", "Y"])
def test_bad_points_are_refused(emulated, name):
    points = dict(zip("XY", clouds(40, 20, 3, np.float64), strict=True))
    device = {key: emulated.to_device(value) for key, value in points.items()}
    log_a, f, g = map(emulated.to_device, (np.zeros(40), np.zeros(40), np.zeros(20)))
    rest = 0.5, log_a, f, g
    with pytest.raises(TypeError, match=f"{name} is on the host"):
        sinkhorn_sweep_points(*{**device, name: points[name]}.values(), *rest)
    with pytest.raises(TypeError, match="must have one dtype"):
        other = {**device, name: device[name].astype(np.float32)}
        sinkhorn_sweep_points(*other.values(), *rest)
    for value in (np.nan, np.inf):
        points[name][-1, 1] = value
        with pytest.raises(ValueError, match=f"{name} contains NaN or infinity"):
            bad = {**device, name: emulated.to_device(points[name])}
            sinkhorn_sweep_points(*bad.values(), *rest)
    with pytest.raises(TypeError, match="metric must be one of"):
        sinkhorn_sweep_points(*device.values(), *rest, metric=len)

"""Small runs of the passes over device kernels that fail where a kernel slips."""

from unittest import mock

import numpy as np

from clusterlib.kernels import pairwise_argmin, pairwise_topk
from clusterlib.kernels._cupy import pairwise_argmin as argmin
from clusterlib.kernels._cupy import pairwise_setup
from clusterlib.kernels._cupy import pairwise_topk as topk
from clusterlib.kernels._cupy.pairwise_bound import screen_bound
from clusterlib.kernels._cupy.pairwise_setup import prepare_problem, shifted_rows
from clusterlib.kernels.metrics import Metric
from tests.cuda.pairwise_data import rows_of

__all__ = ["CHECKS"]


def _problem(runtime, X, Y, metric):
    return prepare_problem(runtime.to_device(X), runtime.to_device(Y), metric)


def _whole_numbers(n, m, d):
    """Rows whose products are exact in any dtype; the Euclidean shift is one of them."""
    rng = np.random.default_rng([n, m, d])
    X, Y = (rng.integers(-3, 4, size).astype(np.float32) for size in ((n, d), (m, d)))
    if m > 31:
        Y[31] *= 4  # often the nearest or the farthest
    return X, Y


def _check_screen(runtime, screen, shape, metric, negative=False):
    X, Y = _whole_numbers(*shape)
    if negative:
        X, Y = np.abs(X) + 1, -np.abs(Y) - 1  # a column of padding would win
    problem = _problem(runtime, X, Y, metric)
    outputs = [runtime.zeros(len(X), dtype) for dtype in (np.int32, np.float32, np.float32)]
    screen(problem, outputs)
    labels, best, second = map(runtime.to_host, outputs)
    scores = X @ Y.T
    if metric is Metric.SQEUCLIDEAN:
        shift = runtime.to_host(problem.shift)
        scores = (X - shift) @ (Y - shift).T - ((Y - shift) ** 2).sum(1) / 2
    assert np.array_equal(labels, scores.argmax(1))
    ordered = np.sort(scores, axis=1)
    assert np.array_equal(best, ordered[:, -1])
    assert np.array_equal(second, ordered[:, -2])


def screen_of_tiles(runtime):
    with mock.patch.object(argmin, "TENSOR_CORES", False):
        for metric in (Metric.SQEUCLIDEAN, Metric.INNER_PRODUCT):
            _check_screen(runtime, argmin._screen_with_tiles, (131, 67, 37), metric)
            _check_screen(runtime, argmin._screen_with_tiles, (40, 67, 2), metric)
        _check_screen(runtime, argmin._screen_with_tiles, (5, 66, 3), metric, negative=True)


def screen_of_tensor_cores(runtime):
    for d in (20, 32):
        _check_screen(runtime, argmin._screen_with_tiles, (131, 67, d), Metric.SQEUCLIDEAN)
    X, Y = (np.abs(rows) + 0.5 for rows in rows_of("normal", 20, 40, 36, np.float32))
    problem = _problem(runtime, X, Y, Metric.INNER_PRODUCT)
    best = runtime.zeros(20, np.float32)
    outputs = runtime.zeros(20, np.int32), best, runtime.zeros(20, np.float32)
    assert argmin._screen_with_tiles(problem, outputs)
    reach = np.linalg.norm(X, axis=1) * np.linalg.norm(Y, axis=1).max()
    error = np.abs(runtime.to_host(best) - (X.astype(float) @ Y.T.astype(float)).max(1))
    assert (error <= screen_bound(problem, True)[0] * reach).all()


def screen_of_products(runtime):
    with mock.patch.multiple(pairwise_setup, _CACHED_BYTES=1, _LEAST_ROWS=11):
        for metric in (Metric.SQEUCLIDEAN, Metric.INNER_PRODUCT):
            _check_screen(runtime, argmin._screen_with_products, (25, 67, 5), metric)


def _check_setup(runtime, X, Y, metric):
    problem = _problem(runtime, X, Y, metric)
    shift = np.zeros(X.shape[1])
    if metric is Metric.SQEUCLIDEAN:
        count = min(len(Y), 31)
        sample = np.sort(Y[np.arange(count) * len(Y) // count], axis=0)
        assert np.array_equal(runtime.to_host(problem.shift), sample[count // 2])
        shift = sample[count // 2]
        bias = -0.5 * ((Y - shift) ** 2).sum(1)
        np.testing.assert_allclose(runtime.to_host(problem.bias), bias, 1e-12)
    moved, columns = X - shift, Y - shift
    if metric is Metric.COSINE:
        scaled = np.ldexp(Y, -problem.exponent)
        lengths = np.sqrt((scaled**2).sum(1))
        columns = scaled / lengths[:, None]
        inverse = runtime.to_host(problem.tops)[1]
        np.testing.assert_allclose(inverse, 1 / lengths.min(), 1e-12)
        moved = X * problem.x_scale
    np.testing.assert_allclose(runtime.to_host(problem.columns), columns, 1e-12)
    norms = np.linalg.norm(moved, axis=1)
    np.testing.assert_allclose(runtime.to_host(problem.x_norms), norms, 1e-12)
    largest = np.linalg.norm(columns, axis=1).max()
    np.testing.assert_allclose(runtime.to_host(problem.tops)[0], largest, 1e-12)
    rows = runtime.to_host(shifted_rows(problem, 3, 30))
    np.testing.assert_allclose(rows, moved[3:33], 1e-12)


@mock.patch.object(pairwise_setup, "_MOST_BLOCKS", 1)
def statistics(runtime):
    rng = np.random.default_rng(0)
    for m in (12, 75):
        X, Y = rng.standard_normal((99, 11)), np.rint(3 * rng.standard_normal((m, 11)))
        Y[:, 0] = 7.0 + np.arange(m)
        Y[-1] *= 5
        _check_setup(runtime, X, Y, Metric.SQEUCLIDEAN)
        _check_setup(runtime, 1e200 * X, 1e200 * Y, Metric.COSINE)
    # Tops come from every thread of every warp, and the two of a matrix are not mixed up.
    for place in (31, 88, 95):
        Z = rng.standard_normal((96, 8))
        Z[place, place % 8] = 50.0
        _check_setup(runtime, Z, Z, Metric.SQEUCLIDEAN)
    for broken in (np.nan, np.inf):
        Z[40, 2] = broken
        try:
            _problem(runtime, Z, Y[:, :8], Metric.INNER_PRODUCT)
        except ValueError:
            continue
        raise AssertionError(f"{broken} was not noticed")


def _listed(runtime, best, second, x_norms, tops, kind, numbers):
    """The rows that find_doubts lists."""
    n = len(best)
    arrays = [runtime.to_device(np.asarray(a, float)) for a in (best, second, x_norms, tops)]
    listed, count = runtime.zeros(n, np.int64), runtime.zeros(1, np.uint64)
    instance = argmin._DOUBTS[np.dtype(np.float64)]
    args = (*arrays[:2], np.int64(n), np.int32(kind), *arrays[2:], *map(np.float64, numbers))
    runtime.launch(instance, -(-n // 256), *args, listed, count)
    return sorted(runtime.to_host(listed)[: int(runtime.to_host(count)[0])])


def _bound(x, y, half, numbers, inverse):
    unit, square, tiny, vanish, quotient, missing = numbers
    a, b = x + missing, y + missing
    bound = unit * (a * b + half * b * b) + square * (a + b) ** 2 + tiny * (1 + a + b)
    return bound + vanish + quotient * inverse


def doubts(runtime):
    rng = np.random.default_rng(0)
    x, top, inverse = rng.integers(1, 9, 300).astype(float), 5.0, 3.0
    # Units of 1/16 are too large for rows of Y to be left aside.
    for kind, zero in ((1, 1), (0, 2), (1, None)):
        numbers = [2.0**-4, 2.0**-6, 2.0**-8, 0.75, 0.125, 2.0**-3]
        if zero is not None:
            numbers[zero] = 0.0
        bound = _bound(x, top, kind / 2, numbers, inverse)
        lead = 2 * bound * rng.choice([0.999, 1.0, 1.001], 300)  # exact: all are dyadic
        lead[200:210] = np.nan
        wanted = np.flatnonzero(~(lead > 2 * bound))
        given = lead, np.zeros(300), x, [top, inverse], kind, numbers
        assert np.array_equal(_listed(runtime, *given), wanted)
    # Few rows of Y are as long as 500: twice |x| and the distance is what counts.
    best = rng.integers(-400, 20, 300) / 16.0
    for kind, numbers in (
        (1, [2.0**-7, 0.0, 0.0, 0.0, 0.0, 0.5]),
        (1, [2.0**-7, 0.0, 2.0**-12, 0.5, 0.25, 0.0]),
        (0, [2.0**-7, 0.0, 0.0, 0.0, 0.0, 0.5]),  # products have no such length
        (1, [2.0**-4, 0.0, 0.0, 0.0, 0.0, 0.5]),
    ):
        a, slack = x + numbers[5], numbers[2] * (1 + x + numbers[5] + 500) + numbers[3]
        slack = 16 * np.sqrt(slack + numbers[4] * inverse)
        near = 2 * (a + np.sqrt(np.maximum(a * a - 2 * best, 0))) + slack
        longest = np.minimum(near, 500) if kind and numbers[0] < 2.0**-6 else 500
        bound = _bound(x, longest, kind / 2, numbers, inverse)
        lead = 2 * bound * rng.choice([0.999, 1.001], 300)
        given = best, best - lead, x, [500.0, inverse], kind, numbers
        assert np.array_equal(_listed(runtime, *given), np.flatnonzero(lead < 2 * bound))
    # Norms and products of norms that the screen cannot be trusted with.
    numbers = [2.0**-20, 0.0, 0.0, 0.0, 0.0, 0.0]
    for norm, top, kinds in (
        (2.0**1013, 2.0**-500, (0, 1)),
        (2.0**1011, 2.0**10, (0, 1)),
        (1.0, 2.0**1000, (1,)),
    ):
        for kind in kinds:
            given = [1e308] * 40, [0.0] * 40, [norm] * 40, [top, 0.0], kind, numbers
            assert len(_listed(runtime, *given)) == 40


def _check_nearest(runtime, X, Y, metric):
    labels, distances = pairwise_argmin(
        runtime.to_device(X), runtime.to_device(Y), metric=metric, return_distance=True
    )
    expected = pairwise_argmin(X, Y, metric=metric, return_distance=True, backend="reference")
    assert np.array_equal(runtime.to_host(labels), expected[0])
    assert np.array_equal(runtime.to_host(distances), expected[1])


def rows_in_doubt(runtime):
    rng = np.random.default_rng(0)
    with mock.patch.object(argmin, "_LEAST_PART", 70):
        for m in (20, 331):
            Y = rng.integers(-9, 10, (m, 4)).astype(np.float32)
            Y[m // 3 :] = Y[rng.permutation(m)[: m - m // 3]]
            X = (Y[rng.integers(0, m, 40)] + rng.standard_normal((40, 4)) / 2).astype(np.float32)
            for metric in ("sqeuclidean", "inner_product"):
                _check_nearest(runtime, X, Y, metric)
        # Ties of the screen within the last part, of the last warp and of others.
        for place in (309, 320, 329):
            Y[place : place + 2] = 10.0 * place
            Y[place + 1, 2] = np.nextafter(Y[place, 2], np.float32(1e9))
            _check_nearest(runtime, Y[place:] + 1, Y, "sqeuclidean")


def defined_values(runtime):
    X, Y = rows_of("zeros", 33, 5, 39, np.float64)
    X[1] = Y[3]  # a cosine beyond 1, if it is not clipped
    X[4], Y[1] = -3 * Y[3], -Y[3]
    for metric in ("sqeuclidean", "cosine", "euclidean"):
        _check_nearest(runtime, X, Y, metric)
        _check_nearest(runtime, X * 1e200, Y * 1e200, metric)


def _check_topk(runtime, X, Y, k, metric="sqeuclidean"):
    distances, nearest = pairwise_topk(runtime.to_device(X), runtime.to_device(Y), k, metric=metric)
    expected = pairwise_topk(X, Y, k, metric=metric, backend="reference")
    assert np.array_equal(runtime.to_host(nearest), expected[1])
    assert np.array_equal(runtime.to_host(distances), expected[0])


def nearest_few(runtime):
    rng = np.random.default_rng(0)
    X = rng.integers(-2, 3, (3, 2)).astype(np.float32)
    near, far = rng.integers(-9, 10, (7, 2)), np.full((1100, 2), 50)
    with mock.patch.object(topk, "_sort_all", side_effect=AssertionError("crowded")):
        # Columns that are selected for no reason show where they are too many, or one too many.
        for others, k in ((0, 7), (0, 1), (1017, 100)):
            Y = rng.permutation(np.concatenate([near, np.full((others, 2), 40), far]))
            _check_topk(runtime, X, Y.astype(np.float32), k)
        for k, m in ((5, 13), (30, 90), (64, 64), (20, 300)):
            Y = rng.integers(-9, 10, (m, 2)).astype(np.float32)
            _check_topk(runtime, X, Y, k)
            _check_topk(runtime, X, Y, k, "inner_product")
            _check_topk(runtime, X, rng.standard_normal((m, 2)).astype(np.float32), k)


def nearest_many(runtime):
    X, Y = rows_of("normal", 4, 90, 3, np.float32)
    few_rows = mock.patch.multiple(pairwise_setup, _CACHED_BYTES=1, _LEAST_ROWS=3)
    with few_rows, mock.patch.multiple(topk, MOST_SELECTED=3, _LEAST_PART=20):
        _check_topk(runtime, X, Y, 60)


CHECKS = {
    check.__name__: check
    for check in (
        screen_of_tiles,
        screen_of_tensor_cores,
        screen_of_products,
        statistics,
        doubts,
        rows_in_doubt,
        defined_values,
        nearest_few,
        nearest_many,
    )
}

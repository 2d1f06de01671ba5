"""Every backend against the reference: sizes, dtypes, metrics, layouts, threads."""

import functools
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from clusterlib.kernels import (
    pairwise_argmin,
    pairwise_distances,
    pairwise_logsumexp,
    pairwise_threshold,
    pairwise_topk,
)
from tests.helpers import COPIED_LAYOUTS, DTYPES, LAYOUTS, METRICS, SHAPES
from tests.kernels.bounds import assert_distances_within_bound


def problem(n, m, d, dtype, *, integers):
    """Rows with ties, duplicates and zeros if integers are asked for, else none of them."""
    rng = np.random.default_rng([n, m, d])
    if integers:
        return tuple(rng.integers(-2, 3, (rows, d)).astype(dtype) for rows in (n, m))
    return tuple(rng.standard_normal((rows, d)).astype(dtype) for rows in (n, m))


def everything(X, Y, metric, **options):
    """Outputs of all pairwise kernels, by name."""
    results = {"distances": pairwise_distances(X, Y, metric=metric, **options)}
    beta, group = np.linspace(0.0, 2.0, len(X)), np.arange(max(len(X), len(Y))) % 3
    results["lse"], results["weighted"] = pairwise_logsumexp(
        X, Y, metric=metric, inverse_temperature=beta, values=Y, mask="different",
        x_group=group[: len(X)], y_group=group[: len(Y)], **options,
    )  # fmt: skip
    results["counts"] = pairwise_threshold(X, Y, 1.0, metric=metric, **options)
    if len(Y):
        results["labels"], results["nearest"] = pairwise_argmin(
            X, Y, metric=metric, return_distance=True, **options
        )
        results["topk_distances"], results["topk"] = pairwise_topk(
            X, Y, min(5, len(Y)), metric=metric, **options
        )
    return results


def assert_same_bits(results, expected):
    assert results.keys() == expected.keys()
    for name, value in results.items():
        assert value.dtype == expected[name].dtype, name
        assert np.array_equal(value, expected[name]), name


@functools.cache
def judged(shape, dtype, metric, integers):
    """A problem, the float64 distances of the reference, and all its neighbours in order."""
    X, Y = problem(*shape, dtype, integers=integers)
    options = {"metric": metric, "backend": "reference"}
    wide = pairwise_distances(X.astype(np.float64), Y.astype(np.float64), **options)
    return X, Y, wide, *(pairwise_topk(X, Y, len(Y), **options) if len(Y) else (None, None))


NOT_EMPTY = [shape for shape in SHAPES if shape[1] > 0]


@pytest.mark.parametrize("integers", [False, True], ids=["normal", "ties"])
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dtype", DTYPES)
class TestAgainstReference:
    def test_argmin(self, fast_backend, dtype, metric, integers):
        for shape in NOT_EMPTY:
            X, Y, _, expected_distances, expected_order = judged(shape, dtype, metric, integers)
            labels, distances = pairwise_argmin(
                X, Y, metric=metric, return_distance=True, backend=fast_backend
            )
            assert labels.dtype == np.int32 and distances.dtype == dtype
            assert np.array_equal(labels, expected_order[:, 0]), shape
            assert np.array_equal(distances, expected_distances[:, 0]), shape
            alone = pairwise_argmin(X, Y, metric=metric, backend=fast_backend)
            assert np.array_equal(alone, labels), shape

    def test_topk(self, fast_backend, dtype, metric, integers):
        for shape in NOT_EMPTY:
            X, Y, _, expected_distances, expected_order = judged(shape, dtype, metric, integers)
            for k in sorted({1, min(10, len(Y)), (len(Y) + 1) // 2, len(Y)}):
                distances, indices = pairwise_topk(X, Y, k, metric=metric, backend=fast_backend)
                assert indices.dtype == np.int32 and distances.dtype == dtype
                assert np.array_equal(indices, expected_order[:, :k]), (shape, k)
                assert np.array_equal(distances, expected_distances[:, :k]), (shape, k)

    def test_threshold(self, fast_backend, dtype, metric, integers):
        for shape in SHAPES:
            X, Y, wide, _, _ = judged(shape, dtype, metric, integers)
            # An odd number of columns: each row's threshold is one of its own distances.
            n, m, d = shape
            threshold = np.median(wide, axis=1) if m % 2 else np.linspace(-1.0, 2.0 * d, n)
            counts = pairwise_threshold(X, Y, threshold, metric=metric, backend=fast_backend)
            assert counts.dtype == np.int64
            assert np.array_equal(counts, (wide <= threshold[:, None]).sum(axis=1)), shape

    def test_distances(self, fast_backend, dtype, metric, integers):
        for shape in SHAPES:
            X, Y, wide, _, _ = judged(shape, dtype, metric, integers)
            D = pairwise_distances(X, Y, metric=metric, backend=fast_backend)
            assert D.dtype == dtype and D.shape == shape[:2]
            assert_distances_within_bound(D, wide, X, Y, metric)


@pytest.mark.parametrize("dtype", DTYPES)
def test_many_neighbours_of_many_rows(fast_backend, dtype):
    """More than 64 of them are found by selection, among blocks of Y with one bound each."""
    for n, m, k in [(3, 5000, 65), (40, 3001, 100), (5, 700, 699)]:
        X, Y = problem(n, m, 6, dtype, integers=False)
        expected = pairwise_topk(X, Y, k, backend="reference")
        for one, other in zip(pairwise_topk(X, Y, k, backend=fast_backend), expected, strict=True):
            assert np.array_equal(one, other), (n, m, k)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", LAYOUTS | COPIED_LAYOUTS)
def test_layouts_give_the_same_bits(backend, layout, dtype, metric, tmp_path):
    arrange = (LAYOUTS | COPIED_LAYOUTS)[layout]
    for n, m, d in [(1, 1, 1), (33, 17, 9), (70, 257, 3), (65, 33, 65)]:
        X, Y = problem(n, m, d, dtype, integers=False)
        expected = everything(X, Y, metric, backend=backend)
        arranged = arrange(X, tmp_path), arrange(Y, tmp_path)
        assert_same_bits(everything(*arranged, metric, backend=backend), expected)
        assert_same_bits(everything(arranged[0], Y, metric, backend=backend), expected)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_threads_do_not_change_bits(backend, dtype, metric):
    for n, m, d in [(5, 300, 9), (1500, 257, 5), (700, 31, 40)]:
        X, Y = problem(n, m, d, dtype, integers=False)
        expected = everything(X, Y, metric, backend=backend, n_threads=1)
        for n_threads in (2, 3, None):
            results = everything(X, Y, metric, backend=backend, n_threads=n_threads)
            assert_same_bits(results, expected)


@pytest.mark.parametrize("dtype", DTYPES)
def test_rows_do_not_depend_on_each_other(backend, dtype):
    # Cuts that end inside tiles: a row must not care where in a tile it sits.
    X, Y = problem(257, 65, 17, dtype, integers=False)
    labels, distances = pairwise_argmin(X, Y, return_distance=True, backend=backend)
    for start, stop in [(0, 1), (1, 8), (3, 100), (129, 257), (256, 257)]:
        part = pairwise_argmin(X[start:stop], Y, return_distance=True, backend=backend)
        assert np.array_equal(part[0], labels[start:stop])
        assert np.array_equal(part[1], distances[start:stop])


def test_two_callers_at_once_get_the_same_answers(backend):
    X, Y = problem(2000, 65, 33, np.float32, integers=False)
    expected = everything(X, Y, "sqeuclidean", backend=backend)
    with ThreadPoolExecutor(2) as pool:
        calls = [
            pool.submit(everything, X, Y, "sqeuclidean", backend=backend, n_threads=2)
            for _ in range(6)
        ]
        for call in calls:
            assert_same_bits(call.result(), expected)


@pytest.mark.parametrize("metric", METRICS)
def test_shared_memory_and_repeated_rows(backend, metric, tmp_path):
    # X is Y, and a row repeated by a stride of 0: both are read, never written.
    X, _ = problem(33, 1, 9, np.float32, integers=False)
    same = everything(X, X, metric, backend=backend)
    assert_same_bits(same, everything(X, X.copy(), metric, backend=backend))
    repeated = np.broadcast_to(X[3], (40, 9))
    expected = everything(np.array(repeated), X, metric, backend=backend)
    assert_same_bits(everything(repeated, X, metric, backend=backend), expected)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("metric", ["sqeuclidean", "euclidean"])
def test_distance_of_a_row_to_itself_is_zero(backend, metric, dtype):
    X = problem(65, 1, 17, dtype, integers=False)[0] + dtype(1000)
    D = pairwise_distances(X, metric=metric, backend=backend)
    assert np.array_equal(np.diagonal(D), np.zeros(65))
    assert np.all(D >= 0)


@pytest.mark.parametrize("dtype", DTYPES)
def test_result_lands_in_out(backend, dtype):
    X, Y = problem(33, 17, 9, dtype, integers=False)
    out = np.full((33, 17), np.nan, dtype=dtype)
    assert pairwise_distances(X, Y, out=out, backend=backend) is out
    assert np.array_equal(out, pairwise_distances(X, Y, backend=backend))


@pytest.mark.parametrize(
    ("x_dtype", "y_dtype", "expected"),
    [
        (np.float32, np.float64, np.float64),
        (np.float16, np.float32, np.float32),
        (np.float16, np.float16, np.float32),
        (np.int8, np.int64, np.float64),
        (np.float32, np.uint16, np.float64),
        (bool, np.float32, np.float64),
        (object, np.float32, np.float64),
        (">f4", np.float32, np.float32),
        (np.longdouble, np.float32, np.float64),
    ],
)
def test_dtypes_are_converted(backend, x_dtype, y_dtype, expected):
    X, Y = problem(9, 5, 3, np.float64, integers=True)
    X, Y = np.abs(X).astype(x_dtype), np.abs(Y).astype(y_dtype)
    D = pairwise_distances(X, Y, backend=backend)
    assert D.dtype == expected
    wide = pairwise_distances(X.astype(float), Y.astype(float), backend="reference")
    assert np.allclose(D, wide, rtol=0, atol=1e-5)
    assert np.array_equal(
        pairwise_argmin(X.tolist(), Y.tolist(), backend=backend), np.argmin(wide, axis=1)
    )

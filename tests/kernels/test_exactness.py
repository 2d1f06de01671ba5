"""Data that wants the wrong neighbour: argmin, topk and threshold must answer as the reference."""

import functools

import numpy as np
import pytest

from clusterlib.kernels import (
    pairwise_argmin,
    pairwise_distances,
    pairwise_threshold,
    pairwise_topk,
)
from tests.helpers import DTYPES, METRICS

CASES = {}


def case(function):
    CASES[function.__name__] = function
    return function


def _normal(rng, n, m, d):
    return rng.standard_normal((n, d)), rng.standard_normal((m, d))


@case
def bisectors(rng, dtype):
    """Rows in the middle of two rows of Y, moved by a few units in the last place."""
    _, Y = _normal(rng, 0, 50, 33)
    Y = Y.astype(dtype)
    first, second = rng.integers(0, 50, (2, 400))
    middle = (Y[first] + Y[second]) / 2
    return middle + np.spacing(middle) * rng.integers(-2, 3, middle.shape), Y


@case
def offset_thousand(rng, dtype):
    X, Y = _normal(rng, 300, 61, 24)
    return X + 1e3, Y + 1e3


@case
def offset_million(rng, dtype):
    X, Y = _normal(rng, 300, 61, 24)
    return X + 1e6, Y + 1e6


@case
def denormals(rng, dtype):
    X, Y = _normal(rng, 200, 37, 11)
    scale = 16 * float(np.finfo(dtype).tiny) * np.finfo(dtype).eps
    return X * scale, Y * scale


@case
def smallest_scale(rng, dtype):
    X, Y = _normal(rng, 200, 37, 31)
    scale = 1e-40 if dtype == np.float32 else 1e-300
    return X * scale, Y * scale


@case
def largest_scale(rng, dtype):
    X, Y = _normal(rng, 200, 37, 31)
    scale = 1e30 if dtype == np.float32 else 1e300
    return X * scale, Y * scale


@case
def scales_where_squares_underflow(rng, dtype):
    X, Y = _normal(rng, 200, 37, 31)
    scale = 1e-22 if dtype == np.float32 else 1e-160
    return X * scale, Y * scale


@case
def rows_of_all_scales(rng, dtype):
    X, Y = _normal(rng, 200, 37, 20)
    span = (-20, 15) if dtype == np.float32 else (-130, 130)
    return X * np.logspace(*span, 200)[:, None], Y * np.logspace(*span, 37)[:, None]


@case
def mixed_feature_scales(rng, dtype):
    X, Y = _normal(rng, 300, 100, 40)
    scale = np.logspace(-4, 4, 40)
    return X * scale, Y * scale


@case
def one_far_row_of_y(rng, dtype):
    X, Y = _normal(rng, 300, 48, 16)
    Y[17] = 1e18
    return X, Y


@case
def one_far_row_of_x(rng, dtype):
    X, Y = _normal(rng, 300, 48, 16)
    X[5] = 1e18
    return X, Y


@case
def integer_grid(rng, dtype):
    """Exact ties everywhere."""
    return rng.integers(-2, 3, (400, 6)), rng.integers(-2, 3, (130, 6))


@case
def shifted_grid(rng, dtype):
    """Ties that any shift by a mean would break."""
    return rng.integers(0, 4, (300, 5)) + 4096.0, rng.integers(0, 4, (65, 5)) + 4096.0


@case
def near_duplicates(rng, dtype):
    X, Y = _normal(rng, 300, 20, 48)
    copies = np.repeat(Y, 5, axis=0)
    return X, copies + 1e-7 * rng.standard_normal(copies.shape)


@case
def duplicates(rng, dtype):
    X, Y = _normal(rng, 300, 30, 15)
    return X, np.tile(Y, (4, 1))


@case
def rows_of_x_are_rows_of_y(rng, dtype):
    _, Y = _normal(rng, 0, 101, 23)
    return np.concatenate([Y, Y + 1e-6]), Y


@case
def all_zero(rng, dtype):
    return np.zeros((70, 9)), np.zeros((33, 9))


@case
def some_zero_rows(rng, dtype):
    X, Y = _normal(rng, 90, 33, 9)
    X[::4], Y[::5] = 0.0, 0.0
    return X, Y


@case
def signed_zeros_and_one_hot(rng, dtype):
    return np.where(np.eye(65), 1.0, -0.0), np.eye(65)[::-1]


@case
def common_direction(rng, dtype):
    """Nearly parallel rows of different length: hard for cosine and inner product."""
    X, Y = _normal(rng, 200, 70, 32)
    direction = rng.standard_normal(32)
    lengths = 10.0 ** rng.uniform(-3, 3, (70, 1))
    return direction + 1e-4 * X, lengths * (direction + 1e-5 * Y)


@case
def one_feature(rng, dtype):
    X, Y = _normal(rng, 500, 257, 1)
    return X, np.round(Y, 1)


@case
def many_features(rng, dtype):
    X, Y = _normal(rng, 60, 25, 1025)
    return X, np.concatenate([Y, Y + 1e-6 * rng.standard_normal(Y.shape)])


@case
def many_columns(rng, dtype):
    X, Y = _normal(rng, 60, 1031, 7)
    return X, Y


@functools.cache
def judged(name, dtype, metric):
    """The data of a case and what the reference says about them."""
    X, Y = CASES[name](np.random.default_rng(len(name)), dtype)
    X, Y = X.astype(dtype), Y.astype(dtype)
    options = {"metric": metric, "backend": "reference"}
    wide = pairwise_distances(X.astype(np.float64), Y.astype(np.float64), **options)
    # Each row's threshold is one of its own distances, so it is met exactly.
    threshold = np.sort(wide, axis=1)[:, len(Y) // 3]
    return (
        X,
        Y,
        threshold,
        pairwise_topk(X, Y, len(Y), **options),
        pairwise_threshold(X, Y, threshold, **options),
    )


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", CASES)
def test_answers_are_those_of_the_reference(fast_backend, name, dtype, metric):
    X, Y, threshold, (distances, order), counts = judged(name, dtype, metric)
    options = {"metric": metric, "backend": fast_backend}
    labels, nearest = pairwise_argmin(X, Y, return_distance=True, **options)
    assert np.array_equal(labels, order[:, 0])
    assert np.array_equal(nearest, distances[:, 0])
    for k in {1, 2, 10, len(Y)}:
        found = pairwise_topk(X, Y, k, **options)
        assert np.array_equal(found[1], order[:, :k]), k
        assert np.array_equal(found[0], distances[:, :k]), k
    assert np.array_equal(pairwise_threshold(X, Y, threshold, **options), counts)


@pytest.mark.parametrize("dtype", DTYPES)
def test_cases_are_hard(dtype):
    """Plain arithmetic in the dtype of X gets many of these labels wrong, or they prove nothing."""
    wrong = 0
    for name in ("bisectors", "offset_thousand", "offset_million", "shifted_grid"):
        X, Y, _, (_, order), _ = judged(name, dtype, "sqeuclidean")
        scores = X @ Y.T - np.einsum("ij,ij->i", Y, Y) / 2
        wrong += np.count_nonzero(np.argmax(scores, axis=1) != order[:, 0])
    assert wrong > 50


@pytest.mark.parametrize("metric", ["sqeuclidean", "euclidean", "inner_product"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("power", [0.45, 0.55, 0.95])
def test_distances_beside_rows_whose_squares_leave_the_dtype(fast_backend, power, dtype, metric):
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((40, 7))
    rows[::4] *= float(np.finfo(dtype).max) ** power
    rows = rows.astype(dtype)
    near, far = np.array([1, 2, 3, 1]), np.array([0, 4, 8, 4, 0])
    for chosen in (near, far, np.concatenate([near, far])):
        Y = rows[chosen]
        exact = pairwise_distances(rows, Y, metric=metric, backend="reference")
        found = pairwise_distances(rows, Y, metric=metric, backend=fast_backend)
        np.testing.assert_array_equal(np.isfinite(found), np.isfinite(exact))
        if power > 0.5:
            np.testing.assert_array_equal(found[::4], exact[::4])
        if power > 0.5 and chosen is not near and metric != "inner_product":
            np.testing.assert_array_equal(found, exact)


@pytest.mark.parametrize("dtype", DTYPES)
def test_products_of_which_only_parts_overflow(fast_backend, dtype):
    Y = np.full((1, 3), 0.9 * np.finfo(dtype).max, dtype)
    X = np.array([[1, 1, -1], [-1, 1, 1], [1, 0, 0]], dtype)
    found = pairwise_distances(X, Y, metric="inner_product", backend=fast_backend)
    np.testing.assert_array_equal(found, -Y[:, :1].repeat(3, axis=0))

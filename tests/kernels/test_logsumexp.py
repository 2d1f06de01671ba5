"""The streaming log-sum-exp: against SciPy in float64, within the bound of its contract."""

import numpy as np
import pytest
from scipy.special import logsumexp

from clusterlib.kernels import pairwise_distances, pairwise_logsumexp
from tests.helpers import DTYPES, METRICS, SHAPES
from tests.kernels.bounds import distance_bound

MASKS = [None, "same", "different"]


def exact_scores(X, Y, metric, beta, log_weight, allowed):
    D = pairwise_distances(
        X.astype(np.float64), Y.astype(np.float64), metric=metric, backend="reference"
    )
    return np.where(allowed, log_weight - np.reshape(beta, (-1, 1)) * D, -np.inf), D


def bounds(X, Y, metric, beta, scores, D, lse):
    """Bound of the error of lse that the contract promises, for each row."""
    unit = np.finfo(X.dtype).eps / 2
    error = distance_bound(X, Y, metric, unit)
    if metric == "euclidean":
        # Of D itself: |sqrt(a + e) - sqrt(a)| <= min(sqrt(e), e / sqrt(a)), and 2 u D.
        root = np.sqrt(error)
        error = np.minimum(root, error / np.maximum(D, root)) + 2 * unit * D
    carries = scores > lse[:, None] - 60  # e^-60 is below the roundoff of float64
    of_distance = np.max(np.where(carries, error, 0.0), axis=1, initial=0.0)
    size = np.max(np.abs(np.where(carries, scores, 0.0)), axis=1, initial=0.0)
    rounding = 4 * unit * (4 + len(Y) + np.abs(np.where(np.isfinite(lse), lse, 0.0)) + size)
    return np.reshape(beta, -1) * of_distance + rounding


def check(X, Y, metric, backend, beta=1.0, log_weight=None, mask=None, groups=None, q=0):
    n, m = len(X), len(Y)
    beta = np.broadcast_to(np.asarray(beta, dtype=np.float64), (n,))
    x_group, y_group = groups if mask else (None, None)
    allowed = np.ones((n, m), dtype=bool)
    if mask:
        allowed = (x_group[:, None] == y_group) == (mask == "same")
    w = np.zeros(m) if log_weight is None else log_weight
    scores, D = exact_scores(X, Y, metric, beta, w, allowed)
    with np.errstate(divide="ignore"):  # SciPy takes the logarithm of an empty sum
        expected = logsumexp(scores, axis=1) if m else np.full(n, -np.inf)
    values = np.random.default_rng(q).uniform(-1, 1, (m, q)).astype(X.dtype) if q else None
    result = pairwise_logsumexp(
        X, Y, metric=metric, inverse_temperature=beta, log_weight=log_weight, mask=mask,
        x_group=x_group, y_group=y_group, values=values, backend=backend,
    )  # fmt: skip
    lse, weighted = result if q else (result, None)
    assert lse.dtype == X.dtype and lse.shape == (n,)
    empty = expected == -np.inf
    assert np.array_equal(lse == -np.inf, empty)
    bound = bounds(X, Y, metric, beta, scores, D, expected)
    assert np.all(np.abs(lse[~empty] - expected[~empty]) <= bound[~empty]), (n, m, X.shape[1])
    if q:
        assert weighted.dtype == X.dtype and weighted.shape == (n, q)
        assert np.all(weighted[empty] == 0)
        shares = np.exp(scores[~empty] - expected[~empty, None])
        # Each share is off by a factor e^(2 bound): bound for its exponent, bound for the sum.
        error = np.abs(weighted[~empty] - shares @ values.astype(np.float64))
        assert np.all(error <= 2 * np.expm1(2 * bound[~empty, None]))


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_all_shapes(backend, dtype, metric):
    for i, (n, m, d) in enumerate(SHAPES):
        rng = np.random.default_rng(i)
        X, Y = (rng.standard_normal((rows, d)).astype(dtype) for rows in (n, m))
        groups = rng.integers(0, 3, n), rng.integers(0, 3, m)
        log_weight = None if i % 3 == 0 else rng.standard_normal(m)
        check(
            X, Y, metric, backend, rng.uniform(0, 2, n), log_weight, MASKS[i % 3], groups, q=i % 4
        )


@pytest.mark.parametrize("dtype", DTYPES)
def test_sharp_and_flat_temperatures(backend, dtype):
    rng = np.random.default_rng(0)
    X, Y = (rng.standard_normal((rows, 8)).astype(dtype) for rows in (65, 33))
    for beta in (0.0, 1e-6, 30.0, 1e4):
        check(X, Y, "sqeuclidean", backend, beta, q=3)
    check(X, Y, "sqeuclidean", backend, np.geomspace(1e-3, 1e3, 65), q=3)


def test_zero_inverse_temperature_is_the_mean_of_the_allowed_rows(backend):
    Y = np.array([[1.0], [2.0], [6.0]])
    lse, mean = pairwise_logsumexp(
        [[5.0], [-3.0]], Y, inverse_temperature=0.0, values=Y, backend=backend
    )
    assert np.allclose(lse, np.log(3.0), rtol=1e-15)
    assert np.allclose(mean, 3.0, rtol=1e-15)


@pytest.mark.parametrize("dtype", DTYPES)
def test_log_weights_count_repetitions(backend, dtype):
    rng = np.random.default_rng(5)
    X, Y = (rng.standard_normal((rows, 5)).astype(dtype) for rows in (17, 9))
    repeats = rng.integers(0, 4, 9)  # 0: weight -inf
    with np.errstate(divide="ignore"):
        log_weight = np.log(repeats)
    weighted = pairwise_logsumexp(X, Y, log_weight=log_weight, values=Y, backend=backend)
    repeated = np.repeat(Y, repeats, axis=0)
    expected = pairwise_logsumexp(X, repeated, values=repeated, backend=backend)
    tolerance = 200 * np.finfo(dtype).eps
    for got, wanted in zip(weighted, expected, strict=True):
        assert np.allclose(got, wanted, rtol=tolerance, atol=tolerance)


def test_no_allowed_column_is_minus_infinity_and_zero(backend):
    X, Y = np.zeros((3, 2)), np.ones((4, 2))
    groups = {"x_group": [1, 2, 1], "y_group": [1, 1, 1, 1]}
    lse, weighted = pairwise_logsumexp(X, Y, mask="different", values=Y, backend=backend, **groups)
    assert np.array_equal(np.isneginf(lse), [True, False, True])
    assert np.array_equal(weighted, [[0, 0], [1, 1], [0, 0]])
    lse = pairwise_logsumexp(X, Y, log_weight=-np.inf, backend=backend)
    assert np.all(np.isneginf(lse))
    lse, weighted = pairwise_logsumexp(X, Y[:0], values=Y[:0], backend=backend)
    assert np.all(np.isneginf(lse)) and np.array_equal(weighted, np.zeros((3, 2)))


def test_group_numbers_may_be_any_integers(backend):
    X = np.zeros((2, 1))
    big = np.array([2**62, -(2**62)])
    same = pairwise_logsumexp(X, X, mask="same", x_group=big, y_group=big + [0, 1], backend=backend)
    assert np.array_equal(same, [0.0, -np.inf])
    narrow = pairwise_logsumexp(
        X, X, mask="same", x_group=np.array([1, 2], np.uint8), y_group=[2, 2], backend=backend
    )
    assert np.array_equal(narrow, [-np.inf, np.log(2.0).astype(float)])


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_common_shift_of_the_weights_only_shifts(backend, dtype):
    # Exponents far outside the range of exp: only their differences may matter.
    rng = np.random.default_rng(8)
    X, Y = (rng.standard_normal((rows, 4)).astype(dtype) for rows in (9, 33))
    near, mean = pairwise_logsumexp(X, Y, values=Y, backend=backend)
    for shift in (-(2.0**12), 2.0**12):
        far, far_mean = pairwise_logsumexp(
            X, Y, log_weight=np.full(33, shift), values=Y, backend=backend
        )
        tolerance = 2.0**12 * 16 * np.finfo(dtype).eps
        assert np.allclose(far - dtype(shift), near, rtol=0, atol=tolerance)
        assert np.allclose(far_mean, mean, rtol=0, atol=4 * tolerance)


def test_distances_that_overflow_carry_no_weight(backend):
    # In float32 the distance to the second row is beyond the largest number.
    X, Y = np.zeros((1, 2), np.float32), np.array([[1.0, 0.0], [3e19, 3e19]], np.float32)
    lse, weighted = pairwise_logsumexp(X, Y, values=[[2.0], [5.0]], backend=backend)
    assert np.allclose(lse, -1.0, rtol=1e-6) and np.allclose(weighted, 2.0, rtol=1e-6)

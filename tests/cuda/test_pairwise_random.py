"""Random shapes, magnitudes, ties and ways through the kernels of nearest rows: always the host's bits."""

from unittest import mock

import numpy as np
import pytest

from clusterlib.kernels import pairwise_argmin, pairwise_topk
from clusterlib.kernels._cupy import pairwise_argmin as argmin
from clusterlib.kernels._cupy import pairwise_topk as topk
from tests.helpers import DTYPES, METRICS

PROBLEMS = 25


def _matrix(rng, rows, d, decades):
    """Rows of one of many kinds; magnitudes from 10^-decades to 10^decades."""
    A = rng.standard_normal((rows, d))
    kinds = [
        lambda: np.rint(A * rng.integers(1, 4)),
        lambda: A + 10.0 ** rng.uniform(-2, 6),
        lambda: A * 10.0 ** rng.uniform(-decades, decades),
        lambda: A * 10.0 ** rng.uniform(-decades, decades, (rows, 1)),
        lambda: A * 10.0 ** rng.uniform(-decades, decades, (rows, d)),
        lambda: A[rng.integers(0, rows, rows)],
        lambda: A,
    ]
    return kinds[rng.integers(0, len(kinds))]()


def _problem(rng, dtype):
    limit = np.finfo(dtype).max
    n, m = rng.integers(1, [90, 150])
    d = rng.choice([1, 2, 3, 4, 5, 8, 12, 16, 17, 20, 31, 32, 33, 40, 64, 70])
    X, Y = (_matrix(rng, rows, d, np.log10(limit) - 1) for rows in (n, m))
    if rng.random() < 0.4:  # rows of Y near rows of X, or equal to them
        near = rng.standard_normal((m, d)) * 10.0 ** rng.uniform(-9, 0) * (rng.random() < 0.7)
        Y = X[rng.integers(0, n, m)] + near
    return (np.clip(rows, -limit, limit).astype(dtype) for rows in (X, Y))


def _ways(rng):
    """Screens, and how rows in doubt and selections are dealt with."""
    start = (1, 1) if rng.random() < 0.3 else (1 << 30, 1)
    return (
        mock.patch.multiple(
            argmin,
            TENSOR_CORES=bool(rng.random() < 0.5),
            MATRIX_PRODUCTS=dict.fromkeys(map(np.dtype, DTYPES), start),
            _DOUBTS_FOR_PRODUCTS=int(rng.choice([1, 1 << 30])),
            _LEAST_PART=int(rng.choice([40, 256])),
        ),
        mock.patch.object(topk, "MOST_SELECTED", int(rng.choice([3, 512]))),
    )


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_random_problems(emulated, dtype, metric):
    rng = np.random.default_rng([*metric.encode(), np.dtype(dtype).itemsize])
    for problem in range(PROBLEMS):
        X, Y = _problem(rng, dtype)
        k = int(rng.integers(1, len(Y) + 1))
        given = emulated.to_device(X), emulated.to_device(Y)
        for_argmin, for_topk = _ways(rng)
        with for_argmin, for_topk:
            result = pairwise_argmin(*given, metric=metric, return_distance=True)
            result += pairwise_topk(*given, k, metric=metric)
        on_host = {"metric": metric, "backend": "reference"}
        expected = pairwise_argmin(X, Y, return_distance=True, **on_host)
        expected += pairwise_topk(X, Y, k, **on_host)
        for got, wanted in zip(result, expected, strict=True):
            assert np.array_equal(emulated.to_host(got), wanted), f"problem {problem}"

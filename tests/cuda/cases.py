"""One small run of every kernel, for the tools that look at all of them: sanitizers and mutants.

Every operation has its case here. A case calls public functions with device arrays of a few rows,
in such shapes that each of its instances is launched at least once, in both dtypes and with an
edge of a tile inside.
"""

from collections.abc import Callable
from typing import NamedTuple
from unittest import mock

import numpy as np

from clusterlib.kernels import (
    LEAF_ROWS,
    class_moments,
    cluster_sums,
    pairwise_argmin,
    pairwise_distances,
    pairwise_logsumexp,
    pairwise_threshold,
    pairwise_topk,
    row_softmax,
    scaling_iterate,
    sinkhorn_batch,
    sinkhorn_iterate,
    sinkhorn_iterate_points,
    sinkhorn_plan,
    sinkhorn_sweep,
    sinkhorn_sweep_points,
    weighted_gram_product,
)
from clusterlib.kernels._cupy import pairwise_argmin as argmin_passes
from clusterlib.kernels._cupy import pairwise_topk as topk_passes

__all__ = ["CASES", "Case"]

DTYPES = (np.float32, np.float64)


class Case(NamedTuple):
    """What launches some kernels.

    Attributes
    ----------
    name : str
        Of the operation.
    run : callable
        Called with the runtime in use; arrays come from ``runtime.to_device``.
    """

    name: str
    run: Callable


def _points(runtime, n, m, d, dtype):
    rng = np.random.default_rng([n, m, d])
    Y = rng.normal(size=(m, d))
    Y[m // 2] = Y[0]  # a tie
    return runtime.to_device(rng.normal(size=(n, d)).astype(dtype)), runtime.to_device(
        Y.astype(dtype)
    )


def _for_every_tile():
    """Shapes (n, m, d) beyond one tile: wide and narrow, with aligned rows and others."""
    for m in (67, 19):
        for d in (20, 5):
            yield 131, m, d


def _argmin(runtime):
    for dtype in DTYPES:
        for n, m, d in _for_every_tile():
            for tensor in (True, False):
                X, Y = _points(runtime, n, m, d, dtype)
                with mock.patch.object(argmin_passes, "TENSOR_CORES", tensor):
                    pairwise_argmin(X, Y, return_distance=True)
        always = {"MATRIX_PRODUCTS": {np.dtype(dtype): (1, 1)}, "TENSOR_CORES": False}
        with mock.patch.multiple(argmin_passes, **always):
            for metric in ("sqeuclidean", "cosine"):
                pairwise_argmin(*_points(runtime, 40, 70, 6, dtype), metric=metric)
        with mock.patch.object(argmin_passes, "_DOUBTS_FOR_PRODUCTS", 1):
            X, Y = _points(runtime, 10, 20, 6, dtype)
            pairwise_argmin(X, Y * 0)


def _topk(runtime):
    for dtype in DTYPES:
        for most_selected in (512, 4):
            with mock.patch.object(topk_passes, "MOST_SELECTED", most_selected):
                pairwise_topk(*_points(runtime, 3, 300, 5, dtype), 5)
        X, Y = _points(runtime, 2, 1030, 3, dtype)
        pairwise_topk(X, Y * 0, 3)  # more candidates than a block sorts


def _threshold(runtime):
    for dtype in DTYPES:
        pairwise_threshold(*_points(runtime, 33, 40, 5, dtype), 2.0)


def _distances(runtime):
    for dtype in DTYPES:
        for metric, shape in zip(
            ("sqeuclidean", "euclidean", "cosine", "inner_product"), _for_every_tile(), strict=True
        ):
            pairwise_distances(*_points(runtime, *shape, dtype), metric=metric)


def _logsumexp(runtime):
    for dtype in DTYPES:
        for n, m, d in _for_every_tile():
            X, Y = _points(runtime, n, m, d, dtype)
            groups = [runtime.to_device(np.arange(size) % 3) for size in (n, m)]
            pairwise_logsumexp(
                X, Y, values=Y, x_group=groups[0], y_group=groups[1], mask="different"
            )


def _centers(runtime):
    rng = np.random.default_rng(0)
    for dtype in DTYPES:
        for n, n_clusters in ((300, 4), (2 * LEAF_ROWS + 1, 1)):
            X = runtime.to_device(rng.normal(size=(n, 3)).astype(dtype))
            labels = runtime.to_device(rng.integers(-1, n_clusters, n).astype(np.int32))
            weight = runtime.to_device(rng.uniform(size=n))
            cluster_sums(X, labels, n_clusters, sample_weight=weight)


def _moments(runtime):
    rng = np.random.default_rng(0)
    for dtype in DTYPES:
        for n, d in ((1500, 5), (70, 20), (70, 70)):
            X = runtime.to_device(rng.normal(size=(n, d)).astype(dtype))
            labels = runtime.to_device(rng.integers(-1, 2, n).astype(np.int32))
            weight = runtime.to_device(rng.uniform(size=n))
            class_moments(X, labels, 2, sample_weight=weight)


def _softmax(runtime):
    rng = np.random.default_rng(0)
    for dtype in DTYPES:
        for n, k in ((19, 5), (9, 70), (9, 200), (9, 300), (2, 1100)):
            scores = runtime.to_device(rng.normal(size=(n, k)).astype(dtype))
            log_weight = runtime.to_device(np.full(k, -np.log(k)))
            row_softmax(scores, log_weight=log_weight, return_labels=True, out=scores)


def _transport(runtime, n, m, dtype):
    """A cost and, in float64, weights as logarithms and potentials."""
    cost = np.random.default_rng([n, m]).uniform(size=(n, m)).astype(dtype)
    vectors = [np.full(size, -np.log(size)) for size in (n, m)] + [np.zeros(n), np.zeros(m)]
    return [runtime.to_device(array) for array in (cost, *vectors)]


def _sinkhorn(runtime):
    for dtype, few, many in ((np.float32, 40, 600), (np.float64, 40, 400)):
        for precise in (False, True)[: 2 if dtype == np.float32 else 1]:
            for m in (few, 200, many, 1100):
                n = 35 if m == few else 2
                cost, log_a, log_b, f, g = _transport(runtime, n, m, dtype)
                sinkhorn_sweep(cost, 0.1, log_a, f, g, precise=precise)
            cost, log_a, log_b, f, g = _transport(runtime, 35, few, dtype)
            cost[:, -1] += 100  # a column that is summed up anew
            sinkhorn_iterate(
                cost, 0.1, log_a, log_b, f, g, tau_a=0.9, tau_b=0.8, n_iters=2, precise=precise
            )
            sinkhorn_plan(cost, 0.1, f, g, log_a=log_a, row_weight=runtime.to_device(np.ones(35)))


def _sinkhorn_points(runtime):
    # Their pairs are those of the log-sum-exp, whose own cases go through every tile.
    for dtype in DTYPES:
        X, Y = _points(runtime, 35, 33, 3, dtype)
        _, log_a, log_b, f, g = _transport(runtime, 35, 33, dtype)
        sinkhorn_sweep_points(X, Y, 0.1, log_a, f, g)
        sinkhorn_iterate_points(X, Y, 0.1, log_a, log_b, f, g, n_iters=1)


def _sinkhorn_batch(runtime):
    for dtype in DTYPES:
        for p, q in ((5, 33), (33, 2)):
            cost, log_a, log_b, _, _ = _transport(runtime, p, 3 * q, dtype)
            C = runtime.contiguous(cost.reshape(p, 3, q).transpose(1, 0, 2))
            f, g = runtime.zeros((3, p), np.float64), runtime.zeros((3, q), np.float64)
            options = {"tau_a": 0.9, "tau_b": 0.8, "max_iter": 2}
            sinkhorn_batch(C, 0.1, log_a, log_b[:q], f, g, **options)


def _scaling(runtime):
    for dtype in DTYPES:
        cost, log_a, log_b, f, g = _transport(runtime, 35, 40, dtype)
        kernel, a, b, u, v = np.exp(-cost), np.exp(log_a), np.exp(log_b), f + 1, g + 1
        scaling_iterate(kernel, a, b, u, v, n_iters=2)
        weighted_gram_product(kernel, u, v)


CASES = [
    Case("pairwise_argmin", _argmin),
    Case("pairwise_topk", _topk),
    Case("pairwise_threshold", _threshold),
    Case("pairwise_distances", _distances),
    Case("pairwise_logsumexp", _logsumexp),
    Case("centers", _centers),
    Case("moments", _moments),
    Case("softmax", _softmax),
    Case("sinkhorn", _sinkhorn),
    Case("sinkhorn_points", _sinkhorn_points),
    Case("sinkhorn_batch", _sinkhorn_batch),
    Case("scaling", _scaling),
]

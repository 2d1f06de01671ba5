"""The nearest row of Y on a CUDA device: a screen in the dtype of X, then float64 where needed."""

import numpy as np

from clusterlib.kernels._cupy.checks import as_device_pair, checked_device_options, device_metric
from clusterlib.kernels._cupy.instances import Instance, instances_by_dtype
from clusterlib.kernels._cupy.pairwise_bound import screen_bound
from clusterlib.kernels._cupy.pairwise_setup import (
    KINDS,
    prepare_problem,
    row_blocks,
    rows_at_once,
    shifted_rows,
)
from clusterlib.kernels._cupy.runtime import active
from clusterlib.kernels._cupy.tiles import choose_tile, tile_instance, tile_instances

__all__ = ["INSTANCES", "MATRIX_PRODUCTS", "TENSOR_CORES", "nearest_labels", "pairwise_argmin"]

TENSOR_CORES = True
"""Let float32 screens multiply on tensor cores."""
MATRIX_PRODUCTS = {np.dtype(np.float32): (256, 256), np.dtype(np.float64): (128, 256)}
"""From how many features and rows of Y on cuBLAS writes the scores where no tensor cores are used.

Measured on an H200: float32, d = 768, k = 4096, n = 2e5 takes 28.2 ms on tensor cores, 33.6 with cuBLAS
and 39.6 with float32 tiles; float64 with k = 1000 2.6 and 2.9 ms (tiles, cuBLAS) for d = 64, n = 2e5, and
4.7 and 2.3 ms for d = 256, n = 1e5.
"""

_SCREEN, _EXACT = "pairwise_argmin.cuh", "exact_rows.cuh"
_THREADS = 256
_WARPS = _THREADS // 32
_BLOCKS_WANTED = 2048  # enough for a device when few rows are in doubt
_LEAST_PART = 256  # columns that a block looks at, at least
_DOUBTS_AT_ONCE = 1 << 22
_DOUBTS_FOR_PRODUCTS = 1024


_PRODUCTS = instances_by_dtype(_SCREEN, "argmin_products", _THREADS)
_DOUBTS = instances_by_dtype(_EXACT, "find_doubts", _THREADS)
_ROWS = instances_by_dtype(_EXACT, "exact_rows", _THREADS)
_DISTANCES = instances_by_dtype(_EXACT, "label_distances", _THREADS)
_SETTLE = Instance(_EXACT, "cl::settle_rows", _THREADS)
INSTANCES = (
    *tile_instances(_SCREEN, "argmin_tiles", tensor=True),
    *(i for table in (_PRODUCTS, _DOUBTS, _ROWS, _DISTANCES) for i in table.values()),
    _SETTLE,
)


def _tile(problem):
    return choose_tile(problem.X, problem.columns, problem.shift, tensor=TENSOR_CORES)


def _screen_with_tiles(problem, outputs):
    """One kernel multiplies and compares; returns whether it used tensor cores."""
    X, columns, shape = problem.X, problem.columns, _tile(problem)
    (n, d), m = X.shape, len(columns)
    args = (X, np.int64(n), np.int32(d), problem.shift, problem.x_scale)
    active().launch(
        tile_instance(_SCREEN, "argmin_tiles", shape),
        row_blocks(n, shape.rows),
        *args, columns, np.int64(m), problem.bias, *outputs,
    )  # fmt: skip
    return shape.tensor


def _screen_with_products(problem, outputs):
    """CuBLAS multiplies a chunk of rows at a time."""
    runtime = active()
    (n, d), m = problem.X.shape, len(problem.columns)
    chunk = rows_at_once(n, m, problem.dtype.itemsize)
    scores = runtime.empty((chunk, m), problem.dtype)
    moved = None if problem.shift is None else runtime.empty((chunk, d), problem.dtype)
    for first in range(0, n, chunk):
        count = min(chunk, n - first)
        rows = shifted_rows(problem, first, count, moved)
        runtime.matmul(rows, problem.columns, scores[:count])
        args = (scores, np.int64(first), np.int64(count), np.int64(m), problem.bias)
        runtime.launch(_PRODUCTS[problem.dtype], row_blocks(count, _WARPS), *args, *outputs)
    return False


def _prefers_products(problem):
    if _tile(problem).tensor:
        return False
    features, columns = MATRIX_PRODUCTS[problem.dtype]
    return problem.X.shape[1] >= features and len(problem.columns) >= columns


def nearest_labels(problem):
    """Find the nearest row of Y for each row of X by the defined evaluation.

    Parameters
    ----------
    problem : DeviceProblem
        With m >= 1.

    Returns
    -------
    labels : device array of shape (n,), int32
    """
    runtime = active()
    n = len(problem.X)
    labels = runtime.empty((n,), np.int32)
    best, second = runtime.empty((n,), problem.dtype), runtime.empty((n,), problem.dtype)
    outputs = (labels, best, second)
    screen = _screen_with_products if _prefers_products(problem) else _screen_with_tiles
    bound = screen_bound(problem, screen(problem, outputs))
    doubts, count = runtime.empty((n,), np.int64), runtime.zeros((1,), np.uint64)
    norms = (problem.x_norms, problem.tops)
    runtime.launch(
        _DOUBTS[problem.dtype],
        row_blocks(n, _THREADS),
        best, second, np.int64(n), np.int32(KINDS[problem.metric]), *norms, *bound, doubts, count,
    )  # fmt: skip
    n_doubts = int(runtime.to_host(count)[0])
    if n_doubts >= _DOUBTS_FOR_PRODUCTS:
        _settle_with_products(problem, bound, best, doubts[:n_doubts], labels)
        return labels
    for first in range(0, n_doubts, _DOUBTS_AT_ONCE):
        some = doubts[first : min(n_doubts, first + _DOUBTS_AT_ONCE)]
        _settle(problem, bound, best, some, None, labels)
    return labels


def _settle_with_products(problem, bound, best, doubts, labels):
    """Let cuBLAS score rows in doubt again where they are many.

    It may add up in any order, and err by more than tensor cores that screened: the larger bound
    holds for both.
    """
    runtime = active()
    bound = tuple(map(max, bound, screen_bound(problem, False)))
    d, m = problem.X.shape[1], len(problem.columns)
    chunk = rows_at_once(len(doubts), m, problem.dtype.itemsize)
    scores, moved = (runtime.empty((chunk, width), problem.dtype) for width in (m, d))
    for first in range(0, len(doubts), chunk):
        some = doubts[first : first + chunk]
        rows = shifted_rows(problem, first, len(some), moved, doubts)
        runtime.matmul(rows, problem.columns, scores[: len(some)])
        _settle(problem, bound, best, some, scores, labels)


def _settle(problem, bound, best, doubts, products, labels):
    """Evaluate rows in doubt in float64; few of them share the columns among blocks."""
    runtime = active()
    count, m, d = len(doubts), len(problem.columns), problem.X.shape[1]
    parts = max(1, min(-(-_BLOCKS_WANTED // count), m // _LEAST_PART))
    part = -(-m // parts)
    parts = -(-m // part)
    values = runtime.empty((count, parts), np.float64)
    indices = runtime.empty((count, parts), np.int32)
    rows = (problem.X, np.int32(d), problem.shift, problem.x_scale)
    columns = (problem.Y, problem.columns, np.int64(m), problem.bias)
    exact = (np.int32(KINDS[problem.metric]), problem.exact_scale, problem.defined_norms)
    norms = (problem.x_norms, problem.y_norms, problem.tops)
    listed = (best, doubts, products, np.int64(part), values, indices)
    args = (*rows, *columns, *exact, *norms, *bound, *listed)
    runtime.launch(_ROWS[problem.dtype], (count, parts), *args)
    args = (doubts, np.int64(count), values, indices, np.int32(parts), labels)
    runtime.launch(_SETTLE, row_blocks(count, _THREADS), *args)


def _label_distances(problem, labels):
    """Distances to the rows that the labels name, rounded to the dtype of X."""
    runtime = active()
    n, d = problem.X.shape
    distances = runtime.empty((n,), problem.dtype)
    kinds = (np.int32(KINDS[problem.metric]), np.int32(problem.metric), np.int32(problem.exponent))
    exact = (problem.exact_scale, problem.defined_norms)
    args = (problem.X, np.int64(n), np.int32(d), problem.Y, *kinds, *exact, labels, distances)
    runtime.launch(_DISTANCES[problem.dtype], row_blocks(n), *args)
    return distances


def pairwise_argmin(
    X, Y, *, metric="sqeuclidean", return_distance=False, n_threads=None, backend=None
):
    """Find the nearest row of Y; the contract is :func:`clusterlib.kernels.pairwise_argmin`."""
    checked_device_options(n_threads, backend)
    metric = device_metric(metric)
    given = X
    X, Y = as_device_pair(X, Y)
    if len(Y) == 0:
        raise ValueError(f"Y must have at least 1 row, got shape {Y.shape}")
    problem = prepare_problem(X, Y, metric)
    labels = nearest_labels(problem)
    like = active().like
    if not return_distance:
        return like(labels, given)
    return like(labels, given), like(_label_distances(problem, labels), given)

"""The k nearest rows of Y on a CUDA device: cuBLAS scores, then float64 for those in question."""

import numpy as np

from clusterlib.kernels._cupy.checks import as_device_pair, checked_device_options, device_metric
from clusterlib.kernels._cupy.instances import instances_by_dtype
from clusterlib.kernels._cupy.pairwise_bound import screen_bound
from clusterlib.kernels._cupy.pairwise_setup import (
    KINDS,
    prepare_problem,
    rows_at_once,
    shifted_rows,
)
from clusterlib.kernels._cupy.runtime import active
from clusterlib.kernels.checks import checked_integer

__all__ = ["INSTANCES", "MOST_SELECTED", "pairwise_topk"]

MOST_SELECTED = 512
"""Up to this k candidates are selected and sorted by one block; beyond, all values are sorted."""

_SOURCE = "pairwise_topk.cuh"
_THREADS = 256
_BLOCKS_WANTED = 2048
_LEAST_PART = 256  # columns that a block evaluates, at least


_SELECT = instances_by_dtype(_SOURCE, "select_nearest", _THREADS)
_VALUES = instances_by_dtype(_SOURCE, "exact_values", _THREADS)
_STORE = instances_by_dtype(_SOURCE, "store_nearest", _THREADS)
INSTANCES = tuple(i for table in (_SELECT, _VALUES, _STORE) for i in table.values())


def _exact(problem):
    return np.int32(KINDS[problem.metric]), problem.exact_scale, problem.defined_norms


def _select(problem, k, distances, nearest):
    """Answer the rows that have few candidates; return (list of the others, how many)."""
    runtime = active()
    (n, d), m = problem.X.shape, len(problem.columns)
    chunk = rows_at_once(n, m, problem.dtype.itemsize)
    scores = runtime.empty((chunk, m), problem.dtype)
    moved = None if problem.shift is None else runtime.empty((chunk, d), problem.dtype)
    crowded, count = runtime.empty((n,), np.int64), runtime.zeros((1,), np.uint64)
    kind, scale, lengths = _exact(problem)
    kinds = (kind, np.int32(problem.metric), np.int32(problem.exponent))
    rows = (problem.X, np.int32(d), problem.Y, np.int64(m), problem.bias)
    bound = (problem.x_norms, problem.tops, *screen_bound(problem))
    outputs = (np.int32(k), distances, nearest, crowded, count)
    for first in range(0, n, chunk):
        size = min(chunk, n - first)
        runtime.matmul(shifted_rows(problem, first, size, moved), problem.columns, scores[:size])
        args = (scores, np.int64(first), *rows, *kinds, scale, lengths, *bound, *outputs)
        runtime.launch(_SELECT[problem.dtype], size, *args)
    return crowded, int(runtime.to_host(count)[0])


def _sort_all(problem, rows, first, count, k, distances, nearest):
    """Answer rows[first], ..., or rows first, ..., by sorting all of their values."""
    runtime = active()
    d, m = problem.X.shape[1], len(problem.Y)
    parts = max(1, min(-(-_BLOCKS_WANTED // count), m // _LEAST_PART))
    part = -(-m // parts)
    values = runtime.empty((count, m), np.float64)
    some = None if rows is None else rows[first : first + count]
    which = (problem.X, some, np.int64(first), np.int32(d))
    columns = (problem.Y, np.int64(m), *_exact(problem), np.int64(part), values)
    runtime.launch(_VALUES[problem.dtype], (count, -(-m // part)), *which, *columns)
    order = runtime.stable_argsort(values)
    kinds = (np.int32(problem.metric), np.int32(problem.exponent), problem.exact_scale)
    args = (*which, values, order, np.int64(m), *kinds, np.int32(k), distances, nearest)
    runtime.launch(_STORE[problem.dtype], count, *args)


def pairwise_topk(X, Y, k, *, metric="sqeuclidean", n_threads=None, backend=None):
    """Find the k nearest rows of Y; the contract is :func:`clusterlib.kernels.pairwise_topk`."""
    checked_device_options(n_threads, backend)
    metric = device_metric(metric)
    given = X
    X, Y = as_device_pair(X, Y)
    if len(Y) == 0:
        raise ValueError(f"Y must have at least 1 row, got shape {Y.shape}")
    k = checked_integer("k", k, 1, len(Y))
    runtime = active()
    n, m = len(X), len(Y)
    problem = prepare_problem(X, Y, metric)
    distances, nearest = runtime.empty((n, k), X.dtype), runtime.empty((n, k), np.int32)
    rows, count = None, n
    if k <= MOST_SELECTED:
        rows, count = _select(problem, k, distances, nearest)
    chunk = rows_at_once(count, m, 2 * np.dtype(np.float64).itemsize)  # values and their order
    for first in range(0, count, chunk):
        size = min(chunk, count - first)
        _sort_all(problem, rows, first, size, k, distances, nearest)
    return runtime.like(distances, given), runtime.like(nearest, given)

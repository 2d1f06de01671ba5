"""CUDA versions of the kernels in ``kernels/centers.py``."""

import numpy as np

from clusterlib.kernels._cupy.checks import (
    as_device_matrix,
    as_device_weights,
    checked_device_options,
    checked_device_state,
)
from clusterlib.kernels._cupy.instances import Instance, instances_by_dtype
from clusterlib.kernels._cupy.pairwise_argmin import pairwise_argmin
from clusterlib.kernels._cupy.runtime import active
from clusterlib.kernels._cupy.sorted_rows import as_device_labels, check_labels, sort_rows
from clusterlib.kernels.checks import check_finite, checked_integer
from clusterlib.kernels.leaves import BOUND_GROUPS, LEAF_ROWS

__all__ = ["INSTANCES", "bounded_argmin", "cluster_sums", "sums_in_order"]

_THREADS = 256
_SUM = instances_by_dtype("centers.cuh", "sum_rows", _THREADS)
_MERGE = Instance("centers.cuh", "cl::merge_parts", _THREADS)
INSTANCES = (*_SUM.values(), _MERGE)

_MOST_SPAN_LEAVES = 4096  # kSpanLevels of centers.cuh
_MOST_SPANS = 4096  # and kMergeLevels
_PART_BYTES = 64 << 20
# Partial sums are written and read once, so this much of X costs an eighth of the time more.
_PART_SHARE = 16


def cluster_sums(X, labels, n_clusters, *, sample_weight=None, n_threads=None, backend=None):
    """Sum the rows of each cluster in the order of the contract, to the bits of the host."""
    runtime = active()
    checked_device_options(n_threads, backend)
    original, X = X, as_device_matrix("X", X)
    n_clusters = checked_integer("n_clusters", n_clusters, 1, 2**31 - 1)
    labels = as_device_labels(labels, len(X), n_clusters, "n_clusters")
    sample_weight = as_device_weights(sample_weight, len(X))
    order = sort_rows(labels, n_clusters)
    sums, weights = sums_in_order(X, order, sample_weight)
    check_labels(order, "n_clusters")
    check_finite("X (or the sum of its rows)", sums)
    return runtime.like(sums, original), runtime.like(weights, original)


def sums_in_order(X, order, sample_weight):
    """Sums and weights of sorted rows."""
    sums = _tree_sums(X, order, sample_weight)
    if sample_weight is None:
        # Sums of ones are exact in any order.
        return sums, (order.starts[1:] - order.starts[:-1]).astype(np.float64)
    return sums, _tree_sums(sample_weight.reshape(-1, 1), order, None).reshape(-1)


def _span_leaves(X, k, unit_rows):
    """Leaves of a span: few spans, where partial sums would take as long as X itself."""
    n, d = X.shape
    leaves = max(1, -(-n // LEAF_ROWS))
    part = k * d * 8
    most = max(2, min(_PART_BYTES, n * d * X.dtype.itemsize // _PART_SHARE) // part)
    span = max(1, unit_rows // LEAF_ROWS)
    most = min(most, _MOST_SPANS)
    while span < _MOST_SPAN_LEAVES and -(-leaves // span) > most:
        span *= 2
    return span


def _tree_sums(X, order, sample_weight):
    runtime = active()
    n, d = X.shape
    k = len(order.starts) - 1
    units = len(order.places)
    span = _span_leaves(X, k, order.unit_rows)
    spans = max(1, -(-n // (span * LEAF_ROWS)))
    lanes = min(32, 1 << (d - 1).bit_length())
    groups = spans * k * -(-d // lanes)
    sums = runtime.empty((k, d), np.float64)
    parts = sums if spans == 1 else runtime.empty((spans, k, d), np.float64)
    runtime.launch(
        _SUM[X.dtype],
        -(-groups * lanes // _THREADS),
        X,
        np.int32(d),
        sample_weight,
        order.rows,
        order.starts,
        order.places,
        np.int64(units),
        np.int32(span * LEAF_ROWS // order.unit_rows),
        np.int32(span),
        np.int64(spans),
        np.int64(k),
        np.int32(lanes),
        parts,
    )
    if spans > 1:
        size = np.int64(k * d)
        runtime.launch(_MERGE, -(-k * d // _THREADS), parts, np.int64(spans), size, sums)
    return sums


def bounded_argmin(
    X, centers, moves, labels, upper, lower, *, sample=False, n_threads=None, backend=None
):
    """Labels of the nearest centres, in place; bounds that promise nothing are left behind."""
    n, k = len(X), len(centers)
    checked_device_state("moves", moves, (k,), np.float32)
    state = checked_device_state("labels", labels, (n,), np.int32)
    upper = checked_device_state("upper", upper, (n,), np.float32)
    lower = checked_device_state("lower", lower, (n, BOUND_GROUPS), np.float32)
    found = pairwise_argmin(X, centers, n_threads=n_threads, backend=backend)
    state[...] = active().asarray(found)
    upper[...] = np.inf
    lower[...] = 0
    return 0, 0

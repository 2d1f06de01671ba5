"""Counts of the rows of Y within a distance, on a CUDA device: all of them in float64."""

import numpy as np

from clusterlib.kernels._cupy.checks import (
    as_device_pair,
    as_device_vector,
    checked_device_options,
    device_metric,
)
from clusterlib.kernels._cupy.instances import instances_by_dtype
from clusterlib.kernels._cupy.pairwise_setup import KINDS, prepare_problem, row_blocks
from clusterlib.kernels._cupy.runtime import active

__all__ = ["INSTANCES", "pairwise_threshold"]

_COUNT = instances_by_dtype("pairwise_threshold.cuh", "count_within", 256)
INSTANCES = tuple(_COUNT.values())

_BLOCKS_WANTED = 2048
_LEAST_PART = 256  # columns of a block


def pairwise_threshold(X, Y, threshold, *, metric="sqeuclidean", n_threads=None, backend=None):
    """Count; the contract is :func:`clusterlib.kernels.pairwise_threshold`."""
    checked_device_options(n_threads, backend)
    metric = device_metric(metric)
    runtime, given = active(), X
    X, Y = as_device_pair(X, Y)
    limits = as_device_vector(
        "threshold", threshold, len(X), allow_minus_inf=True, allow_plus_inf=True
    )
    problem = prepare_problem(X, Y, metric)
    (n, d), m = X.shape, len(Y)
    counts = runtime.zeros((n,), np.uint64)
    if n and m:
        part = max(_LEAST_PART, row_blocks(m, row_blocks(_BLOCKS_WANTED, n)))
        rows = (X, np.int32(d), Y, np.int64(m))
        kinds = (np.int32(KINDS[metric]), np.int32(metric), np.int32(problem.exponent))
        exact = (problem.exact_scale, problem.defined_norms)
        grid = n, row_blocks(m, part)
        runtime.launch(_COUNT[X.dtype], grid, *rows, *kinds, *exact, limits, np.int64(part), counts)
    return runtime.like(counts.astype(np.int64), given)

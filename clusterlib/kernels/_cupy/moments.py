"""CUDA version of the kernel in ``kernels/moments.py``."""

from typing import NamedTuple

import numpy as np

from clusterlib.kernels._cupy.centers import sums_in_order
from clusterlib.kernels._cupy.checks import (
    as_device_matrix,
    as_device_vector,
    checked_device_options,
)
from clusterlib.kernels._cupy.instances import Instance
from clusterlib.kernels._cupy.runtime import active
from clusterlib.kernels._cupy.sorted_rows import as_device_labels, check_labels, sort_rows
from clusterlib.kernels.checks import check_finite, checked_integer
from clusterlib.kernels.merged_moments import ClassMoments

__all__ = ["INSTANCES", "class_moments"]

_THREADS = 256
_SOURCE = "moments.cuh"
# (dtype, columns of a tile) -> kernel.
_CHUNKS = {
    (np.dtype(dtype), 16 * m): Instance(_SOURCE, f"cl::scatter_chunks<{name}, {m}>", _THREADS)
    for dtype, name in ((np.float32, "float"), (np.float64, "double"))
    for m in (1, 2, 4)
}
_RESIDUALS = Instance(_SOURCE, "cl::merge_residuals", _THREADS)
_SCATTERS = Instance(_SOURCE, "cl::merge_scatters", _THREADS)
INSTANCES = (*_CHUNKS.values(), _RESIDUALS, _SCATTERS)

_LEAST_CHUNK = 1024
_MOST_CHUNKS = 4096
_PART_BYTES = 64 << 20
_MOST_PAIRS = 65535  # of tiles: blocks along y
_WIDEST = 64


class _Chunks(NamedTuple):
    """Runs of sorted rows of one class each, on the device."""

    bounds: object  # (chunks, 2), int32
    labels: object  # (chunks,), int32
    first: object  # (k + 1,), int32: the first chunk of each class


def class_moments(X, labels, n_classes, *, sample_weight=None, n_threads=None, backend=None):
    """Moments of classes; beside the result, parts of it of as much again and up to 64 MB."""
    runtime = active()
    checked_device_options(n_threads, backend)
    original, X = X, as_device_matrix("X", X)
    n_classes = checked_integer("n_classes", n_classes, 1, 2**31 - 1)
    labels = as_device_labels(labels, len(X), n_classes, "n_classes")
    if sample_weight is not None:
        sample_weight = as_device_vector("sample_weight", sample_weight, len(X), low=0)
    tile = _tile_columns(X.shape[1])
    order = sort_rows(labels, n_classes)
    check_labels(order, "n_classes")
    means, weights = sums_in_order(X, order, sample_weight)
    check_finite("X (or the sum of its rows)", means)
    check_finite("sample_weight (or its sum)", weights)
    means /= (weights + (weights == 0))[:, None]
    scatters = _scatters(X, order, sample_weight, weights, means, tile)
    if not bool(np.isfinite(scatters).all()):
        raise ValueError("X has rows so far from the mean of their class that scatters overflow")
    return ClassMoments(*(runtime.like(array, original) for array in (weights, means, scatters)))


def _tile_columns(d):
    tile = 16 if d <= 16 else 32 if d <= 32 else _WIDEST
    lines = -(-d // tile)
    if lines * (lines + 1) // 2 > _MOST_PAIRS:
        raise ValueError(f"X must have at most 23104 features on a CUDA device, got {d}")
    return tile


def _chunks_of(order, n, d):
    """Cut the rows of each class; the length depends on the shape of X alone."""
    runtime = active()
    rows = _LEAST_CHUNK
    while rows < n and (n > rows * _MOST_CHUNKS or -(-n // rows) * d * d * 8 > _PART_BYTES):
        rows *= 2
    starts = runtime.to_host(order.starts).astype(np.int64)
    counts = -(-np.diff(starts) // rows)
    first = np.concatenate([[0], np.cumsum(counts)])
    labels = np.repeat(np.arange(len(counts)), counts)
    begins = starts[labels] + rows * (np.arange(len(labels)) - first[labels])
    bounds = np.stack([begins, np.minimum(begins + rows, starts[labels + 1])], axis=1)
    return _Chunks(*(runtime.to_device(a.astype(np.int32)) for a in (bounds, labels, first)))


def _scatters(X, order, sample_weight, weights, means, tile):
    """Scatters about the means, which are corrected in place."""
    runtime = active()
    (n, d), k = X.shape, len(weights)
    chunks = _chunks_of(order, n, d)
    roots = None if sample_weight is None else np.sqrt(sample_weight)
    lines = -(-d // tile)
    parts = runtime.empty((len(chunks.labels), d + 1, d), np.float64)
    runtime.launch(
        _CHUNKS[X.dtype, tile],
        (len(chunks.labels), lines * (lines + 1) // 2),
        X,
        np.int32(d),
        roots,
        order.rows,
        chunks.bounds,
        chunks.labels,
        means,
        parts,
    )
    residuals, scatters = runtime.empty((k, d), np.float64), runtime.empty((k, d, d), np.float64)
    size = np.int64(k), np.int32(d)
    runtime.launch(_RESIDUALS, -(-k * d // _THREADS), parts, chunks.first, *size, residuals)
    runtime.launch(
        _SCATTERS,
        -(-k * d * d // _THREADS),
        parts,
        chunks.first,
        *size,
        residuals,
        weights,
        scatters,
    )
    means += residuals / (weights + (weights == 0))[:, None]
    return scatters

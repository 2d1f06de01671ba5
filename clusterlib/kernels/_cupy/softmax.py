"""CUDA version of the kernel in ``kernels/softmax.py``."""

import numpy as np

from clusterlib.kernels._cupy.checks import (
    as_device_matrix,
    as_device_vector,
    checked_device_options,
    checked_device_output,
)
from clusterlib.kernels._cupy.instances import Instance, instances_by_dtype
from clusterlib.kernels._cupy.runtime import active
from clusterlib.kernels.softmax import RowSoftmax
from clusterlib.kernels.softmax_checks import check_rows

__all__ = ["INSTANCES", "row_softmax"]

_THREADS = 256
# (dtype, columns in the registers of a thread) -> kernel.
_REGISTERS = {
    (np.dtype(dtype), held): Instance(
        "softmax.cuh", f"cl::softmax_in_registers<{name}, {held}>", _THREADS
    )
    for dtype, name in ((np.float32, "float"), (np.float64, "double"))
    for held in (1, 4, 8)
}
_WARPS = instances_by_dtype("softmax.cuh", "softmax_of_warps", _THREADS)
_BLOCKS = instances_by_dtype("softmax.cuh", "softmax_of_blocks", _THREADS)
INSTANCES = (*_REGISTERS.values(), *_WARPS.values(), *_BLOCKS.values())

_MOST_COLUMNS_OF_A_WARP = 1024


def row_softmax(
    scores, *, log_weight=None, return_labels=False, out=None, n_threads=None, backend=None
):
    """Posteriors, normalisers and labels of rows; memory is read once and written once."""
    runtime = active()
    checked_device_options(n_threads, backend)
    original, scores = scores, as_device_matrix("scores", scores)
    n, k = scores.shape
    if log_weight is not None:
        log_weight = as_device_vector("log_weight", log_weight, k, allow_minus_inf=True)
        with np.errstate(over="ignore"):  # what leaves the range spoils its rows
            log_weight = log_weight.astype(scores.dtype)
    posteriors = checked_device_output(out, scores.shape, scores.dtype)
    if out is not None and out is not original and np.may_share_memory(posteriors, scores):
        raise ValueError("out must be scores itself or not overlap it in memory")
    lse = runtime.empty((n,), scores.dtype)
    labels = runtime.empty((n,), np.int32) if return_labels else None
    instance, grid, size = _kernel_of(scores)
    runtime.launch(instance, grid, scores, log_weight, *size, posteriors, lse, labels)
    check_rows(lse)
    if out is None:
        out = runtime.like(posteriors, original)
    if labels is not None:
        labels = runtime.like(labels, original)
    return RowSoftmax(out, runtime.like(lse, original), labels)


def _kernel_of(scores):
    """Kernel, blocks, and what it wants to know of the shape."""
    n, k = scores.shape
    if k > _MOST_COLUMNS_OF_A_WARP:
        return _BLOCKS[scores.dtype], n, (np.int32(k),)
    lanes = min(32, 1 << (k - 1).bit_length())
    size, blocks = (np.int64(n), np.int32(k)), -(-n * lanes // _THREADS)
    for held in (1, 4, 8):
        if k <= held * lanes:
            return _REGISTERS[scores.dtype, held], blocks, (*size, np.int32(lanes))
    return _WARPS[scores.dtype], blocks, size

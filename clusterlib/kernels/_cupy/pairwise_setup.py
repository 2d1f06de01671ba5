"""What every comparison of all pairs on a CUDA device starts with: ranges, shift, prepared rows.

Scores are ``<x', y'> + bias`` with x' and y' the rows as they are here, large for near rows.
docs/kernels/cuda_pairwise.md derives how far they may be from the defined evaluation.
"""

import math
from typing import Any, NamedTuple

import numpy as np

from clusterlib.kernels._cupy.instances import instances_by_dtype
from clusterlib.kernels._cupy.runtime import active
from clusterlib.kernels.metrics import Metric

__all__ = [
    "INSTANCES",
    "KINDS",
    "DeviceProblem",
    "is_euclidean",
    "prepare_problem",
    "row_blocks",
    "rows_at_once",
    "shifted_rows",
    "typed",
]

_SOURCE = "rows.cuh"
_THREADS = 256
_ROWS_AT_ONCE = 32  # rows of a block, eight threads for each
_MOST_BLOCKS = 2048  # blocks that walk over the rows: as many atomic maxima
_FEATURES_AT_ONCE = 8  # medians of a block, one warp for each
_CACHED_BYTES = 30 << 20  # scores that stay in the cache of the device between two kernels
_LEAST_ROWS = 1024  # with fewer rows at once the device is not busy
_MOST_BYTES = 512 << 20
KINDS = {
    Metric.SQEUCLIDEAN: 1,
    Metric.EUCLIDEAN: 1,
    Metric.COSINE: 2,
    Metric.INNER_PRODUCT: 0,
}
# Binary exponents of values whose squares and products keep clear of both ends of the range.
_COMFORTABLE = {np.dtype(np.float32): 40, np.dtype(np.float64): 400}


_STATISTICS = instances_by_dtype(_SOURCE, "row_statistics", _THREADS)
_MEDIANS = instances_by_dtype(_SOURCE, "coordinate_medians", _THREADS)
_COLUMNS = instances_by_dtype(_SOURCE, "prepare_columns", _THREADS)
_ROWS = instances_by_dtype(_SOURCE, "shift_rows", _THREADS)
INSTANCES = tuple(
    instance for table in (_STATISTICS, _MEDIANS, _COLUMNS, _ROWS) for instance in table.values()
)


class DeviceProblem(NamedTuple):
    """X against Y under one metric, ready for kernels.

    With T the dtype of X and Y, ``x' = (x - shift) * x_scale``, and ``y'`` the same with
    ``y_scale``, or ``y / |y|`` for the cosine (a row of zeros stays one).

    Attributes
    ----------
    metric : Metric
    X : device array of shape (n, d), T
        As given; kernels shift and scale it while they load it.
    Y : device array of shape (m, d), T
        As given.
    columns : device array of shape (m, d), T
        The rows y'.
    bias : device array of shape (m,), T, or None
        ``-|y'|^2 / 2`` from float64 for the Euclidean metrics.
    shift : device array of shape (d,), T, or None
        A coordinate-wise median of rows of Y for the Euclidean metrics: inside their box.
    x_scale, y_scale : scalars of T
        Powers of two, 1 unless values are near the ends of the range. Equal for the Euclidean
        metrics; y_scale is 1 for the cosine.
    x_norms, y_norms : device arrays of shape (n,) and (m,), float64
        ``|x'|`` and ``|y'|``.
    defined_norms : device array of shape (m,), float64, or None
        For the cosine, the norms of the defined evaluation, of ``Y * 2^-exponent``.
    tops : device array of shape (2,), float64
        The largest of y_norms, and 1 over the smallest positive of defined_norms (or 0).
    exponent : int
        Rows are multiplied by ``2^-exponent`` in the defined evaluation.
    """

    metric: Metric
    X: Any
    Y: Any
    columns: Any
    bias: Any
    shift: Any
    x_scale: Any
    y_scale: Any
    x_norms: Any
    y_norms: Any
    defined_norms: Any
    tops: Any
    exponent: int

    @property
    def dtype(self):
        """The dtype T of X and Y."""
        return self.X.dtype

    @property
    def exact_scale(self):
        """The power of two of the defined evaluation."""
        return np.float64(math.ldexp(1.0, -self.exponent))


def is_euclidean(metric):
    """Tell whether distances under the metric do not change when all rows move."""
    return metric in (Metric.SQEUCLIDEAN, Metric.EUCLIDEAN)


def typed(dtype, value):
    """Return a scalar of exactly the dtype, as launches want it."""
    return np.dtype(dtype).type(value)


def row_blocks(n, rows=_ROWS_AT_ONCE):
    """Blocks of a grid in which every block has ``rows`` rows."""
    return -(-n // rows)


def _walking_blocks(n):
    return min(row_blocks(n), _MOST_BLOCKS)


def _exponent(magnitude):
    """Binary exponent that the defined evaluation divides out (see kernels/pairwise.py)."""
    if magnitude == 0 or 2.0**-450 <= magnitude <= 2.0**500:
        return 0
    return max(-1022, min(1022, math.frexp(magnitude)[1]))


def _scale(magnitude, dtype):
    """Power of two that brings values to about 1, if they are far from it."""
    comfortable = _COMFORTABLE[dtype]
    if magnitude == 0 or math.isinf(magnitude):
        return 1.0
    exponent = math.frexp(magnitude)[1]
    if abs(exponent) <= comfortable:
        return 1.0
    limit = np.finfo(dtype).maxexp - 2
    return math.ldexp(1.0, max(-limit, min(limit, -exponent)))


def _medians(Y):
    """A vector inside the box of the rows of Y that a few far ones cannot move."""
    runtime = active()
    m, d = Y.shape
    shift = runtime.zeros((d,), Y.dtype)
    blocks = row_blocks(d, _FEATURES_AT_ONCE)
    runtime.launch(_MEDIANS[Y.dtype], blocks, Y, np.int64(m), np.int32(d), shift)
    return shift


def _statistics(A, shift, scale, norms, tops):
    """Write the norms of the shifted rows and the two ranges of the matrix."""
    n, d = A.shape
    args = (A, np.int64(n), np.int32(d), shift, typed(A.dtype, scale), norms, tops)
    active().launch(_STATISTICS[A.dtype], _walking_blocks(n), *args)


def _ranges(X, Y, shift, scales, x_norms, y_norms):
    """Norms on the device; (largest |x|, of shifted x; the same of Y) on the host."""
    runtime = active()
    tops = runtime.zeros((2, 2), np.float64)
    _statistics(X, shift, scales[0], x_norms, tops[0])
    _statistics(Y, shift, scales[1], y_norms, tops[1])
    return runtime.to_host(tops).tolist()


def _chosen_scales(metric, x_top, y_top, dtype, both):
    """Powers of two for X and for Y from the largest shifted values."""
    if is_euclidean(metric):
        # One far row of X leaves the screen of the others alone unless the caller needs |x|^2.
        scale = _scale(max(x_top, y_top) if both or y_top == 0 else y_top, dtype)
        return scale, scale
    return _scale(x_top, dtype), 1.0 if metric is Metric.COSINE else _scale(y_top, dtype)


def prepare_problem(X, Y, metric, *, both=False):
    """Check that all values are finite and prepare a :class:`DeviceProblem`.

    Parameters
    ----------
    X, Y : device arrays of shape (n, d) and (m, d)
        Checked matrices of one dtype, C-ordered; n and m may be 0.
    metric : Metric
    both : bool, default=False
        Let the Euclidean scale keep ``|x'|^2`` in range as well as ``|y'|^2``.

    Returns
    -------
    problem : DeviceProblem

    Raises
    ------
    ValueError
        For NaN or infinity in X or Y.
    """
    runtime = active()
    dtype = X.dtype
    m, d = Y.shape
    shift = _medians(Y) if is_euclidean(metric) and m else None
    x_norms, y_norms = runtime.empty((len(X),), np.float64), runtime.empty((m,), np.float64)
    (x_raw, x_top), (y_raw, y_top) = _ranges(X, Y, shift, (1.0, 1.0), x_norms, y_norms)
    for name, raw in (("X", x_raw), ("Y", y_raw)):
        if not math.isfinite(raw):
            raise ValueError(f"{name} contains NaN or infinity; every value must be finite")
    # Rows at both ends of the range.
    dropped = math.isinf(y_top) or (both and math.isinf(x_top))
    if dropped:
        shift, x_top, y_top = None, x_raw, y_raw
    scales = _chosen_scales(metric, x_top, y_top, dtype, both)
    if scales != (1.0, 1.0) or dropped:
        _ranges(X, Y, shift, scales, x_norms, y_norms)
    x_scale, y_scale = (typed(dtype, scale) for scale in scales)
    exponent = _exponent(max(x_raw, y_raw))
    columns = runtime.empty((m, d), dtype)
    bias = runtime.empty((m,), dtype) if is_euclidean(metric) else None
    defined_norms = runtime.empty((m,), np.float64) if metric is Metric.COSINE else None
    tops = runtime.zeros((2,), np.float64)
    problem = DeviceProblem(
        metric, X, Y, columns, bias, shift, x_scale, y_scale, x_norms, y_norms, defined_norms,
        tops, exponent,
    )  # fmt: skip
    args = (Y, np.int64(m), np.int32(d), shift, y_scale, np.int32(KINDS[metric]))
    outputs = (columns, bias, y_norms, defined_norms, tops)
    runtime.launch(_COLUMNS[dtype], _walking_blocks(m), *args, problem.exact_scale, *outputs)
    return problem


def rows_at_once(n, m, itemsize):
    """How many rows of an n x m matrix of scores to write before they are read."""
    of_bytes = [max(1, size // (m * itemsize)) for size in (_CACHED_BYTES, _MOST_BYTES)]
    return max(1, min(n, max(of_bytes[0], min(of_bytes[1], _LEAST_ROWS))))


def shifted_rows(problem, first, count, out=None, listed=None):
    """Rows x' as a matrix, for products: ``count`` from ``first`` on, of X or of a list of rows.

    The rows of X themselves where x' is x.
    """
    if listed is None and problem.shift is None and problem.x_scale == 1:
        return problem.X[first : first + count]
    d = problem.X.shape[1]
    out = active().empty((count, d), problem.dtype) if out is None else out[:count]
    args = (problem.X, listed, np.int64(first), np.int64(count), np.int32(d))
    moved = (*args, problem.shift, problem.x_scale, out)
    active().launch(_ROWS[problem.dtype], row_blocks(count), *moved)
    return out

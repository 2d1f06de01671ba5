"""Metric side of this backend: values to compare for a few rows of X against all of Y.

Every tile is packed into C-ordered float64 before compiled code sees it. One compiled signature
thus serves both dtypes and every memory layout, and nothing larger than a tile is copied.
"""

import math

import numba
import numpy as np

from clusterlib.kernels._numba.compiling import compiled
from clusterlib.kernels._numba.threads import parallel_map
from clusterlib.kernels.metrics import Metric

__all__ = ["Tiles"]

_TILE_VALUES = 1 << 18  # 2 MB of float64: stays in a second-level cache
_COLUMNS = 256  # columns whose eight partial sums (16 kB) stay in the first-level cache


@compiled
def _fill(x, y_columns, squared, out):
    """out[i, j] = sum of (x_ip - y_pj)^2 or of x_ip y_pj, in the eight lanes of the contract.

    The vector unit runs along j, where no order is defined, so the loops vectorise untouched.
    """
    n_features, n_columns = y_columns.shape
    s = np.empty((8, _COLUMNS))
    for first in range(0, n_columns, _COLUMNS):
        width = min(_COLUMNS, n_columns - first)
        for i in range(x.shape[0]):
            s[:, :width] = 0.0
            for p in range(n_features):
                value, lane, column = x[i, p], s[p % 8], y_columns[p, first : first + width]
                if squared:
                    for j in range(width):
                        difference = value - column[j]
                        lane[j] += difference * difference
                else:
                    for j in range(width):
                        lane[j] += value * column[j]
            for j in range(width):
                even = (s[0, j] + s[4, j]) + (s[2, j] + s[6, j])
                odd = (s[1, j] + s[5, j]) + (s[3, j] + s[7, j])
                out[i, first + j] = even + odd


@compiled
def _norms(x):
    """Euclidean norm of every row, by the same eight lanes."""
    norms = np.empty(x.shape[0])
    s = np.empty(8)
    for i in range(x.shape[0]):
        s[:] = 0.0
        for p in range(x.shape[1]):
            s[p % 8] += x[i, p] * x[i, p]
        norms[i] = math.sqrt(((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7])))
    return norms


@compiled
def _negate_and_divide(values, norms):
    """values[i, j] = -values[i, j] / norms[j], and 0 for a norm of 0."""
    for i in range(values.shape[0]):
        for j in range(values.shape[1]):
            values[i, j] = -values[i, j] / norms[j] if norms[j] > 0.0 else 0.0


# Not cached on disk: the key of the cache does not see changes of the user's function.
@numba.njit(nogil=True)
def _fill_by_function(x, y, function, out):
    for i in range(x.shape[0]):
        for j in range(y.shape[0]):
            out[i, j] = function(x[i], y[j])


def _row_slices(n_rows, rows_per_slice):
    return [
        slice(start, min(start + rows_per_slice, n_rows))
        for start in range(0, n_rows, rows_per_slice)
    ]


def _largest_magnitude(name, A):
    """The largest absolute value of A; refuses NaN and infinity."""
    largest = 0.0
    for rows in _row_slices(len(A), max(1, _TILE_VALUES // A.shape[1])):
        magnitude = max(abs(float(A[rows].min())), abs(float(A[rows].max())))
        if not math.isfinite(magnitude):
            raise ValueError(f"{name} contains NaN or infinity; every value must be finite")
        largest = max(largest, magnitude)
    return largest


def _scaling_exponent(largest):
    """e of the range rule of the contract: values are multiplied by 2^-e."""
    if largest == 0.0 or math.ldexp(1.0, -450) <= largest <= math.ldexp(1.0, 500):
        return 0
    return min(1022, max(-1022, math.frexp(largest)[1]))


class Tiles:
    """X against Y under one metric, tile by tile.

    ``metric`` is a member of Metric (or its number) or a compiled function of two rows.
    """

    def __init__(self, X, Y, metric):
        self.X, self.n_columns = X, len(Y)
        largest = max(_largest_magnitude("X", X), _largest_magnitude("Y", Y))
        rows = min(_TILE_VALUES // max(1, len(Y)), _TILE_VALUES // X.shape[1])
        self.slices = _row_slices(len(X), max(1, rows))
        self.function = None if isinstance(metric, int) else metric
        if self.function is not None:
            self.metric, self.y = None, np.array(Y, order="C")
            return
        self.metric = Metric(metric)
        self.squared = self.metric in (Metric.SQEUCLIDEAN, Metric.EUCLIDEAN)
        self.exponent = _scaling_exponent(largest)
        y = self._pack(Y)
        self.y_norms = _norms(y) if self.metric is Metric.COSINE else None
        self.y_columns = np.ascontiguousarray(y.T)

    def _pack(self, rows):
        packed = np.array(rows, dtype=np.float64, order="C")
        return np.ldexp(packed, -self.exponent, out=packed) if self.exponent else packed

    def compute(self, rows):
        """Return values to compare (rows, m) and what :meth:`distances` wants to know of X."""
        values = np.empty((rows.stop - rows.start, self.n_columns))
        if self.function is not None:
            _fill_by_function(np.array(self.X[rows], order="C"), self.y, self.function, values)
            if np.isnan(values).any():
                raise ValueError("metric returned NaN; it must return a number for every pair")
            return values, None
        x = self._pack(self.X[rows])
        _fill(x, self.y_columns, self.squared, values)
        if self.metric is Metric.COSINE:
            _negate_and_divide(values, self.y_norms)
            return values, _norms(x)
        if not self.squared:
            np.negative(values, out=values)
        return values, None

    def distances(self, values, x_norms):
        """Turn compared values into distances, in place where possible."""
        if self.function is not None:
            return values
        if self.metric is Metric.COSINE:
            x_norms = x_norms.reshape(-1, *[1] * (values.ndim - 1))
            similarity = np.divide(values, x_norms, out=np.zeros_like(values), where=x_norms > 0)
            return np.clip(1.0 + similarity, 0.0, 2.0, out=values)
        if self.metric is Metric.EUCLIDEAN:
            np.sqrt(values, out=values)
        if self.exponent:
            back = self.exponent if self.metric is Metric.EUCLIDEAN else 2 * self.exponent
            with np.errstate(over="ignore"):  # beyond float64 a distance is infinite
                np.ldexp(values, back, out=values)
        return values

    def for_each(self, work, n_threads):
        """Call ``work(rows, values, x_norms)`` for every tile; tiles own disjoint rows."""
        parallel_map(lambda rows: work(rows, *self.compute(rows)), self.slices, n_threads)

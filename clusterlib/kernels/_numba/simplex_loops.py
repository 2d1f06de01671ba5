"""Compiled loops of the kernels on the simplex: tiles of 16 rows, one row in each lane.

Element (i, c) of a tile lies at [c, i], so that loops over the rows of a tile vectorise and no sum
is taken across a register before a leaf has ended.
"""

import numpy as np

from clusterlib.kernels._numba.compiling import compiled
from clusterlib.kernels.leaves import TILE_ROWS

__all__ = ["STEP_SUMS", "leaf_sums", "project_rows", "steepest"]

STEP_SUMS = 6
"""Sums of a column besides X'D: of D, D^2, D W and linear D, then of W + D and of its squares."""


@compiled
def _shift_by_largest(y, shift):
    """Move the largest entry of every row to 0; theta of the plain metric is then -1 at least."""
    shift[:] = y[0]
    for c in range(1, y.shape[0]):
        for i in range(TILE_ROWS):
            shift[i] = max(shift[i], y[c, i])
    for c in range(y.shape[0]):
        for i in range(TILE_ROWS):
            y[c, i] -= shift[i]


@compiled
def _shift_by_bound(y, metric, shift):
    """Shift rows by metric times a lower bound of their theta, which is then 0 at least.

    No entry becomes larger than 1, so (y_c - 1) / metric_c is such a bound for every c. What
    rounding may have added to the largest is taken off.
    """
    one, rounding = y.dtype.type(1), y.dtype.type(4 * np.finfo(y.dtype).eps)
    shift[:] = -np.inf
    for c in range(y.shape[0]):
        for i in range(TILE_ROWS):
            shift[i] = max(shift[i], (y[c, i] - one) / metric[c])
    for i in range(TILE_ROWS):
        shift[i] -= rounding * abs(shift[i])
    for c in range(y.shape[0]):
        for i in range(TILE_ROWS):
            y[c, i] -= metric[c] * shift[i]


@compiled
def _project_tile(y, metric, least, work):
    """Move rows to the nearest on the simplex by ``sum_c (w_c - y_c)^2 / metric_c``, in place.

    That is max(y - metric theta, 0). Michelot's iteration comes to theta from below, here from
    ``least``: the sum of the entries above metric theta, less 1, over the sum of their metrics.
    """
    r, one, zero = y.shape[0], y.dtype.type(1), y.dtype.type(0)
    theta, above, count = work
    above[:] = 0
    total = zero
    for c in range(r):
        total += metric[c]
        for i in range(TILE_ROWS):
            above[i] += y[c, i]
    for i in range(TILE_ROWS):
        theta[i] = max((above[i] - one) / total, y.dtype.type(least))
    for _ in range(r):
        above[:] = 0
        count[:] = 0
        for c in range(r):
            for i in range(TILE_ROWS):
                inside = y[c, i] > metric[c] * theta[i]
                above[i] += y[c, i] if inside else zero
                count[i] += metric[c] if inside else zero
        moved = False
        for i in range(TILE_ROWS):
            candidate = (above[i] - one) / count[i]
            if candidate > theta[i]:
                theta[i], moved = candidate, True
        if not moved:
            break
    for c in range(r):
        for i in range(TILE_ROWS):
            y[c, i] = max(y[c, i] - metric[c] * theta[i], zero)


@compiled
def project_rows(rows):
    """Project rows in place, in the Euclidean metric."""
    n, r = rows.shape
    y, work = np.empty((r, TILE_ROWS), rows.dtype), np.empty((3, TILE_ROWS), rows.dtype)
    metric = np.ones(r, rows.dtype)
    for begin in range(0, n, TILE_ROWS):
        count = min(TILE_ROWS, n - begin)
        for i in range(TILE_ROWS):
            for c in range(r):
                y[c, i] = rows[begin + min(i, count - 1), c]
        _shift_by_largest(y, work[0])
        _project_tile(y, metric, -1.0, work)
        for i in range(count):
            for c in range(r):
                rows[begin + i, c] = y[c, i]


@compiled
def _gradient_of_tile(x, w, linear, group, C, offset, slope, scale, g):
    """g = offset + slope W - X C - scale linear, for one tile; C has shape (p, r)."""
    p, r = C.shape
    g[:] = 0
    for c in range(r):
        for j in range(p):
            factor = C[j, c]
            for i in range(TILE_ROWS):
                g[c, i] += x[j, i] * factor
        for i in range(TILE_ROWS):
            g[c, i] = slope[c] * w[c, i] + offset[c] - g[c, i]
        if linear.shape[0]:
            for i in range(TILE_ROWS):
                g[c, i] -= scale * linear[group[c], i]


@compiled
def _step_of_tile(w, rows, length, metric, y, work, after):
    """Turn a gradient ``y`` into the change D of its rows; ``after`` receives W + D."""
    r = w.shape[0]
    for c in range(r):
        scaled = length * metric[c]
        for i in range(TILE_ROWS):
            y[c, i] = w[c, i] - scaled * y[c, i]
    _shift_by_bound(y, metric, work[0])
    _project_tile(y, metric, 0.0, work)
    for c in range(r):
        for i in range(rows, TILE_ROWS):  # lanes beyond the last row hold zeros
            y[c, i] = 0
        for i in range(TILE_ROWS):
            after[c, i] = y[c, i]
            y[c, i] -= w[c, i]


@compiled
def _add_tile(x, w, after, linear, group, d, lanes):
    """Add to the sums of columns: X_j D_c for every feature j, then STEP_SUMS that need no X."""
    r, p = d.shape[0], x.shape[0]
    for c in range(r):
        for j in range(p):
            for i in range(TILE_ROWS):
                lanes[c, j, i] += x[j, i] * d[c, i]
        for i in range(TILE_ROWS):
            lanes[c, p, i] += d[c, i]
            lanes[c, p + 1, i] += d[c, i] * d[c, i]
            lanes[c, p + 2, i] += d[c, i] * w[c, i]
            lanes[c, p + 4, i] += after[c, i]
            lanes[c, p + 5, i] += after[c, i] * after[c, i]
        if linear.shape[0]:
            for i in range(TILE_ROWS):
                lanes[c, p + 3, i] += d[c, i] * linear[group[c], i]


@compiled
def leaf_sums(
    n_rows, first, last, X, W, after, linear, group, C, offset, slope, metric, scale, length, sums
):
    """Step the tiles of a leaf and write its sums (r, p + STEP_SUMS); those of W without ``after``.

    Without linear terms ``linear`` has one tile of no columns.
    """
    p, r = C.shape
    y, work = np.empty((r, TILE_ROWS), W.dtype), np.empty((3, TILE_ROWS), W.dtype)
    lanes = np.zeros((r, p + STEP_SUMS, TILE_ROWS), W.dtype)
    for t in range(first, last):
        some = linear[min(t, linear.shape[0] - 1)]
        if after.shape[0]:
            _gradient_of_tile(X[t], W[t], some, group, C, offset, slope, scale, y)
            rows = min(TILE_ROWS, n_rows - t * TILE_ROWS)
            _step_of_tile(W[t], rows, length, metric, y, work, after[t])
            _add_tile(X[t], W[t], after[t], some, group, y, lanes)
        else:
            _add_tile(X[t], W[t], W[t], some, group, W[t], lanes)
    for c in range(r):
        for j in range(p + STEP_SUMS):
            total = 0.0
            for i in range(TILE_ROWS):
                total += lanes[c, j, i]
            sums[c, j] = total


@compiled
def steepest(n_rows, X, W, linear, group, C, offset, slope, scale):
    """Return the largest distance of an entry of the gradient from the mean of its row."""
    r, most = C.shape[1], 0.0
    g, mean = np.empty((r, TILE_ROWS), W.dtype), np.empty(TILE_ROWS, W.dtype)
    for t in range(W.shape[0]):
        some = linear[min(t, linear.shape[0] - 1)]
        _gradient_of_tile(X[t], W[t], some, group, C, offset, slope, scale, g)
        mean[:] = 0
        for c in range(r):
            mean += g[c]
        mean /= W.dtype.type(r)
        for c in range(r):
            for i in range(min(TILE_ROWS, n_rows - t * TILE_ROWS)):
                most = max(most, float(abs(g[c, i] - mean[i])))
    return most

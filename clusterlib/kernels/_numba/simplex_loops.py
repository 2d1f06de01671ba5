"""Compiled loops of the kernels on the simplex: tiles of 16 rows, one row in each lane.

Element (i, c) of a tile lies at [c, i], so that loops over the rows of a tile vectorise and no sum
is taken across a register before a leaf has ended.
"""

import numpy as np

from clusterlib.kernels._numba.compiling import compiled
from clusterlib.kernels.leaves import TILE_ROWS

__all__ = ["leaf_sums", "project_rows", "steepest"]


@compiled
def _project_tile(y, work):
    """Project the 16 rows of a tile of r columns in place, by Michelot's iteration from below."""
    r, one = y.shape[0], y.dtype.type(1)
    most, theta, above, count = work
    most[:] = y[0]
    for c in range(1, r):
        for i in range(TILE_ROWS):
            most[i] = max(most[i], y[c, i])
    # With the largest entry at 0 no number is too large for the 1, and theta >= -1.
    above[:] = 0
    for c in range(r):
        for i in range(TILE_ROWS):
            y[c, i] -= most[i]
            above[i] += y[c, i]
    for i in range(TILE_ROWS):
        theta[i] = max((above[i] - one) / y.dtype.type(r), -one)
    for _ in range(r):
        above[:] = 0
        count[:] = 0
        for c in range(r):
            for i in range(TILE_ROWS):
                above[i] += y[c, i] if y[c, i] > theta[i] else y.dtype.type(0)
                count[i] += one if y[c, i] > theta[i] else y.dtype.type(0)
        moved = False
        for i in range(TILE_ROWS):
            candidate = (above[i] - one) / count[i]
            if candidate > theta[i]:
                theta[i], moved = candidate, True
        if not moved:
            break
    for c in range(r):
        for i in range(TILE_ROWS):
            y[c, i] = max(y[c, i] - theta[i], y.dtype.type(0))


@compiled
def project_rows(rows):
    """Project rows in place."""
    n, r = rows.shape
    y, work = np.empty((r, TILE_ROWS), rows.dtype), np.empty((4, TILE_ROWS), rows.dtype)
    for begin in range(0, n, TILE_ROWS):
        count = min(TILE_ROWS, n - begin)
        for i in range(TILE_ROWS):
            for c in range(r):
                y[c, i] = rows[begin + min(i, count - 1), c]
        _project_tile(y, work)
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
def _step_of_tile(w, rows, length, y, work, after):
    """Turn a gradient ``y`` into the change D of its rows; ``after`` receives W + D."""
    r = w.shape[0]
    for c in range(r):
        for i in range(TILE_ROWS):
            y[c, i] = w[c, i] - length * y[c, i]
    _project_tile(y, work)
    for c in range(r):
        for i in range(rows, TILE_ROWS):  # lanes beyond the last row hold zeros
            y[c, i] = 0
        for i in range(TILE_ROWS):
            after[c, i] = y[c, i]
            y[c, i] -= w[c, i]


@compiled
def _add_tile(x, w, linear, group, d, lanes):
    """lanes[c] += X_j D_c for every feature j, then D_c, D_c^2, D_c W_c and linear D_c."""
    r, p = d.shape[0], x.shape[0]
    for c in range(r):
        for j in range(p):
            for i in range(TILE_ROWS):
                lanes[c, j, i] += x[j, i] * d[c, i]
        for i in range(TILE_ROWS):
            lanes[c, p, i] += d[c, i]
            lanes[c, p + 1, i] += d[c, i] * d[c, i]
            lanes[c, p + 2, i] += d[c, i] * w[c, i]
        if linear.shape[0]:
            for i in range(TILE_ROWS):
                lanes[c, p + 3, i] += d[c, i] * linear[group[c], i]


@compiled
def leaf_sums(
    n_rows, first, last, X, W, after, linear, group, C, offset, slope, scale, length, sums
):
    """Step the tiles of a leaf and write its sums (r, p + 4); those of W without ``after``.

    Without linear terms ``linear`` has one tile of no columns.
    """
    p, r = C.shape
    y, work = np.empty((r, TILE_ROWS), W.dtype), np.empty((4, TILE_ROWS), W.dtype)
    lanes = np.zeros((r, p + 4, TILE_ROWS), W.dtype)
    for t in range(first, last):
        some = linear[min(t, linear.shape[0] - 1)]
        if after.shape[0]:
            _gradient_of_tile(X[t], W[t], some, group, C, offset, slope, scale, y)
            rows = min(TILE_ROWS, n_rows - t * TILE_ROWS)
            _step_of_tile(W[t], rows, length, y, work, after[t])
            _add_tile(X[t], W[t], some, group, y, lanes)
        else:
            _add_tile(X[t], W[t], some, group, W[t], lanes)
    for c in range(r):
        for j in range(p + 4):
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

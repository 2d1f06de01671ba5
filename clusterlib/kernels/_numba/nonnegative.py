"""Numba backend of the kernels in ``kernels/nonnegative.py``.

Tiles are turned so that loops over rows vectorise: no sum is taken across a register.
"""

import numpy as np

from clusterlib.kernels._numba.compiling import compiled
from clusterlib.kernels._numba.leaf_sums import sum_over_leaves
from clusterlib.kernels.leaves import MASKED_ROWS

__all__ = ["hals_sweep", "masked_hals_sweep"]

_TILE_ROWS = 64


@compiled
def _turned(rows):
    """Rows as columns, C-ordered."""
    n, k = rows.shape
    tile = np.empty((k, n), rows.dtype)
    for i in range(n):
        for t in range(k):
            tile[t, i] = rows[i, t]
    return tile


@compiled
def _is_factor(tile):
    for column in tile:
        for value in column:
            if not (value >= 0 and value < np.inf):
                return False
    return True


@compiled
def _is_finite(tile):
    for column in tile:
        for value in column:
            if not abs(value) < np.inf:
                return False
    return True


@compiled
def _sweep_tile(w, r, share, inverse, moves):
    """Sweeps of a tile (k, rows); share[t, s] = G_st / G_tt, and 0 where t is kept."""
    k, n = w.shape
    z, squares = np.empty(n, w.dtype), np.empty(n, w.dtype)
    zero = w.dtype.type(0)
    for sweep in range(len(moves)):
        squares[:] = 0
        for t in range(k):
            if inverse[t] == 0:
                continue
            for i in range(n):
                z[i] = r[t, i] * inverse[t]
            for s in range(k):
                if s != t:
                    factor = share[t, s]
                    for i in range(n):
                        z[i] -= w[s, i] * factor
            for i in range(n):
                after = z[i] if not z[i] < zero else zero
                change = after - w[t, i]
                squares[i] += change * change
                w[t, i] = after
        for i in range(n):
            moves[sweep] += squares[i]


@compiled
def _sweep_leaf(W, R, share, inverse, moves):
    for begin in range(0, len(W), _TILE_ROWS):
        rows = W[begin : begin + _TILE_ROWS]
        w, r = _turned(rows), _turned(R[begin : begin + _TILE_ROWS])
        if not (_is_factor(w) and _is_finite(r)):
            moves[:] = np.nan
            return
        _sweep_tile(w, r, share, inverse, moves)
        if not np.isfinite(moves).all():
            return
        for i in range(len(rows)):
            for t in range(w.shape[0]):
                rows[i, t] = w[t, i]


def hals_sweep(W, R, G, moves, n_threads):
    """Go through the columns of turned tiles."""
    diagonal = np.diag(G)
    free = diagonal >= np.finfo(W.dtype).tiny
    with np.errstate(over="ignore", invalid="ignore"):
        inverse = np.divide(1.0, diagonal, out=np.zeros(len(G)), where=free)
        share = np.divide(G, diagonal, out=np.zeros_like(G), where=free).T
        share, inverse = np.ascontiguousarray(share, W.dtype), inverse.astype(W.dtype)

    def leaf_sums(rows):
        sums = np.zeros(len(moves))
        _sweep_leaf(W[rows], R[rows], share, inverse, sums)
        return sums

    moves[:] = sum_over_leaves(len(W), leaf_sums, moves.shape, n_threads)


@compiled
def _residuals(x, v, w, H):
    """Turned residuals where there is weight, 0 elsewhere."""
    m, n = x.shape
    e = np.zeros((m, n), x.dtype)
    for j in range(m):
        for i in range(n):
            if v[j, i] > 0:
                e[j, i] = x[j, i]
        for t in range(len(H)):
            for i in range(n):
                e[j, i] -= w[t, i] * H[t, j]
    return e


@compiled
def _sweep_masked_tile(w, v, e, H, l1, l2, sums):
    m, n = e.shape
    slope, d, change = np.empty(n, w.dtype), np.empty(n, w.dtype), np.empty(n, w.dtype)
    zero, tiny = w.dtype.type(0), np.finfo(w.dtype).tiny
    for sweep in range(1, len(sums)):
        for t in range(len(H)):
            slope[:], d[:] = 0, 0
            for j in range(m):
                h = H[t, j]
                for i in range(n):
                    weighted = v[j, i] * h
                    slope[i] += weighted * e[j, i]
                    d[i] += weighted * h
            for i in range(n):
                after = w[t, i]
                if d[i] + l2 >= tiny:
                    after = (slope[i] + d[i] * w[t, i] - l1) / (d[i] + l2)
                    after = after if not after < zero else zero
                elif d[i] != d[i]:
                    after = d[i]
                change[i] = after - w[t, i]
                w[t, i] = after
                sums[sweep] += change[i] * change[i]
            for j in range(m):
                h = H[t, j]
                for i in range(n):
                    e[j, i] -= change[i] * h


@compiled
def _sweep_masked_leaf(W, X, V, H, l1, l2, sums):
    w, x, v = _turned(W), _turned(X), _turned(V)
    sound = _is_factor(w) and _is_factor(v)
    for j in range(x.shape[0]):
        for i in range(x.shape[1]):
            if v[j, i] > 0 and not abs(x[j, i]) < np.inf:
                sound = False
    if not sound:
        sums[:] = np.nan
        return
    e = _residuals(x, v, w, H)
    _sweep_masked_tile(w, v, e, H, l1, l2, sums)
    if not np.isfinite(sums).all():
        return
    for j in range(e.shape[0]):
        for i in range(e.shape[1]):
            residual = np.float64(e[j, i])
            sums[0] += residual * residual * v[j, i]
    for i in range(len(W)):
        for t in range(w.shape[0]):
            W[i, t] = w[t, i]


def masked_hals_sweep(W, X, V, H, l1, l2, moves, loss, n_threads):
    """Keep the residuals of turned tiles."""
    l1, l2 = W.dtype.type(l1), W.dtype.type(l2)

    def leaf_sums(rows):
        sums = np.zeros(1 + len(moves))
        _sweep_masked_leaf(W[rows], X[rows], V[rows], H, l1, l2, sums)
        return sums

    shape = (1 + len(moves),)
    sums = sum_over_leaves(len(W), leaf_sums, shape, n_threads, leaf_rows=MASKED_ROWS)
    loss[0], moves[:] = sums[0], sums[1:]

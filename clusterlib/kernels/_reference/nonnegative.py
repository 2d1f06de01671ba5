"""Reference of the kernels in ``kernels/nonnegative.py``."""

import numpy as np

__all__ = ["hals_sweep", "masked_hals_sweep"]

_BLOCK_ROWS = 256


def hals_sweep(W, R, G, moves, n_threads):
    """Go through the columns in float64."""
    moves[:] = 0.0
    if not (_is_factor(W) and np.isfinite(R).all()):
        moves[:] = np.nan
        return
    rows = W.astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        for sweep in range(len(moves)):
            for t in range(len(G)):
                if G[t, t] >= np.finfo(W.dtype).tiny:
                    step = (R[:, t] - rows @ G[:, t]) / G[t, t]
                    moves[sweep] += _move(rows, t, np.maximum(0, rows[:, t] + step))
    _write(rows, moves, W)


def masked_hals_sweep(W, X, V, H, l1, l2, moves, loss, n_threads):
    """Calculate the residuals anew for every coordinate, in float64."""
    moves[:] = loss[:] = 0.0
    if not (_is_factor(W) and _is_factor(V) and np.isfinite(X[V > 0]).all()):
        moves[:] = loss[:] = np.nan
        return
    H, result = H.astype(np.float64), np.empty(W.shape)
    with np.errstate(over="ignore", invalid="ignore"):
        for begin in range(0, len(W), _BLOCK_ROWS):
            block = slice(begin, begin + _BLOCK_ROWS)
            v = V[block].astype(np.float64, order="C")
            x = np.ascontiguousarray(np.where(v > 0, X[block], 0.0))
            rows = W[block].astype(np.float64)
            for sweep in range(len(moves)):
                for t, h in enumerate(H):
                    d = v @ (h * h)
                    slope = (v * (x - rows @ H)) @ h + d * rows[:, t] - l1
                    free = d + l2 >= np.finfo(W.dtype).tiny
                    best = np.divide(slope, d + l2, out=rows[:, t].copy(), where=free)
                    moves[sweep] += _move(rows, t, np.maximum(0, best))
            loss += (v * (x - rows @ H) ** 2).sum()
            result[block] = rows
    _write(result, moves, W)


def _is_factor(A):
    return np.isfinite(A).all() and A.min(initial=0.0) >= 0


def _move(rows, t, after):
    """Put a column in its place; returns its squared change."""
    change = after - rows[:, t]
    rows[:, t] = after
    return change @ change


def _write(rows, moves, W):
    """Take over the result, unless it has left the range of W."""
    if rows.max(initial=0.0) > np.finfo(W.dtype).max:
        moves[:] = np.inf
    if np.isfinite(moves).all():
        W[:] = rows

"""Compiled loops of the mixture kernels; everything is float64 between input and output."""

import math

import numpy as np

from clusterlib.kernels._numba.compiling import compiled
from clusterlib.kernels.leaves import LEAST_SHARE

__all__ = ["plsa_rows", "posterior_rows", "weights_of_rows"]


@compiled
def _largest(row):
    most = 0.0
    for t in range(row.shape[0]):
        most = max(most, float(row[t]))
    return most


@compiled
def _products(left, right, p):
    """Normalised products of two rows, uniform where all vanish; returns the log of their sum."""
    k, most_left, most_right, s = p.shape[0], _largest(left), _largest(right), 0.0
    if most_left > 0 and most_right > 0:
        for t in range(k):
            p[t] = (float(left[t]) / most_left) * (float(right[t]) / most_right)
            s += p[t]
    if s < LEAST_SHARE:
        p[:] = 1.0 / k
        return -np.inf
    for t in range(k):
        p[t] /= s
    return math.log(s) + math.log(most_left) + math.log(most_right)


@compiled
def _power(p, power, g):
    """Raise entries to a power and normalise them; relative to the largest, so none overflows."""
    most, s = _largest(p), 0.0
    for t in range(p.shape[0]):
        x = p[t] / most
        if power == 1:
            g[t] = x
        elif power == 2:
            g[t] = x * x
        elif power == 3:
            g[t] = x * x * x
        else:
            g[t] = x**power
        s += g[t]
    for t in range(p.shape[0]):
        g[t] /= s


@compiled
def plsa_rows(begin, end, indptr, indices, data, W, H, beta, W_sums, sums):
    """Add rows [begin, end) of the table to their sums; the last row of ``sums`` is v log s."""
    m, k = H.shape
    p, g, row = np.empty(k), np.empty(k), np.empty(k)
    for i in range(begin, end):
        row[:] = 0
        for cell in range(indptr[i], indptr[i + 1]):
            j, v = indices[cell], float(data[cell])
            logarithm = _products(W[i], H[j], p)
            if v > 0:
                sums[m, 0] += v * logarithm
            if beta == 1:
                g[:] = p
            else:
                _power(p, beta, g)
            for t in range(k):
                row[t] += v * g[t]
                sums[j, t] += v * g[t]
        for t in range(k):
            W_sums[i, t] = row[t]


@compiled
def weights_of_rows(begin, end, indptr, indices, data, H, max_iter, tol, W, n_iter, rows, v):
    """Run expectation maximisation for rows [begin, end) in place."""
    k = H.shape[1]
    w, after = np.empty(k), np.empty(k)
    for i in range(begin, end):
        first, count = indptr[i], indptr[i + 1] - indptr[i]
        most_v = max(_largest(data[first : indptr[i + 1]]), np.finfo(np.float64).tiny)
        for c in range(count):
            source = H[indices[first + c]]
            most = _largest(source)
            v[c] = float(data[first + c]) / most_v
            for t in range(k):
                rows[c, t] = float(source[t]) / most if most > 0 else 0.0
        most = _largest(W[i])
        for t in range(k):
            after[t] = float(W[i, t]) / most if most > 0 else 1.0
        _power(after, 1.0, w)
        n_iter[i] = 0
        while n_iter[i] < max_iter:
            moved = _iterate(rows, v, count, w, after)
            n_iter[i] += 1
            if moved <= tol:
                break
        for t in range(k):
            W[i, t] = w[t]


@compiled
def _iterate(rows, v, count, w, after):
    """Replace w by the next iterate; returns the largest move of an entry."""
    k, total, moved = w.shape[0], 0.0, 0.0
    after[:] = 0
    for c in range(count):
        s = 0.0
        for t in range(k):
            s += rows[c, t] * w[t]
        if s >= LEAST_SHARE:
            q = v[c] / s
            for t in range(k):
                after[t] += q * rows[c, t]
    for t in range(k):
        after[t] *= w[t]
        total += after[t]
    if total > 0:
        for t in range(k):
            after[t] /= total
            moved = max(moved, abs(after[t] - w[t]))
            w[t] = after[t]
    return moved


@compiled
def _prior(H, i, neighbors, floor, h):
    """Row i of H or the mean over its neighbours, plus the floor; False for what is not allowed."""
    k, q = H.shape[1], neighbors.shape[1]
    h[:] = 0
    for t in range(k):
        if not 0 <= H[i, t] < np.inf:
            return False
    for c in range(q):
        for t in range(k):
            h[t] += H[neighbors[i, c], t]
    most = 0.0
    for t in range(k):
        h[t] = (h[t] / q if q else float(H[i, t])) + floor
        most = max(most, h[t])
    if most == 0:
        h[:] = 1
    return True


@compiled
def posterior_rows(begin, end, H, D, domains, neighbors, floor, tau, beta, weight, G, P, sums):
    """Add rows [begin, end) to ``sums``: counts, totals, and in the last row the likelihood."""
    r, k = D.shape
    h, prior, p, g = np.empty(k), np.empty(k), np.empty(k), np.empty(k)
    for i in range(begin, end):
        if not _prior(H, i, neighbors, floor, h):
            sums[2 * r, 0] = np.nan
            return
        d, w = domains[i], 1.0
        if weight.shape[0]:
            w = weight[i]
        _power(h, tau, prior)
        logarithm = _products(prior, D[d], p)
        if w > 0:
            sums[2 * r, 0] += w * logarithm
        if beta == 1:
            g[:] = p
        else:
            _power(p, beta, g)
        for t in range(k):
            sums[d, t] += w * g[t]
            sums[r + d, t] += w * p[t]
        if G.shape[0]:
            for t in range(k):
                G[i, t] = g[t]
        if P.shape[0]:
            for t in range(k):
                P[i, t] = p[t]

"""Reference of the kernels in ``kernels/mixtures.py``."""

import numpy as np

from clusterlib.kernels.leaves import LEAST_SHARE

__all__ = ["mixture_weights", "plsa_step", "tempered_posterior"]


def _scaled(rows):
    """Rows in float64 over their largest entry, and the logarithm of that entry."""
    rows = rows.astype(np.float64)
    largest = rows.max(axis=1, keepdims=True)
    with np.errstate(divide="ignore"):
        return rows / np.where(largest > 0, largest, 1.0), np.log(largest[:, 0])


def _powered(rows, power):
    """``rows ** power``, each row normalised; relative to the largest entry, so none overflows."""
    rows = rows / rows.max(axis=1, keepdims=True)
    rows = rows**power
    return rows / rows.sum(axis=1, keepdims=True)


def _products(left, right):
    """Normalised products of rows, uniform where all vanish, and the logarithms of their sums."""
    (left, log_left), (right, log_right) = _scaled(left), _scaled(right)
    products = left * right
    sums = products.sum(axis=1)
    empty = sums < LEAST_SHARE
    products[empty], sums[empty] = 1.0, products.shape[1]
    logarithms = np.where(empty, -np.inf, np.log(sums) + log_left + log_right)
    return products / sums[:, None], logarithms


def _weighted_total(weight, logarithms):
    """Sum of weight times logarithm; what has no weight counts for nothing, not even -inf."""
    some = weight > 0
    return float((weight[some] * logarithms[some]).sum())


def plsa_step(indptr, indices, data, W, H, beta, leaves, W_sums, H_sums, n_threads):
    """One row of the table after the other."""
    totals, log_likelihood = np.zeros(H.shape), 0.0
    for i in range(len(W)):
        cells = slice(indptr[i], indptr[i + 1])
        columns, v = indices[cells], data[cells].astype(np.float64)
        shares, logarithms = _products(np.repeat(W[i : i + 1], len(v), axis=0), H[columns])
        weighted = v[:, None] * (shares if beta == 1 else _powered(shares, beta))
        W_sums[i] = weighted.sum(axis=0)
        np.add.at(totals, columns, weighted)
        log_likelihood += _weighted_total(v, logarithms)
    H_sums[:] = totals
    return log_likelihood


def mixture_weights(indptr, indices, data, H, max_iter, tol, W, n_iter, n_threads):
    """EM for one row after the other."""
    for i in range(len(W)):
        cells = slice(indptr[i], indptr[i + 1])
        v, rows = data[cells].astype(np.float64), _scaled(H[indices[cells]])[0]
        v = v / max(v.max(initial=0.0), np.finfo(np.float64).tiny)
        w, n_iter[i] = _normalised(W[i].astype(np.float64)), 0
        while n_iter[i] < max_iter:
            s = rows @ w
            seen = s >= LEAST_SHARE
            after = w * ((v[seen] / s[seen]) @ rows[seen])
            after = after / after.sum() if after.sum() > 0 else w
            moved = np.abs(after - w).max()
            w, n_iter[i] = after, n_iter[i] + 1
            if moved <= tol:
                break
        W[i] = w


def _normalised(w):
    """One row over its sum, uniform if it has no entry."""
    if not w.any():
        return np.full(len(w), 1 / len(w))
    w = w / w.max()
    return w / w.sum()


def tempered_posterior(
    H,
    D,
    domains,
    neighbors,
    floor,
    tau,
    beta,
    weight,
    leaf_rows,
    responsibilities,
    posterior,
    counts,
    totals,
    n_threads,
):
    """A few thousand rows at a time."""
    counts[:], totals[:] = 0, 0
    log_likelihood = 0.0
    if not (np.isfinite(H).all() and (H >= 0).all()):
        return np.nan
    for begin in range(0, len(H), 4096):
        rows = slice(begin, min(begin + 4096, len(H)))
        if neighbors is None:
            h = H[rows].astype(np.float64)
        else:
            h = H[neighbors[rows]].mean(axis=1, dtype=np.float64)
        h += floor
        h[h.max(axis=1) == 0] = 1
        P, logarithms = _products(_powered(h, tau), D[domains[rows]])
        G = P if beta == 1 else _powered(P, beta)
        w = np.ones(len(P)) if weight is None else weight[rows]
        np.add.at(counts, domains[rows], w[:, None] * G)
        np.add.at(totals, domains[rows], w[:, None] * P)
        log_likelihood += _weighted_total(w, logarithms)
        if responsibilities is not None:
            responsibilities[rows] = G
        if posterior is not None:
            posterior[rows] = P
    return log_likelihood

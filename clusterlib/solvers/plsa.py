"""Kullback-Leibler factors by the fused EM of probabilistic latent semantic analysis."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from clusterlib.kernels import mixture_weights, plsa_step
from clusterlib.solvers.nmf_descent import NMFResult, Pace, has_settled

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from clusterlib.typing import Array, CsrArray, Float64Array, FloatArray

__all__ = ["count_weights", "divergence", "plsa"]

_LARGEST_RATIO = 1e3  # that an extrapolation may repeat
_CHUNK = 1 << 16
_FOLDING_STEPS = 500
_FOLDING_TOL = 1e-6


def plsa(
    X: CsrArray,
    H: FloatArray,
    *,
    sample_weight: Float64Array | None = None,
    max_iter: int = 500,
    tol: float = 1e-4,
    callback: Callable[..., Any] | None = None,
) -> NMFResult:
    """Minimise the Kullback-Leibler divergence of X from W H over non-negative factors.

    Every EM step keeps the row sums of X, and divides what a cell counts among the components;
    that is probabilistic latent semantic analysis, and needs no normalisation to stay in the
    simplex. Steps are extrapolated in the logarithms, and made plain again when the likelihood
    falls.

    Parameters
    ----------
    X : CSR array of shape (n, m), float32 or float64
        Counts, or other non-negative numbers, in canonical form.
    H : ndarray of shape (k, m), dtype of X
        Components to start at. What is zero there remains zero, unless a column is zero in all.
    sample_weight : None or ndarray of shape (n,), float64, default=None
        Weights of rows.
    max_iter : int, default=500
        Most iterations.
    tol : float, default=1e-4
        It ends when ten iterations lower the divergence by no more than this part of it.
    callback : callable, default=None
        ``callback(n_iter, objective, components)`` after each iteration, with a function that
        returns the components; True asks to stop.

    Returns
    -------
    result : NMFResult
        Components sum to 1 each, weights of a row to the sum of the row; the objective is
        ``sum_ij x_ij log(x_ij / y_ij) - x_ij + y_ij``.

    Notes
    -----
    O(nnz k) time for an iteration, O((n + m) k) memory.

    References
    ----------
    .. [1] T. Hofmann, "Probabilistic latent semantic indexing", SIGIR 1999.

    Examples
    --------
    >>> import numpy as np
    >>> from scipy.sparse import csr_array
    >>> from clusterlib.solvers import plsa
    >>> X = csr_array(np.array([[2.0, 2.0, 0.0], [0.0, 0.0, 3.0]]))
    >>> result = plsa(X, np.array([[0.4, 0.4, 0.2], [0.2, 0.2, 0.6]]))
    >>> result.H.round(3), round(result.objective, 6)
    (array([[0.5, 0.5, 0. ],
           [0. , 0. , 1. ]]), 0.0)
    """
    weighted = _weighted(X, sample_weight)
    total = float(weighted.data.sum(dtype=np.float64))
    entropy = _entropy(weighted)
    noise = 16 * np.finfo(X.dtype).eps * max(total, abs(entropy))
    data = (weighted.indptr.astype(np.int64), weighted.indices.astype(np.int32), weighted.data)
    sums = np.asarray(weighted.sum(axis=1)).ravel()
    Ht = np.array(H.T, order="C")
    Ht[~Ht.any(axis=1)] = Ht.mean() or 1.0
    Ht = _unit_columns(Ht)
    W = _rows_of_sum(np.ones((len(sums), len(H)), dtype=X.dtype), sums)
    W = _rows_of_sum(plsa_step(*data, W, Ht)[0], sums)
    pace, history, converged, n_iter = Pace(), [], total == 0, 0
    ahead = kept = (W, Ht)
    for n_iter in range(1, max_iter + 1):
        W_sums, H_sums, likelihood = plsa_step(*data, *ahead)
        objective = max(entropy - likelihood, 0.0)
        if history and objective > history[-1] + noise:
            ahead = kept
            pace.fail()
            history.append(history[-1])
            continue
        moved = _rows_of_sum(W_sums, sums), _unit_columns(H_sums)
        W, Ht = (_beyond(new, old, pace.momentum) for new, old in zip(moved, kept, strict=True))
        ahead, kept = (_rows_of_sum(W, sums), _unit_columns(Ht)), moved
        pace.succeed()
        history.append(objective)
        converged = has_settled(history, noise, tol)
        if converged:
            break
        if callback is not None and callback(n_iter, objective, lambda Ht=moved[1]: Ht.T):
            break
    Ht = kept[1]
    W = count_weights(X, Ht, start=kept[0])
    objective = divergence(X, W, Ht, sample_weight)
    return NMFResult(W, Ht.T, objective, n_iter, bool(converged), np.array(history))


def _beyond(moved, before, momentum):
    """Go on in the direction of the logarithms; zeros stay zeros."""
    ratio = np.divide(moved, before, out=np.ones_like(moved), where=before > 0)
    np.clip(ratio, 1 / _LARGEST_RATIO, _LARGEST_RATIO, out=ratio)
    return moved * ratio ** moved.dtype.type(momentum)


def _weighted(X, sample_weight):
    if sample_weight is None:
        return X
    weighted = X.copy()
    weighted.data *= np.repeat(sample_weight, np.diff(X.indptr)).astype(X.dtype)
    return weighted


def _entropy(X):
    """``sum x log x``, the likelihood of a perfect fit."""
    positive = X.data[X.data > 0].astype(np.float64)
    return float(positive @ np.log(positive))


def _rows_of_sum(W, sums):
    own = W.sum(axis=1, dtype=np.float64)
    factor = np.divide(sums, own, out=np.zeros(len(W)), where=own > 0)
    return W * factor[:, None].astype(W.dtype)


def _unit_columns(Ht):
    own = Ht.sum(axis=0, dtype=np.float64)
    factor = np.divide(1.0, own, out=np.zeros(len(own)), where=own > 0)
    return Ht * factor.astype(Ht.dtype)


def count_weights(X: CsrArray, Ht: FloatArray, *, start: FloatArray | None = None) -> FloatArray:
    """Find the weights of rows for components that sum to 1, in the sense of Kullback and Leibler.

    Parameters
    ----------
    X : CSR array of shape (n, m), float32 or float64
        Non-negative numbers.
    Ht : ndarray of shape (m, k), dtype of X
        Components in columns, each of sum 1 (or 0).
    start : None or ndarray of shape (n, k), dtype of X, default=None
        Weights to begin with; None is equal ones.

    Returns
    -------
    W : ndarray of shape (n, k), dtype of X
        Each row has the sum of the row of X.

    Notes
    -----
    O(nnz k) time for a step of EM, of which a row takes 500 at most.

    Examples
    --------
    >>> import numpy as np
    >>> from scipy.sparse import csr_array
    >>> from clusterlib.solvers import count_weights
    >>> count_weights(csr_array(np.array([[2.0, 6.0]])), np.eye(2))
    array([[2., 6.]])
    """
    sums = np.asarray(X.sum(axis=1), dtype=np.float64).ravel()
    if start is not None:
        start = _rows_of_sum(start, np.ones(len(sums), dtype=X.dtype))
        start[~start.any(axis=1)] = 1 / Ht.shape[1]
    table = X.indptr.astype(np.int64), X.indices.astype(np.int32), X.data
    W, _ = mixture_weights(*table, Ht, W=start, max_iter=_FOLDING_STEPS, tol=_FOLDING_TOL)
    return W * sums[:, None].astype(W.dtype)


def divergence(
    X: CsrArray, W: Array, Ht: Array, sample_weight: Float64Array | None = None
) -> float:
    """Compute the Kullback-Leibler divergence of X from W H.

    Parameters
    ----------
    X : CSR array of shape (n, m), float32 or float64
        Non-negative numbers.
    W : ndarray of shape (n, k)
        Weights.
    Ht : ndarray of shape (m, k)
        Components in columns.
    sample_weight : None or ndarray of shape (n,), float64, default=None
        Weights of rows.

    Returns
    -------
    divergence : float
        ``sum_ij x_ij log(x_ij / y_ij) - x_ij + y_ij``, with a weight for each row; infinity if y
        vanishes where x does not.

    Notes
    -----
    O(nnz k) time in float64, O(n) memory.

    Examples
    --------
    >>> import numpy as np
    >>> from scipy.sparse import csr_array
    >>> from clusterlib.solvers import divergence
    >>> divergence(csr_array(np.eye(2)), np.eye(2), np.eye(2))
    0.0
    """
    n = X.shape[0]
    rows = np.repeat(np.arange(n), np.diff(X.indptr))
    per_row = W.astype(np.float64) @ Ht.sum(axis=0, dtype=np.float64)
    for first in range(0, len(rows), _CHUNK):
        cells = slice(first, first + _CHUNK)
        x = X.data[cells].astype(np.float64)
        left = W[rows[cells]].astype(np.float64)
        y = np.einsum("ij,ij->i", left, Ht[X.indices[cells]])
        present = x > 0  # stored zeros count nothing, even where y vanishes
        with np.errstate(divide="ignore"):
            parts = x * np.log(np.where(present, x, 1) / np.where(present, y, 1))
        per_row += np.bincount(rows[cells], parts - x, minlength=n)
    if sample_weight is not None:
        present = sample_weight > 0
        per_row = per_row[present] * sample_weight[present]
    return max(0.0, float(per_row.sum()))

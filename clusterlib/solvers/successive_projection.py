"""Successive projection: the rows that are vertices of the hull of all rows, one after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse
import scipy.sparse.linalg

if TYPE_CHECKING:
    from clusterlib.typing import BoolArray, CsrArray, Float64Array, FloatArray, Int64Array

__all__ = ["leading_coordinates", "right_singular_vectors", "successive_projection"]

# Rows whose residuals are compared exactly at a time, in values.
_CHUNK_VALUES = 1 << 20
# Errors of a downdated squared norm, and of a residual, in units of rounding of the row itself.
_DOWNDATE_ERROR = 64
_RESIDUAL_ERROR = 16
# Residuals this close are equal, and the first row is taken.
_TIE = 1e-10
# Columns up to which the Gram matrix of the columns is cheaper than Lanczos' iteration.
_GRAM_COLUMNS = 1024


def successive_projection(
    X: FloatArray | CsrArray,
    n_vertices: int,
    *,
    allowed: BoolArray | None = None,
    rank: int | None = None,
) -> Int64Array:
    """Find rows of which all others are mixtures.

    Repeats: take the row of largest norm, and project all rows on the orthogonal complement of it.
    If every row is a combination of ``n_vertices`` linearly independent rows with non-negative
    weights whose sum is at most 1, these are found, and noise of size epsilon moves the answer by
    no more than a multiple of epsilon times the squared condition number of the vertices [1]_.

    Parameters
    ----------
    X : ndarray or CSR array of shape (n, m), float32 or float64
        Finite rows in any layout and of any scale; a sparse one is not made dense.
    n_vertices : int
        How many rows are wanted, 1 at least.
    allowed : None or ndarray of shape (n,), bool, default=None
        Rows that may be taken; None means all.
    rank : None or int, default=None
        Project the rows first on that many leading right singular vectors, which averages noise
        away where there are many columns.

    Returns
    -------
    indices : ndarray of shape (k,), int64
        Different rows in the order of being taken; k is less than ``n_vertices`` where what the
        projections leave of the allowed rows is zero up to rounding in the dtype of X.

    Notes
    -----
    O(nnz k) time and O(n + k m) memory, and O(m^2) with a rank. Norms are downdated, and rows
    whose norms cannot be told apart by that are compared exactly. Of equal rows, and of rows whose
    residuals differ by less than 1e-10 of their norm, the first is taken.

    References
    ----------
    .. [1] N. Gillis and S. A. Vavasis, "Fast and robust recursive algorithms for separable
       nonnegative matrix factorization", IEEE Trans. Pattern Anal. Mach. Intell. 36(4), 2014.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import successive_projection
    >>> X = np.array([[0.5, 0.5, 0.0], [1.0, 0.0, 0.0], [0.3, 0.3, 0.4], [0.0, 0.0, 2.0], [0, 1, 0]])
    >>> successive_projection(X, 3)
    array([3, 1, 4])
    >>> successive_projection(X, 3, allowed=np.array([True, True, True, True, False]))
    array([3, 1, 0])
    """
    epsilon = np.finfo(X.dtype).eps
    X = _scaled(X if rank is None else leading_coordinates(X, rank))
    n, m = X.shape
    start = _squared_norms(X)
    norms = start.copy()
    noise = _DOWNDATE_ERROR * np.finfo(np.float64).eps * start
    free = np.ones(n, dtype=bool) if allowed is None else np.asarray(allowed, dtype=bool).copy()
    basis = np.empty((min(n_vertices, m), m))
    least = _RESIDUAL_ERROR * epsilon * np.sqrt(start[free].max(initial=0.0))
    indices = []
    while len(indices) < len(basis) and free.any():
        row, residual = _longest(X, norms, noise, free, basis[: len(indices)])
        length = np.sqrt(residual @ residual)
        if not length > least:
            break
        direction = residual / length
        basis[len(indices)] = direction
        indices.append(row)
        free[row] = False
        norms -= np.square(X @ direction)
    return np.array(indices, dtype=np.int64)


def _longest(X, norms, noise, free, basis):
    """The free row whose residual is longest, and that residual."""
    low = (norms - noise)[free].max()
    candidates = np.flatnonzero(free & (norms + noise >= (1.0 - _TIE) ** 2 * low))
    step = max(1, _CHUNK_VALUES // X.shape[1])
    lengths = np.empty(len(candidates))
    for first in range(0, len(candidates), step):
        rows = _residuals(X, candidates[first : first + step], basis)
        lengths[first : first + step] = np.einsum("ij,ij->i", rows, rows)
    row = candidates[np.argmax(lengths >= (1.0 - _TIE) ** 2 * lengths.max())]
    return row, _residuals(X, [row], basis)[0]


def _residuals(X, rows, basis):
    """What is left of some rows after two projections, the second of which removes rounding."""
    rows = X[rows]
    rows = rows.toarray() if scipy.sparse.issparse(rows) else rows
    rows = rows.astype(np.float64)
    for _ in range(2 if len(basis) else 0):
        rows -= (rows @ basis.T) @ basis
    return rows


def _scaled(X):
    """The rows times a power of two that keeps squares in range; X itself if they are already."""
    values = X.data if scipy.sparse.issparse(X) else X
    largest = max(float(values.max(initial=0)), -float(values.min(initial=0)))
    if largest == 0 or (X.dtype == np.float64 and 1e-60 < largest < 1e60):
        return X
    return X.astype(np.float64) * 2.0 ** -np.frexp(largest)[1]


def _squared_norms(X):
    if scipy.sparse.issparse(X):
        return np.asarray(X.multiply(X).sum(axis=1), dtype=np.float64).ravel()
    return np.einsum("ij,ij->i", X, X, dtype=np.float64)


def leading_coordinates(X: FloatArray | CsrArray, rank: int) -> Float64Array:
    """Compute the coordinates of rows in the space of their leading right singular vectors.

    Parameters
    ----------
    X : ndarray or CSR array of shape (n, m), float32 or float64
        Finite rows; a sparse one is not made dense.
    rank : int
        Dimension of the space; all of it from min(n, m) on.

    Returns
    -------
    coordinates : ndarray of shape (n, min(rank, n, m)), float64
        ``X V`` with V as of :func:`right_singular_vectors`, up to a power of two.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import leading_coordinates
    >>> leading_coordinates(np.array([[3.0, 0.0], [0.0, 4.0]]), 1).round(12)
    array([[0.],
           [4.]])
    """
    X = _scaled(X)
    return np.asarray(X @ right_singular_vectors(X, rank))


def right_singular_vectors(X: FloatArray | CsrArray, rank: int) -> Float64Array:
    """Compute leading right singular vectors.

    Parameters
    ----------
    X : ndarray or CSR array of shape (n, m), float32 or float64
        Finite rows; a sparse one is not made dense.
    rank : int
        How many; all of them from min(n, m) on.

    Returns
    -------
    vectors : ndarray of shape (m, min(rank, n, m)), float64
        Orthonormal columns in the order of falling singular values.

    Notes
    -----
    By the Gram matrix of the columns up to 1024 of them, in O(nnz m) time and O(m^2) memory; by
    Lanczos' iteration from a fixed vector beyond; by all singular vectors of the n rows if as many
    are wanted as there are rows, in O(n m) memory, which is that of the answer. Signs are such that the cubes of the coordinates
    of the rows have a positive sum, so that the result depends on X alone.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import right_singular_vectors
    >>> right_singular_vectors(np.array([[3.0, 0.0], [0.0, 4.0]]), 1).round(12)
    array([[0.],
           [1.]])
    """
    X = _scaled(X)
    n, m = X.shape
    rank = min(rank, n, m)
    if m <= _GRAM_COLUMNS or rank == m:
        gram = X.T @ X
        gram = gram.toarray() if scipy.sparse.issparse(gram) else gram
        vectors = np.linalg.eigh(gram.astype(np.float64))[1][:, : -rank - 1 : -1]
    elif rank == n:
        rows = X.toarray() if scipy.sparse.issparse(X) else X
        vectors = np.linalg.svd(rows.astype(np.float64), full_matrices=False)[2].T
    elif not (X.data if scipy.sparse.issparse(X) else X).any():
        vectors = np.eye(m, rank)  # Lanczos' iteration cannot begin
    else:
        _, values, rows = scipy.sparse.linalg.svds(
            X.astype(np.float64), k=rank, v0=np.ones(min(n, m)), solver="arpack"
        )
        vectors = rows[np.argsort(-values)].T
    coordinates = np.asarray(X @ vectors)
    return vectors * np.where(np.sum(coordinates**3, axis=0) < 0, -1.0, 1.0)

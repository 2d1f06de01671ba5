"""Components to start at: rows that are vertices, singular vectors, or random numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse

from clusterlib.solvers.successive_projection import right_singular_vectors, successive_projection

if TYPE_CHECKING:
    from clusterlib.typing import Array, CsrArray, Float64Array, FloatArray, Int64Array

__all__ = [
    "filled_by_margins",
    "random_components",
    "singular_components",
    "vertex_components",
]

# Part of the mean row in a start, where what is zero would be zero for ever.
_BLEND = 0.05


def _mean_row(X, sample_weight):
    """Weighted mean of the rows, in float64."""
    if sample_weight is None:
        return np.asarray(X.mean(axis=0, dtype=np.float64)).ravel()
    return np.asarray(X.T @ (sample_weight / sample_weight.sum())).ravel()


def random_components(
    X: FloatArray | CsrArray,
    n_components: int,
    rng: np.random.Generator,
    *,
    n_starts: int = 1,
    sample_weight: Float64Array | None = None,
) -> FloatArray:
    """Draw components whose entries are uniform between nothing and twice the mean row.

    Parameters
    ----------
    X : ndarray or CSR array of shape (n, m), float32 or float64
        Non-negative rows.
    n_components : int
        Components of a start.
    rng : numpy.random.Generator
        Gives ``n_starts n_components m`` uniform numbers.
    n_starts : int, default=1
        How many starts.
    sample_weight : None or ndarray of shape (n,), float64, default=None
        Weights of rows.

    Returns
    -------
    H : ndarray of shape (n_starts, n_components, m), dtype of X
        The starts. They depend on X through its mean alone, so that neither the order of the rows
        nor repetitions in place of weights matter.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import random_components
    >>> random_components(np.ones((5, 3)), 2, np.random.default_rng(0)).shape
    (1, 2, 3)
    """
    mean = _mean_row(X, sample_weight)
    draws = 2 * rng.random((n_starts, n_components, len(mean)))
    return (draws * mean).astype(X.dtype)


def vertex_components(
    X: FloatArray | CsrArray,
    n_components: int,
    rng: np.random.Generator,
    *,
    scale_rows: bool,
    blend: bool = False,
    sample_weight: Float64Array | None = None,
    rank: int | None = None,
) -> tuple[FloatArray, Int64Array]:
    """Take rows of which the others are mixtures as components.

    Parameters
    ----------
    X : ndarray or CSR array of shape (n, m), float32 or float64
        Non-negative rows.
    n_components : int
        How many are wanted.
    rng : numpy.random.Generator
        Draws those that are lacking where fewer rows are independent.
    scale_rows : bool
        Whether rows are compared by their directions: they are divided by their sum plus the mean
        of all sums, which leaves rows with little in them small.
    blend : bool, default=False
        Whether to add a little of the mean row, so that nothing is zero.
    sample_weight : None or ndarray of shape (n,), float64, default=None
        Weights of rows; those of weight 0 are not taken.
    rank : None or int, default=None
        Dimension to which rows are projected first, see :func:`successive_projection`.

    Returns
    -------
    H : ndarray of shape (n_components, m), dtype of X
        Rows.
    indices : ndarray of shape (n_found,), int64
        Which rows, in the order of being found.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import vertex_components
    >>> X = np.array([[2.0, 0.0], [1.0, 1.0], [0.0, 3.0]])
    >>> vertex_components(X, 2, np.random.default_rng(0), scale_rows=True)[1]
    array([2, 0])
    """
    allowed = None if sample_weight is None else sample_weight > 0
    points = _scaled_rows(X, sample_weight) if scale_rows else X
    indices = successive_projection(points, n_components, allowed=allowed, rank=rank)
    H = random_components(X, n_components, rng, sample_weight=sample_weight)[0]
    rows = X[indices]
    H[: len(indices)] = rows.toarray() if scipy.sparse.issparse(rows) else rows
    return (_blended(H, _mean_row(X, sample_weight)) if blend else H), indices


def _scaled_rows(X, sample_weight):
    sums = np.asarray(X.sum(axis=1, dtype=np.float64)).ravel()
    mean = np.average(sums, weights=sample_weight)
    factor = 1 / (sums + mean) if mean > 0 else np.ones(len(sums))
    factor = factor.astype(X.dtype)[:, None]
    return X.multiply(factor).tocsr() if scipy.sparse.issparse(X) else X * factor


def _blended(H, mean):
    sums = H.sum(axis=1, dtype=np.float64)
    share = np.where(sums > 0, sums, mean.sum()) / max(mean.sum(), np.finfo(np.float64).tiny)
    return ((1 - _BLEND) * H + _BLEND * share[:, None] * mean).astype(H.dtype)


def singular_components(
    X: FloatArray | CsrArray,
    n_components: int,
    rng: np.random.Generator,
    *,
    sample_weight: Float64Array | None = None,
) -> FloatArray:
    """Take the larger sides of the leading singular vectors as components.

    Parameters
    ----------
    X : ndarray or CSR array of shape (n, m), float32 or float64
        Non-negative rows.
    n_components : int
        How many are wanted.
    rng : numpy.random.Generator
        Draws those above ``min(n, m)``.
    sample_weight : None or ndarray of shape (n,), float64, default=None
        Weights of rows.

    Returns
    -------
    H : ndarray of shape (n_components, m), dtype of X
        Components, blended with a little of the mean row.

    Notes
    -----
    The choice of the side is that of C. Boutsidis and E. Gallopoulos, "SVD based initialization: a
    head start for nonnegative matrix factorization", Pattern Recognit. 41(4), 2008.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import singular_components
    >>> X = np.array([[2.0, 0.0], [0.0, 3.0]])
    >>> singular_components(X, 2, np.random.default_rng(0)).argmax(axis=1)
    array([1, 0])
    """
    rows = X
    if sample_weight is not None:
        root = np.sqrt(sample_weight / sample_weight.max()).astype(X.dtype)[:, None]
        rows = X.multiply(root).tocsr() if scipy.sparse.issparse(X) else X * root
    vectors = right_singular_vectors(rows, n_components)
    H = random_components(X, n_components, rng, sample_weight=sample_weight)[0]
    left = np.asarray(rows @ vectors)
    mass = X.shape[0] if sample_weight is None else sample_weight.sum() / sample_weight.max()
    for t in range(vectors.shape[1]):
        sides = []
        for sign in (1, -1):
            right = np.maximum(sign * vectors[:, t], 0)
            weight = np.linalg.norm(np.maximum(sign * left[:, t], 0)) * np.linalg.norm(right)
            sides.append((weight, right))
        weight, right = max(sides, key=lambda side: side[0])
        if weight > 0:
            H[t] = right * np.linalg.norm(left[:, t]) / np.sqrt(mass)
    return _blended(H, _mean_row(X, sample_weight))


def filled_by_margins(X: FloatArray, cell_weight: Array) -> FloatArray:
    """Fill cells without weight by what their row and their column have on average.

    Parameters
    ----------
    X : ndarray of shape (n, m), float32 or float64
        Non-negative values, any where ``cell_weight`` is 0.
    cell_weight : ndarray of shape (n, m)
        Weights of cells.

    Returns
    -------
    filled : ndarray of shape (n, m), dtype of X
        The mean of the column times that of the row over that of all cells; 0 for a row or a
        column without a cell.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import filled_by_margins
    >>> filled_by_margins(np.array([[1.0, 1.0], [2.0, np.nan]]), np.array([[1.0, 1], [1, 0]]))
    array([[1. , 1. ],
           [2. , 1.5]])
    """
    known = np.where(cell_weight > 0, X, 0).astype(np.float64)
    weighted = known * cell_weight
    rows, columns = (
        np.divide(sums, weights, out=np.zeros(len(sums)), where=weights > 0)
        for sums, weights in (
            (weighted.sum(axis=1), cell_weight.sum(axis=1, dtype=np.float64)),
            (weighted.sum(axis=0), cell_weight.sum(axis=0, dtype=np.float64)),
        )
    )
    mean = weighted.sum() / cell_weight.sum(dtype=np.float64)
    filled = np.outer(rows, columns) / (mean or 1.0)
    return np.where(cell_weight > 0, known, filled).astype(X.dtype)

"""Places of the rows that the factor of a relaxed membership matrix tells, for k-means to cluster.

Products are taken by ``einsum``, leaf by leaf: unlike those of a BLAS they have the same bits for
any number of threads, and beside the descent that has found the factor they cost nothing.
"""

import operator

import numpy as np

from clusterlib.blocks import as_blocks, map_reduce, tree_reduce
from clusterlib.kernels import LEAF_ROWS
from clusterlib.solvers.spread import mean_row

__all__ = ["denoised_embedding", "spectral_embedding"]

# Directions whose squared length is below this share of the largest are rounding.
_NEGLIGIBLE = 1e-12


def spectral_embedding(U, n_clusters):
    """Compute the leading left singular vectors of a factor, by its Gram matrix.

    Parameters
    ----------
    U : ndarray of shape (n_samples, rank), float64
        The factor, of the relaxed membership matrix ``U U'``.
    n_clusters : int
        How many vectors.

    Returns
    -------
    embedding : ndarray of shape (n_samples, n_vectors), float64
        ``n_clusters`` of them, less those of singular values that are next to nothing.

    Notes
    -----
    O(n r^2) time. The Gram matrix squares the condition of U; of vectors that matter the singular
    value is about 1.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers.factor_embedding import spectral_embedding
    >>> U = np.array([[0.6, 0.0], [0.8, 0.0], [0.0, 0.5]])
    >>> np.abs(spectral_embedding(U, 1).ravel())
    array([0.6, 0.8, 0. ])
    """
    gram = tree_reduce(operator.add, (_inner(U[leaf], U[leaf]) for leaf in _leaves(len(U))))
    values, vectors = np.linalg.eigh(gram)
    kept = values > _NEGLIGIBLE * max(values[-1], np.finfo(np.float64).tiny)
    kept[:-n_clusters] = False
    return _product(U, vectors[:, kept] / np.sqrt(values[kept]))


def denoised_embedding(X, U):
    """Place the rows so that distances are those of the averaged rows ``U (U' X)``.

    Parameters
    ----------
    X : Blocks or array-like of shape (n_samples, n_features)
        The rows.
    U : ndarray of shape (n_samples, rank), float64
        The factor, of the relaxed membership matrix ``U U'``.

    Returns
    -------
    embedding : ndarray of shape (n_samples, min(rank, n_features)), float64
        ``U L`` with ``L L' = (U' X) (U' X)'``: fewer numbers with the same distances.

    Notes
    -----
    O(n r (p + r)) time. X is centred first.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers.factor_embedding import denoised_embedding
    >>> X = np.array([[0.0], [2.0], [9.0]])
    >>> places = denoised_embedding(X, np.array([[0.5**0.5, 0], [0.5**0.5, 0], [0, 1]]))
    >>> np.abs(places - places[0]).sum(axis=1).round(6)
    array([0., 0., 8.])
    """
    blocks = as_blocks(X)
    cross = map_reduce(_cross, operator.add, blocks, U, broadcast=(mean_row(blocks),))
    left, values, _ = np.linalg.svd(cross, full_matrices=False)
    return _product(U, left * values)


def _leaves(n):
    return (slice(start, start + LEAF_ROWS) for start in range(0, max(n, 1), LEAF_ROWS))


def _inner(left, right):
    return np.einsum("ij,ik->jk", left, right)


def _cross(rows, factor, mean):
    """``factor' (rows - mean)`` of one block in float64."""
    parts = (_inner(factor[leaf], rows[leaf] - mean) for leaf in _leaves(len(rows)))
    return tree_reduce(operator.add, parts)


def _product(U, small):
    out = np.empty((len(U), small.shape[1]))
    for leaf in _leaves(len(U)):
        np.einsum("ij,jk->ik", U[leaf], small, out=out[leaf])
    return out

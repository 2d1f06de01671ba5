"""The domains of the nearest rows: an estimate of q(domain | row) that needs no training."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse

from clusterlib.kernels import pairwise_topk

if TYPE_CHECKING:
    from clusterlib.typing import Array, CsrArray, Int32Array

__all__ = ["domain_histograms", "nearest_other_rows", "nearest_rows"]

# Rows whose neighbours are looked for at a time: their distances are thrown away.
_CHUNK_ROWS = 4096


def nearest_rows(X: Array, Y: Array, n_neighbors: int) -> Int32Array:
    """Find the nearest rows of Y for each row of X.

    Parameters
    ----------
    X : ndarray of shape (n, d)
        Rows, float32 or float64.
    Y : ndarray of shape (m, d)
        Rows to choose from, in the dtype of X.
    n_neighbors : int
        How many, from 1 to m.

    Returns
    -------
    neighbors : ndarray of shape (n, n_neighbors), int32
        Rows of Y, the nearest first, the lower index first on ties.

    Notes
    -----
    Exact: O(n m d) time; O(n n_neighbors) memory beside the input.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import nearest_rows
    >>> nearest_rows(np.array([[0.9]]), np.array([[0.0], [1.0], [5.0]]), 2)
    array([[1, 0]], dtype=int32)
    """
    neighbors = np.empty((len(X), n_neighbors), dtype=np.int32)
    for start in range(0, len(X), _CHUNK_ROWS):
        chunk = slice(start, start + _CHUNK_ROWS)
        neighbors[chunk] = pairwise_topk(X[chunk], Y, n_neighbors)[1]
    return neighbors


def nearest_other_rows(X: Array, n_neighbors: int) -> Int32Array:
    """Find the nearest other rows for each row.

    A row is never its own neighbour, also where it has copies: what its neighbours say of it knows
    nothing of its own domain.

    Parameters
    ----------
    X : ndarray of shape (n, d)
        Rows, float32 or float64.
    n_neighbors : int
        How many, from 1 to n - 1.

    Returns
    -------
    neighbors : ndarray of shape (n, n_neighbors), int32
        The nearest first, the lower index first on ties.

    Notes
    -----
    Exact: O(n^2 d) time; O(n n_neighbors) memory beside the input.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import nearest_other_rows
    >>> nearest_other_rows(np.array([[0.0], [1.0], [1.0], [5.0]]), 2)
    array([[1, 2],
           [2, 0],
           [1, 0],
           [1, 2]], dtype=int32)
    """
    neighbors = np.empty((len(X), n_neighbors), dtype=np.int32)
    for start in range(0, len(X), _CHUNK_ROWS):
        chunk = slice(start, start + _CHUNK_ROWS)
        found = pairwise_topk(X[chunk], X, n_neighbors + 1)[1]
        own = found == np.arange(start, start + len(found), dtype=np.int32)[:, None]
        # Copies with a lower index may have pushed the row itself out: then the last one goes.
        own[~own.any(axis=1), -1] = True
        neighbors[chunk] = found[~own].reshape(len(found), n_neighbors)
    return neighbors


def domain_histograms(neighbors: Int32Array, domains: Int32Array, n_domains: int) -> CsrArray:
    """Count the domains of the neighbours of each row.

    Parameters
    ----------
    neighbors : ndarray of shape (n, n_neighbors), int32
        Rows of those whose domains are known.
    domains : ndarray of shape (n_known,), int32
        Domain of each of these, from 0 to n_domains - 1.
    n_domains : int
        Number of domains.

    Returns
    -------
    histograms : csr_array of shape (n, n_domains), float64
        Shares of the domains among the neighbours, of sum 1 in each row.

    Notes
    -----
    O(n q) time and memory for q neighbours.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import domain_histograms
    >>> domain_histograms(np.array([[0, 1], [1, 2]]), np.array([0, 0, 2]), 3).toarray()
    array([[1. , 0. , 0. ],
           [0.5, 0. , 0.5]])
    """
    n, q = neighbors.shape
    histograms = scipy.sparse.csr_array(
        (np.full(n * q, 1.0 / q), domains[neighbors].ravel(), np.arange(0, n * q + 1, q)),
        shape=(n, n_domains),
    )
    histograms.sum_duplicates()
    return histograms

"""Many small clusters of many rows, and the domains of the rows in each of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import scipy.sparse

from clusterlib.blocks import as_blocks
from clusterlib.solvers.assignment import assign
from clusterlib.solvers.lloyd import lloyd
from clusterlib.solvers.seeding import random_rows

if TYPE_CHECKING:
    from clusterlib.typing import CsrArray, DTypeLike, FloatArray, Int32Array, Int64Array, Rows

__all__ = ["MicroClusters", "domain_table", "micro_clusters", "sampled_rows"]

# Rows for each centre that centres are found from: more of them move centres but little.
_ROWS_PER_CENTER = 40


class MicroClusters(NamedTuple):
    """What :func:`micro_clusters` returns.

    Attributes
    ----------
    centers : ndarray of shape (n_micro, n_features), dtype of X
        Where they are.
    labels : ndarray of shape (n_samples,), int32
        Nearest centre of every row.
    """

    centers: FloatArray
    labels: Int32Array


def sampled_rows(n_rows: int, size: int, rng: np.random.Generator) -> Int64Array:
    """Draw different rows.

    Parameters
    ----------
    n_rows, size : int
        How many there are and how many are wanted.
    rng : numpy.random.Generator
        Source of randomness; not used where all rows are wanted.

    Returns
    -------
    rows : ndarray of shape (min(size, n_rows),), int64
        In increasing order, so that files are read forwards.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import sampled_rows
    >>> sampled_rows(3, 5, np.random.default_rng(0))
    array([0, 1, 2])
    """
    if size >= n_rows:
        return np.arange(n_rows)
    return np.sort(rng.choice(n_rows, size, replace=False, shuffle=False))


def micro_clusters(
    X: Rows, n_micro: int, rng: np.random.Generator, *, max_iter: int = 8
) -> MicroClusters:
    """Cut the rows into many small clusters.

    A few of Lloyd's iterations on a sample of 40 rows for each centre, from random rows, and one
    pass over X. Clusters need not be at a minimum of anything: they need to be small.

    Parameters
    ----------
    X : Blocks or array-like of shape (n_samples, n_features)
        The rows.
    n_micro : int
        How many clusters, n_samples at most.
    rng : numpy.random.Generator
        Source of randomness.
    max_iter : int, default=8
        Iterations on the sample.

    Returns
    -------
    clusters : MicroClusters
        Named tuple of ``centers`` and ``labels``. Clusters may be empty.

    Notes
    -----
    O(n n_micro p) time for the last pass, O(40 n_micro p) memory for the sample and 4 bytes for
    each row.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import micro_clusters
    >>> X = np.array([[0.0], [1.0], [8.0], [9.0]])
    >>> micro_clusters(X, 2, np.random.default_rng(0)).labels
    array([1, 1, 0, 0], dtype=int32)
    """
    blocks = as_blocks(X)
    sample = blocks.finite_rows(sampled_rows(blocks.n_samples, _ROWS_PER_CENTER * n_micro, rng))
    start = random_rows(sample, n_micro, rng).centers
    centers = lloyd(sample, start, max_iter=max_iter).centers
    return MicroClusters(centers, assign(blocks, centers))


def domain_table(
    labels: Int32Array,
    domains: Int32Array,
    n_clusters: int,
    n_domains: int,
    dtype: DTypeLike = np.float64,
) -> CsrArray:
    """Count the rows of each cluster in each domain, without the zeros.

    Parameters
    ----------
    labels, domains : ndarray of shape (n,), int32
        Cluster and domain of each row.
    n_clusters, n_domains : int
        How many there are.
    dtype : dtype, default=float64
        float32 or float64; counts are exact up to 2^24 in float32.

    Returns
    -------
    table : csr_array of shape (n_clusters, n_domains)
        In canonical form.

    Notes
    -----
    O(n) time and memory: 12 bytes for each row while it is made.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import domain_table
    >>> domain_table(np.array([0, 1, 1]), np.array([0, 1, 1]), 2, 2).toarray()
    array([[1., 0.],
           [0., 2.]])
    """
    ones = np.ones(len(labels), dtype=dtype)
    table = scipy.sparse.coo_array((ones, (labels, domains)), shape=(n_clusters, n_domains))
    table = table.tocsr()
    table.sort_indices()
    return table

"""A partition of rows: centred, sorted by cluster, with the margins between the clusters."""

from functools import cached_property

import numpy as np
from scipy.linalg import LinAlgError, cholesky

from clusterlib.solvers.eigenvalue_bounds import dot_error

__all__ = ["PartitionGeometry", "centered_rows", "checked_geometry", "chunks", "squared_total"]

_CHUNK = 2048
# Squared lengths beyond these lose digits or overflow in what is computed of them.
_LEAST_SQUARE, _LARGEST_SQUARE = 1e-300, 1e306


def chunks(start, stop, size=_CHUNK):
    """Slices that cover a range; sums over them keep the rounding errors of long sums small."""
    return [slice(first, min(first + size, stop)) for first in range(start, stop, size)]


def centered_rows(X):
    """The rows less their mean, in float64, with the largest entry between 1 and 2.

    Parameters
    ----------
    X : ndarray of shape (n, p)
        Finite; any real dtype.

    Returns
    -------
    rows : ndarray of shape (n, p), float64
        ``(X - mean) / scale``.
    scale : float
        A power of two; 1 where all rows are equal.

    Notes
    -----
    A subtraction rounds relatively to its own result, however far the data are from the origin,
    and costs of clusters do not depend on what is subtracted. The second subtraction removes what
    rounding has left of the mean.
    """
    rows = np.array(X, dtype=np.float64, order="C")
    # Halves of huge numbers do not overflow when they are summed.
    largest = float(np.abs(rows).max(initial=0.0))
    if largest > 1e150:
        shrinkage = 2.0 ** -np.floor(np.log2(largest))
        rows *= shrinkage
    else:
        shrinkage = 1.0
    for _ in range(2):
        rows -= rows.mean(axis=0)
    largest = float(np.abs(rows).max(initial=0.0))
    if largest == 0.0:
        return rows, 1.0
    scale = 2.0 ** np.floor(np.log2(largest))
    rows /= scale
    return rows, float(scale / shrinkage)


def squared_total(rows):
    """Sum of the squared entries, chunk by chunk."""
    return float(np.sum([np.vdot(rows[r], rows[r]) for r in chunks(0, len(rows))]))


class PartitionGeometry:
    """Rows sorted by cluster, and what the duals of the k-means relaxation need of them.

    Parameters
    ----------
    X : ndarray of shape (n, p)
        Finite.
    labels : ndarray of shape (n,), int
        Any integers; every different one is a cluster.

    Attributes
    ----------
    rows : ndarray of shape (n, p), float64
        Centred and scaled, sorted by cluster.
    scale : float
        What they were divided by.
    order : ndarray of shape (n,), int
        Where the sorted rows stand in X.
    starts : ndarray of shape (K + 1,), int
        The rows of cluster a are ``starts[a]`` to ``starts[a + 1]``.
    sizes : ndarray of shape (K,), float64
        Numbers of rows.
    means : ndarray of shape (K, p), float64
        Of the scaled rows.
    total : float
        Sum of the squares of the centred and scaled rows.
    inflation : float
        With more features than rows, the rows are replaced by n coordinates of points whose
        squared distances are larger by twice this number. The cost of every partition into K
        clusters grows by the same (n - K) times it.

    Notes
    -----
    O(n (p + K)) time for everything but the scatters, which take O(n p^2); 8 n (p + K) bytes.
    With p > n, O(n^2 p) time and 16 n^2 bytes.
    """

    def __init__(self, X, labels):
        rows, self.scale = centered_rows(X)
        self.total = squared_total(rows)
        self.inflation = 0.0
        if rows.shape[1] > len(rows) and self.total > 0:
            rows, self.inflation = _fewer_features(rows)
        _, cluster, counts = np.unique(labels, return_inverse=True, return_counts=True)
        self.order = np.argsort(cluster.ravel(), kind="stable")
        self.rows = rows[self.order]
        self.starts = np.concatenate([[0], np.cumsum(counts)])
        self.sizes = counts.astype(np.float64)
        self.means = np.array([self._sum(a) for a in range(len(counts))]) / self.sizes[:, None]

    def _sum(self, cluster):
        parts = [self.rows[rows].sum(axis=0) for rows in self.chunks_of(cluster)]
        return np.sum(parts, axis=0)

    @property
    def n_clusters(self):
        """How many clusters there are."""
        return len(self.sizes)

    @property
    def sum_error(self):
        """Relative error of an inner product over the rows that is summed chunk by chunk."""
        return dot_error(_CHUNK + len(self.rows) // _CHUNK + 8)

    def chunks_of(self, cluster):
        """Slices of the rows of one cluster."""
        return chunks(*self.starts[cluster : cluster + 2])

    def within(self, cluster, rows):
        """Some rows of a cluster less its mean."""
        return self.rows[rows] - self.means[cluster]

    @cached_property
    def cost(self):
        """The k-means cost of the partition, of the scaled rows."""
        return float(np.trace(self.within_scatter))

    @cached_property
    def within_scatter(self):
        """Sum of the scatter matrices of the clusters, of shape (p, p)."""
        return sum((self.scatter(a) for a in range(self.n_clusters)), 0.0)

    def scatter(self, cluster):
        """Scatter matrix of one cluster, of shape (p, p)."""
        parts = (self.within(cluster, rows) for rows in self.chunks_of(cluster))
        return sum((y.T @ y for y in parts), 0.0)

    @cached_property
    def offsets(self):
        """``means_a - means_b``, of shape (K, K, p)."""
        return self.means[:, None] - self.means[None]

    @cached_property
    def squared_distances(self):
        """Between the means, of shape (K, K)."""
        return np.square(self.offsets).sum(axis=2)

    @cached_property
    def inverse_sizes(self):
        """``1 / n_a + 1 / n_b``, of shape (K, K)."""
        return 1.0 / self.sizes[:, None] + 1.0 / self.sizes

    @cached_property
    def margins(self):
        """``|x_i - m_b|^2 - |x_i - m_a|^2`` of shape (n, K), a the cluster of row i: 0 there.

        The difference is linear in the row, so no digits are lost to the squares.
        """
        margins = np.empty((len(self.rows), self.n_clusters))
        for a in range(self.n_clusters):
            for rows in self.chunks_of(a):
                np.matmul(self.within(a, rows), 2.0 * self.offsets[a].T, out=margins[rows])
                margins[rows] += self.squared_distances[a]
            margins[self.starts[a] : self.starts[a + 1], a] = 0.0
        return margins

    @cached_property
    def smallest_margins(self):
        """The smallest margin of the rows of a towards b, of shape (K, K); infinity for a = b."""
        smallest = np.minimum.reduceat(self.margins, self.starts[:-1], axis=0)
        np.fill_diagonal(smallest, np.inf)
        return smallest


def checked_geometry(X, labels):
    """The geometry of rows whose costs are numbers of float64; ValueError for others."""
    geometry = PartitionGeometry(X, labels)
    unit = geometry.scale * geometry.scale
    if geometry.total > 0 and not (
        unit > _LEAST_SQUARE and unit * geometry.total < _LARGEST_SQUARE
    ):
        raise ValueError(
            f"rows of X are about {geometry.scale:.3g} away from their mean, whose square leaves "
            "float64; multiply X by a power of ten"
        )
    return geometry


def _fewer_features(rows):
    """A square factor of ``rows rows' + e I``, e a multiple of what rounding may do, and e."""
    n, p = rows.shape
    inner = rows @ rows.T
    inflation = 4.0 * dot_error(n + p) * float(inner.trace())
    while True:
        try:
            return cholesky(
                inner + inflation * np.eye(n), lower=True, check_finite=False
            ), inflation
        except LinAlgError:
            inflation *= 8.0

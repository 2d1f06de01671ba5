"""Proof that a partition is a global optimum of k-means, by a dual built from it."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from clusterlib.kernels.checks import as_matrix, check_finite, checked_integer
from clusterlib.solvers.eigenvalue_bounds import LowRank, dot_error, proved_top_sum_low_rank
from clusterlib.solvers.partition_dual import ROOM, Correction, PartitionDual, most_directions
from clusterlib.solvers.partition_geometry import checked_geometry, chunks

if TYPE_CHECKING:
    from clusterlib.typing import Array, IntArray

__all__ = ["PartitionCertificate", "certify_partition"]

_LARGEST_CORE = 2500
_CORRECTED_CORE = 1200
# Radius and overshoot of the corrected multipliers. Of radii from 0.9 to infinity and overshoots
# from 0 to 1, these proved most of what can be proved at the edge.
_RADIUS, _OVERSHOOT = 1.3, 1.0


class PartitionCertificate(NamedTuple):
    """What :func:`certify_partition` found.

    Attributes
    ----------
    certified : bool
        True: no partition into this many clusters has a lower k-means cost. False says nothing
        about the partition.
    z : float
        Multiplier of the trace that was tried last, in the squared units of X; a proof needs
        ``largest_eigenvalue <= z``. 0 where clusters overlap and nothing was tried.
    largest_eigenvalue : float
        Upper bound of the largest eigenvalue of A + N off the partition, all rounding included.
    cost : float
        k-means cost of the partition.
    method : str
        "trivial", "rank one" or "corrected" multipliers; "none" where nothing was tried.

    Notes
    -----
    Every certificate is rigorous: see :func:`certify_partition`.
    """

    certified: bool
    z: float
    largest_eigenvalue: float
    cost: float
    method: str

    @property
    def rigorous(self):
        """Whether ``certified`` holds in spite of rounding: always."""
        return True


def certify_partition(
    X: Array, labels: IntArray, *, n_clusters: int | None = None
) -> PartitionCertificate:
    """Try to prove that no partition into as many clusters has a lower k-means cost.

    Parameters
    ----------
    X : ndarray of shape (n, p)
        Rows, float32 or float64, anywhere in space and in any unit.
    labels : ndarray of shape (n,), int
        Cluster of each row, from 0 to ``n_clusters`` - 1.
    n_clusters : int, default=None
        Number of clusters; None means the largest label plus 1.

    Returns
    -------
    certificate : PartitionCertificate
        Whether it is proved.

    Raises
    ------
    ValueError
        For NaN or infinity, rows whose squared distances leave float64, labels out of range, and
        clusters without rows.

    Notes
    -----
    The relaxation of Peng and Wei is tight at a partition with means m_a and sizes n_a if, for
    some z and multipliers N >= 0 with given sums of rows, no eigenvalue of A + N, A the inner
    products, exceeds z on the vectors that sum to 0 over every cluster [1]_. The sums are
    nonnegative as long as z is at most the smallest of ``(|x_i - m_b|^2 - |x_i - m_a|^2) /
    (1 / n_a + 1 / n_b)``. Between two clusters, N of rank one makes A + N on those vectors a
    matrix of rank ``p + K (K - 1)`` whose eigenvalues are those of a small dense one: the
    scatters of the clusters are all that is needed, and the answer is as rigorous for a million
    rows as for ten. Where it does not suffice, corrected multipliers are tried, see
    :mod:`clusterlib.solvers.partition_dual`.

    O(n p (p + K)) time for well separated data, 8 n (2 p + K) bytes; up to O(n (p + K q)^2) with
    q < p directions of correction.

    References
    ----------
    .. [1] T. Iguchi, D. G. Mixon, J. Peterson, S. Villar, "Probably certifiably correct k-means
       clustering", Mathematical Programming 165, 2017.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import certify_partition
    >>> X = np.array([[0.0], [1.0], [8.0], [9.0]])
    >>> certify_partition(X, [0, 0, 1, 1]).certified, certify_partition(X, [0, 1, 1, 1]).certified
    (True, False)
    """
    X = as_matrix("X", X)
    check_finite("X", X)
    labels = checked_partition(labels, len(X), n_clusters)
    return _Attempts(checked_geometry(X, labels)).best()


def checked_partition(labels, n_samples, n_clusters=None):
    """Labels as integers that are sure to name every cluster."""
    labels, n_clusters = checked_clusters(labels, n_samples, n_clusters)
    counts = np.bincount(labels, minlength=n_clusters)
    if (counts == 0).any():
        raise ValueError(
            f"every cluster must have a row, got none for label {int(np.argmin(counts))} "
            f"of {n_clusters}"
        )
    return labels


def checked_clusters(labels, n_samples, n_clusters=None):
    """Labels as integers from 0 to ``n_clusters`` - 1, and that number."""
    labels = np.asarray(labels)
    if labels.shape != (n_samples,):
        raise ValueError(f"labels must have shape ({n_samples},), got {labels.shape}")
    if labels.dtype.kind not in "iu":
        raise TypeError(f"labels must hold integers, got dtype {labels.dtype}")
    if n_samples == 0:
        raise ValueError("labels must name at least 1 row, got none")
    if n_clusters is None:
        n_clusters = max(int(labels.max()) + 1, 1)
    else:
        n_clusters = checked_integer("n_clusters", n_clusters, 1, 2**31 - 1)
    if labels.min() < 0 or labels.max() >= n_clusters:
        wrong = labels.min() if labels.min() < 0 else labels.max()
        raise ValueError(f"labels must be from 0 to {n_clusters - 1}, got {wrong}")
    return labels, n_clusters


class _Attempts:
    """Multipliers of growing cost for one partition."""

    def __init__(self, geometry):
        self.geometry = geometry
        longest = max(
            float(np.square(geometry.rows[rows]).sum(axis=1).max())
            for rows in chunks(0, len(geometry.rows))
        )
        # Means are off by sum_error times the longest row, and every margin is a few products of
        # differences of rows and means.
        p = geometry.rows.shape[1]
        self._margin_error = 32.0 * (geometry.sum_error + dot_error(p + 4)) * longest
        # Inner products of replaced features are off by less than half of this.
        self._margin_error += 4.0 * geometry.inflation

    def best(self):
        g = self.geometry
        if g.n_clusters in (1, len(g.rows)) or self._all_rows_equal():
            return self._answer(True, 0.0, 0.0, "trivial")
        largest_z = float(((g.smallest_margins - self._margin_error) / g.inverse_sizes).min()) * (
            1.0 - 1e-12
        )
        last = self._answer(False, 0.0, np.inf, "none")
        # Within a cluster there are no multipliers: z cannot be below what its scatter needs.
        if largest_z <= 0 or largest_z < self._least_z():
            return last
        for z, correction in self._plans(largest_z):
            eigenvalue = self._largest_eigenvalue(z, correction)
            method = "rank one" if correction is None else "corrected"
            last = self._answer(eigenvalue <= z, z, eigenvalue, method)
            if last.certified:
                break
        return last

    def _answer(self, certified, z, eigenvalue, method):
        g = self.geometry
        unit = g.scale**2
        cost = max(0.0, g.cost - g.inflation * (len(g.rows) - g.n_clusters))
        return PartitionCertificate(
            bool(certified), z * unit, eigenvalue * unit, cost * unit, method
        )

    def _all_rows_equal(self):
        g = self.geometry
        if g.cost > 1e-20 * g.total:
            return False
        first = np.repeat(g.rows[g.starts[:-1]], np.diff(g.starts), axis=0)
        return np.array_equal(g.rows, first)

    def _least_z(self):
        g = self.geometry
        if g.n_clusters * g.rows.shape[1] ** 3 > 1e10:
            return 0.0
        least = max(float(np.linalg.eigvalsh(g.scatter(a))[-1]) for a in range(g.n_clusters))
        return 0.999 * least

    def _plans(self, largest_z):
        """Pairs of z and correction to try; a smaller z was never better."""
        g = self.geometry
        K, p = g.n_clusters, g.rows.shape[1]
        if min(K * p, p + K * (K - 1)) <= _LARGEST_CORE:
            yield largest_z, None
        n_directions = most_directions(p, K, _CORRECTED_CORE)
        if n_directions < 0:
            return
        directions = np.linalg.eigh(g.within_scatter)[1][:, ::-1][:, :n_directions]
        yield largest_z, Correction(directions, _RADIUS, _OVERSHOOT)

    def _largest_eigenvalue(self, z, correction):
        """Upper bound of the largest eigenvalue of A + N off the partition."""
        g = self.geometry
        K, p = g.n_clusters, g.rows.shape[1]
        if correction is None and K * p < p + K * (K - 1):
            matrix, strengths = self._by_scatters(z), {}
        else:
            dual = PartitionDual(g, z, correction, within=True)
            matrix, strengths = dual.matrix, dual.strengths
        eigenvalue = proved_top_sum_low_rank(matrix, 1) + g.inflation
        return eigenvalue + self._perturbation(z, strengths)

    def _by_scatters(self, z):
        """A + N of rank one in the K p coordinates of the rows within their clusters."""
        g = self.geometry
        K, p = g.n_clusters, g.rows.shape[1]
        gram = np.zeros((K, p, K, p))
        for a in range(K):
            gram[a, :, a] = g.scatter(a)
        core = np.einsum("ab,abi,baj->aibj", 2.0 / self._shrunk(z), g.offsets, g.offsets)
        core += np.eye(p)[None, :, None]
        gram, core = gram.reshape(K * p, K * p), core.reshape(K * p, K * p)
        lengths = np.sqrt(gram.diagonal()) * (1.0 + g.sum_error)
        return LowRank(gram, core, lengths, 4.0 * g.sum_error)

    def _shrunk(self, z):
        """Squared distances of the means less ``z (1 / n_a + 1 / n_b)``; infinity for a = b."""
        shrunk = self.geometry.squared_distances - z * self.geometry.inverse_sizes
        np.fill_diagonal(shrunk, np.inf)
        return shrunk

    def _perturbation(self, z, strengths):
        """Bound of what rounded margins do to the eigenvalues: N is that of the exact ones.

        Between a and b, u is off by ``n_b / 2`` times the error of a margin in every row, and s
        relatively by that error over its own margin.
        """
        g, error = self.geometry, self._margin_error
        sizes, shrunk = g.sizes, self._shrunk(z)
        relative = 2.0 * error / shrunk
        s = 0.5 * np.outer(sizes, sizes) * shrunk
        off = 0.5 * np.outer(np.sqrt(sizes), sizes) * error
        lengths = self._lengths_of_columns
        products = off * lengths.T + lengths * off.T + off * off.T + relative * lengths * lengths.T
        total = float((products / s).sum())
        for (a, b), t in strengths.items():
            if t == 0.0:
                continue
            # No coordinate is stretched by more than the root of 20 times the overshoot.
            radius = 20.0 * self._radius(a) * self._radius(b)
            if t * radius * 8.0 * (relative[a, b] + g.sum_error) > ROOM:
                return np.inf  # the multipliers might be negative
            # u itself has at most the length of its mean and of its deviation.
            u, v = (lengths[i, j] + s[a, b] / np.sqrt(sizes[i]) for i, j in ((a, b), (b, a)))
            off_u, off_v = off[a, b] + g.sum_error * u, off[b, a] + g.sum_error * v
            rounded = off_u * v + u * off_v + off_u * off_v + relative[a, b] * u * v
            total += 32.0 * t * radius * rounded / s[a, b]
        return total

    @cached_property
    def _lengths_of_columns(self):
        """``n_b |Y_a (m_a - m_b)|`` of shape (K, K), Y_a the rows of a less their mean."""
        g = self.geometry
        lengths = np.zeros((g.n_clusters, g.n_clusters))
        for a in range(g.n_clusters):
            for rows in g.chunks_of(a):
                lengths[a] += np.square(g.margins[rows] - g.squared_distances[a]).sum(axis=0)
        np.fill_diagonal(lengths, 0.0)
        return 0.5 * np.sqrt(lengths) * g.sizes * (1.0 + g.sum_error)

    def _radius(self, cluster):
        """Length of the longest row of a cluster less its mean."""
        g = self.geometry
        longest = max(
            float(np.square(g.within(cluster, rows)).sum(axis=1).max())
            for rows in g.chunks_of(cluster)
        )
        return np.sqrt(longest)

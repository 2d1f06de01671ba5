"""What clusters are worth while rows come and go, one by one, to the last digit."""

import numpy as np

from clusterlib.blocks import as_blocks
from clusterlib.solvers.cluster_means import cluster_totals
from clusterlib.solvers.geometry import Flat, Sphere, unit_rows

__all__ = ["ClusterWorth"]

# Of what a cluster is worth; rounding is far below.
_LEAST_GAIN = 1e-12


class ClusterWorth:
    """Sums of the clusters about a common origin, and the labels that belong to them.

    With the sum S of n rows a cluster is worth ``|S|^2 / n``, on the sphere ``|S|``. What all rows
    cost at the means of their clusters is a constant less what all clusters are worth.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        The rows.
    labels : ndarray of shape (n_samples,), int32
        Cluster of each row; copied.
    n_clusters : int
        How many clusters there are.
    size_min, size_max : ndarray of int of shape (n_clusters,)
        Fewest and most rows of each.
    spherical : bool, default=False
        Rows are directions.
    """

    def __init__(self, X, labels, n_clusters, size_min, size_max, *, spherical=False):
        self.blocks, self.labels = as_blocks(X), labels.copy()
        self.spherical, self.size_min, self.size_max = spherical, size_min, size_max
        weight = (Sphere if spherical else Flat).summation_weight(self.blocks, None)
        self.sums, _ = cluster_totals(self.blocks, labels, n_clusters, weight)
        self.counts = np.bincount(labels, minlength=n_clusters)
        self._origin = 0.0
        if not spherical:
            self._origin = self.sums.sum(axis=0) / len(labels)
            self.sums -= self.counts[:, None] * self._origin

    def points(self, rows):
        """Rows as they enter the sums, float64."""
        taken = self.blocks.take(rows).astype(np.float64)
        return unit_rows(taken) if self.spherical else taken - self._origin

    def curvature(self):
        """How much the square of a row's way counts, for each cluster it leaves or enters."""
        if self.spherical:
            return 1.0 / np.maximum(np.sqrt(np.square(self.sums).sum(axis=1)), 1.0)
        return 1.0 / np.maximum(self.counts, 1)

    def gains(self, steps, own, other, n_alone):
        """What is gained, rounding aside, if the sum of ``own`` grows by each step.

        The sum of ``other`` shrinks by it; ``n_alone`` is 1 for a row that leaves and 0 for two
        rows that change places.
        """
        squares = np.einsum("ij,ij->i", steps, steps)
        left = self._change(own, steps, squares, 1, n_alone)
        return left + self._change(other, steps, squares, -1, n_alone)

    def _change(self, cluster, steps, squares, sign, n_alone):
        sums, counts = self.sums[cluster], self.counts[cluster]
        before = np.einsum("ij,ij->i", sums, sums)
        after = before + squares + 2 * sign * np.einsum("ij,ij->i", steps, sums)
        worth = self._worth(before, counts)
        return self._worth(after, counts - sign * n_alone) - (1 + _LEAST_GAIN) * worth

    def _worth(self, squares, counts):
        if self.spherical:
            return np.sqrt(np.maximum(squares, 0.0))
        return squares / np.maximum(counts, 1)

    def has_room(self, own, other):
        """Whether a row may leave one cluster for the other, and none come back."""
        fewest = np.maximum(self.size_min[own], 1)
        return (self.counts[own] > fewest) & (self.counts[other] < self.size_max[other])

    def change(self, step, row, own, other, partner):
        """Let a row leave ``own`` for ``other``, if that gains; returns whether it did.

        ``partner`` comes back for it, unless it is -1.
        """
        alone = partner < 0
        if self.labels[row] != own or (not alone and self.labels[partner] != other):
            return False
        if alone and not self.has_room(own, other):
            return False
        if not self.gains(step[None], [own], [other], int(alone))[0] > 0:
            return False
        self.sums[own] += step
        self.sums[other] -= step
        self.labels[row] = other
        if alone:
            self.counts[own] -= 1
            self.counts[other] += 1
        else:
            self.labels[partner] = own
        return True

"""Labels of the rows from one iteration of k-means to the next."""

import numpy as np

from clusterlib.blocks import tree_reduce
from clusterlib.config import get_config
from clusterlib.kernels import BOUND_GROUPS, Metric, bounded_argmin, cluster_sums, pairwise_argmin
from clusterlib.solvers.geometry import Flat

__all__ = ["Labelling", "add_totals"]

# Measured: with fewer centres a look at all of them costs less than keeping bounds.
_LEAST_CENTERS = 32
# Bounds are written for all rows once they would keep this share of them; until then for a sample.
_PAYING_SHARE = 0.25
# Bytes of the bounds of a row: one above, BOUND_GROUPS below.
_BOUND_BYTES = 4 * (1 + BOUND_GROUPS)


class Labelling:
    """Nearest centres of all rows, with bounds that let rows be skipped where they pay.

    Labels are those of ``pairwise_argmin`` at every step, so bounds change the time only.

    Parameters
    ----------
    blocks : Blocks
        The rows.
    n_clusters : int
        Number of centres.
    geometry : Flat or Sphere
        What is near, and with which weight a row enters a sum. Bounds are kept in flat space only,
        on the host only, and beside rows that are read anew in every pass only if they take no
        more memory than a block.
    sample_weight : ndarray of shape (n_samples,), or None
        Weights of the rows.

    Attributes
    ----------
    labels : ndarray of shape (n_samples,), int32, or None
        Of the last step; where the rows lie. None where functions of the rows run elsewhere: the
        sums alone come back from there.
    """

    def __init__(self, blocks, n_clusters, geometry, sample_weight=None):
        self._blocks, self._metric = blocks, geometry.metric
        n = blocks.n_samples
        self.labels = blocks.zeros(n, np.int32) if blocks.runs_here else None
        # Rows in memory get their weights once, others in every pass: nothing is kept for them.
        self._weigh = Flat.row_weight if blocks.in_memory else geometry.row_weight
        if blocks.in_memory:
            sample_weight = geometry.summation_weight(blocks, sample_weight)
        self._weight = blocks.from_host(sample_weight)
        self._bounds = None
        fits = blocks.in_memory or n * _BOUND_BYTES <= get_config()["block_bytes"]
        keeps_bounds = blocks.on_host and blocks.runs_here and fits
        if keeps_bounds and self._metric is Metric.SQEUCLIDEAN and n_clusters >= _LEAST_CENTERS:
            upper = np.full(n, np.inf, dtype=np.float32)
            self._bounds = upper, np.zeros((n, BOUND_GROUPS), dtype=np.float32)
        self._centers, self._sample = None, True

    @property
    def keeps_bounds(self):
        """Whether a further step costs less than an assignment from nothing."""
        return self._bounds is not None

    def step(self, centers):
        """Label the rows anew, reading X once.

        Parameters
        ----------
        centers : ndarray of shape (n_clusters, n_features)
            Where the centres are now.

        Returns
        -------
        sums : ndarray of shape (n_clusters, n_features), float64
            Weighted sums of the rows of each cluster.
        weights : ndarray of shape (n_clusters,), float64
            Sums of the weights.
        """
        broadcast = (centers, self._metric, self._weigh)
        if not self._blocks.runs_here:
            return self._blocks.map_reduce(_totals, add_totals, (self._weight,), broadcast)
        if self._bounds is None:
            parts = self._blocks.map(_labelled_totals, (self._weight, self.labels), broadcast)
        else:
            parts = self._bounded_totals(centers)
        return [self._blocks.to_host(total) for total in tree_reduce(add_totals, parts)]

    def _bounded_totals(self, centers):
        bounded = kept = 0
        aligned = self._weight, self.labels, *self._bounds
        broadcast = centers, self._moves_to(centers), self._sample
        for totals, counts in self._blocks.map(_bounded_step, aligned, broadcast):
            bounded, kept = bounded + counts[0], kept + counts[1]
            yield totals
        if bounded:
            self._sample = kept < _PAYING_SHARE * bounded
        self._centers = centers.copy()

    def _moves_to(self, centers):
        """How far each centre has moved since the last step, rounded up."""
        if self._centers is None:
            return np.zeros(len(centers), dtype=np.float32)  # no row has bounds yet
        with np.errstate(over="ignore"):  # an infinite move leaves no bound standing
            move = np.sqrt(np.square(centers.astype(np.float64) - self._centers).sum(axis=1))
            return np.nextafter((move * (1 + 1e-6)).astype(np.float32), np.float32(np.inf))


def add_totals(left, right):
    """Merge the (sums, weights) of two parts."""
    return [a + b for a, b in zip(left, right, strict=True)]


def _totals(rows, weight, centers, metric, weigh):
    labels = pairwise_argmin(rows, centers, metric=metric)
    return cluster_sums(rows, labels, len(centers), sample_weight=weigh(rows, weight))


def _labelled_totals(rows, weight, labels, centers, metric, weigh):
    labels[:] = pairwise_argmin(rows, centers, metric=metric)
    return cluster_sums(rows, labels, len(centers), sample_weight=weigh(rows, weight))


def _bounded_step(rows, weight, labels, upper, lower, centers, moves, sample):
    counts = bounded_argmin(rows, centers, moves, labels, upper, lower, sample=sample)
    return cluster_sums(rows, labels, len(centers), sample_weight=weight), counts

"""Labels of the rows from one iteration of k-means to the next."""

import numpy as np

from clusterlib.kernels import BOUND_GROUPS, Metric, bounded_argmin, cluster_sums, pairwise_argmin

__all__ = ["Labelling"]

# Measured: with fewer centres a look at all of them costs less than keeping bounds.
_LEAST_CENTERS = 32
# Bounds are written for all rows once they would keep this share of them; until then for a sample.
_PAYING_SHARE = 0.25


class Labelling:
    """Nearest centres of all rows, with bounds that let rows be skipped where they pay.

    Labels are those of ``pairwise_argmin`` at every step, so bounds change the time only.

    Parameters
    ----------
    blocks : Blocks
        The rows.
    n_clusters : int
        Number of centres.
    metric : Metric
        Bounds are kept for squared distances only, and on the host only.

    Attributes
    ----------
    labels : ndarray of shape (n_samples,), int32
        Of the last step; where the rows lie.
    """

    def __init__(self, blocks, n_clusters, metric):
        self._blocks, self._metric = blocks, metric
        n = blocks.n_samples
        self.labels = blocks.zeros(n, np.int32)
        self._bounds = None
        keeps_bounds = blocks.on_host and metric is Metric.SQEUCLIDEAN
        if keeps_bounds and n_clusters >= _LEAST_CENTERS:
            upper = np.full(n, np.inf, dtype=np.float32)
            self._bounds = upper, np.zeros((n, BOUND_GROUPS), dtype=np.float32)
        self._centers, self._sample = None, True

    def sums(self, centers, weight):
        """Label the rows anew; yields the (sums, weights) of the clusters for each block.

        ``weight`` lies where the rows lie, and so do the sums.
        """
        if self._bounds is None:
            aligned, broadcast = (weight, self.labels), (centers, self._metric)
            yield from self._blocks.map(_plain_step, aligned, broadcast)
            return
        bounded = kept = 0
        aligned = weight, self.labels, *self._bounds
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


def _plain_step(rows, weight, labels, centers, metric):
    labels[:] = pairwise_argmin(rows, centers, metric=metric)
    return cluster_sums(rows, labels, len(centers), sample_weight=weight)


def _bounded_step(rows, weight, labels, upper, lower, centers, moves, sample):
    counts = bounded_argmin(rows, centers, moves, labels, upper, lower, sample=sample)
    return cluster_sums(rows, labels, len(centers), sample_weight=weight), counts

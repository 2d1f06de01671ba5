"""Bounds of the k-means relaxation from one partition, in a few passes over the rows."""

import numpy as np

from clusterlib.solvers.eigenvalue_bounds import proved_top_sum_low_rank
from clusterlib.solvers.partition_dual import Correction, PartitionDual, most_directions
from clusterlib.solvers.partition_geometry import PartitionGeometry

__all__ = ["fast_bound"]

# Above this many columns the eigenvalues of A + N are no small matter any more.
_LARGEST_CORE = 1600
# Cores of corrected multipliers, when z is looked for and at last.
_SEARCH_CORE, _CORRECTED_CORE = 450, 1200
_STEP_DOWN, _MOST_STEPS_DOWN = 0.85, 5
# z in units of the largest eigenvalue within the clusters, and how to go on from the best.
_FIRST_FACTORS = (0.5, 0.8, 1.2)
_N_REFINEMENTS = 4
_GOLDEN = 0.381966
_SEARCH_ROWS = 5000
# Radius and overshoot; None is rank one. Balls in 4 to 60 dimensions, 3 to 8 of them, at
# separations of 4 to 7 each had one of these as the best of a grid, or close to it.
_KINDS = ((0.9, 2.0), (1.2, 2.0), (0.9, 1.0), None)


def fast_bound(geometry, n_clusters):
    """Bound ``<A, Z>`` by the best multipliers of a partition, over z and both kinds of them.

    Parameters
    ----------
    geometry : PartitionGeometry
        The rows and any partition of them.
    n_clusters : int
        K of the relaxation, at least the number of clusters of the partition.

    Returns
    -------
    bound : float
        Proved upper bound of ``<A, Z>``, in units of the rows of ``geometry``.
    history : ndarray of shape (n_tried, 2), float64
        z, in the same units, and the bound it gave; the first row is N = 0 with z = infinity.
        What was tried on a part of the rows alone is not in it.

    Notes
    -----
    The best z is looked for on a subset of the rows and used for all of them, as bounds of other
    z would be as true: a few times O(n (p + K q)^2 + m^3), m the columns of A + N.
    """
    history = [(np.inf, _bound_without_multipliers(geometry, n_clusters))]
    K, p = geometry.n_clusters, geometry.rows.shape[1]
    if 1 < K and p + K * (K - 1) <= _LARGEST_CORE:
        sample, share = _thinned(geometry)
        level = share * float(np.linalg.eigvalsh(geometry.within_scatter)[-1])
        searches = [
            _Search(sample, n_clusters, correction, level)
            for correction in _corrections(geometry, _SEARCH_CORE)
        ]
        best = min(searches, key=_Search.first_value)
        z = best.best() / share
        correction = _corrections(geometry, _CORRECTED_CORE)[searches.index(best)]
        has_more = correction is not None and (
            best.correction is None
            or correction.directions.shape[1] > best.correction.directions.shape[1]
        )
        # With more directions than in the search a smaller z is better.
        for _ in range(_MOST_STEPS_DOWN if has_more else 1):
            history.append((z, dual_bound(PartitionDual(geometry, z, correction), n_clusters)))
            if len(history) > 2 and history[-1][1] > history[-2][1]:
                break
            z *= _STEP_DOWN
    history = np.array(history)
    return float(history[:, 1].min()), history


def dual_bound(dual, n_clusters):
    """The bound of the multipliers of a partition.

    Parameters
    ----------
    dual : PartitionDual
        A + N as it is, not within the clusters.
    n_clusters : int
        K of the relaxation.

    Returns
    -------
    bound : float
        ``1'(A + N)1 / n`` and the K - 1 largest eigenvalues off the ones, rounded upwards.
    """
    matrix, n = dual.matrix, len(dual.geometry.rows)
    along_ones = float(dual.sums @ matrix.core @ dual.sums) / n
    # A sum has at most the root of n times the length of its column.
    magnitude = float(matrix.lengths @ np.abs(matrix.core) @ matrix.lengths)
    along_ones += 4.0 * dual.geometry.sum_error * magnitude
    return along_ones + proved_top_sum_low_rank(matrix, n_clusters - 1)


def _corrections(geometry, largest_core):
    """One of every kind, with as many directions as fit; None where not even the line does."""
    n_directions = most_directions(geometry.rows.shape[1], geometry.n_clusters, largest_core)
    if n_directions < 0:
        return [None] * len(_KINDS)
    directions = np.linalg.eigh(geometry.within_scatter)[1][:, ::-1][:, :n_directions]
    return [None if kind is None else Correction(directions, *kind) for kind in _KINDS]


def _bound_without_multipliers(geometry, n_clusters):
    """N = 0: the K - 1 largest eigenvalues of the covariance, known as the bound of PCA."""
    dual = PartitionDual(geometry, 0.0, pairs=False)
    return dual_bound(dual, n_clusters)


def _thinned(geometry):
    """Every few rows of each cluster, sorted as they are, and their share."""
    n = len(geometry.rows)
    if n <= _SEARCH_ROWS:
        return geometry, 1.0
    step = -(-n // _SEARCH_ROWS)
    rows = np.concatenate(
        [
            np.arange(first, last, step)
            for first, last in zip(geometry.starts[:-1], geometry.starts[1:], strict=True)
        ]
    )
    labels = np.searchsorted(geometry.starts, rows, side="right")
    sample = PartitionGeometry(geometry.rows[rows], labels)
    return sample, len(rows) / n / sample.scale**2


class _Search:
    """The bound as a function of z, which falls and then rises."""

    def __init__(self, geometry, n_clusters, correction, level):
        self.geometry, self.n_clusters = geometry, n_clusters
        self.correction, self.level = correction, level
        self.values = {}

    def value(self, factor):
        if factor not in self.values:
            dual = PartitionDual(self.geometry, factor * self.level, self.correction)
            self.values[factor] = dual_bound(dual, self.n_clusters)
        return self.values[factor]

    def first_value(self):
        """The best of a first look."""
        return min(self.value(factor) for factor in _FIRST_FACTORS)

    def best(self):
        """The best z that was found."""
        low, middle, high = _FIRST_FACTORS
        while self.value(high) < self.value(middle) and high < 8.0:
            low, middle, high = middle, high, 1.5 * high
        while self.value(low) < self.value(middle) and low > 0.1:
            low, middle, high = low / 1.5, low, middle
        for _ in range(_N_REFINEMENTS):
            if high - middle > middle - low:
                probe = middle + _GOLDEN * (high - middle)
            else:
                probe = middle - _GOLDEN * (middle - low)
            if self.value(probe) < self.value(middle):
                low, high = (middle, high) if probe > middle else (low, middle)
                middle = probe
            elif probe > middle:
                high = probe
            else:
                low = probe
        return middle * self.level

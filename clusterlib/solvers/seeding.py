"""First centres for k-means: drawn at random, or spread out by k-means++."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from clusterlib.blocks import as_blocks
from clusterlib.kernels import pairwise_distances
from clusterlib.solvers.draws import RowDraws
from clusterlib.solvers.geometry import Flat, Sphere

if TYPE_CHECKING:
    from clusterlib.typing import Array, IntArray, Rows

__all__ = ["Seeds", "kmeans_plusplus", "random_rows"]


class Seeds(NamedTuple):
    """First centres.

    Attributes
    ----------
    centers : ndarray of shape (n_clusters, n_features)
        Rows of X, in its dtype; their directions on the sphere.
    indices : ndarray of shape (n_clusters,), int
        Which rows they are.
    """

    centers: Array
    indices: IntArray


def random_rows(
    X: Rows,
    n_clusters: int,
    rng: np.random.Generator,
    *,
    sample_weight: Array | None = None,
    spherical: bool = False,
    draws: RowDraws | None = None,
) -> Seeds:
    """Take different rows at random, in proportion to their weights.

    Parameters
    ----------
    X : Blocks or array-like of shape (n_samples, n_features)
        The rows.
    n_clusters : int
        How many; beyond the number of different rows some are taken again.
    rng : numpy.random.Generator
        Source of randomness.
    sample_weight : ndarray of shape (n_samples,), default=None
        Weights; a row of weight 0 is never taken.
    spherical : bool, default=False
        Return directions instead of rows.
    draws : RowDraws, default=None
        The order of the rows, if it is known already; it then brings its weights.

    Returns
    -------
    seeds : Seeds
        Centres and indices.

    Notes
    -----
    O(n d + n log n) time, O(n) memory.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import random_rows
    >>> X = np.array([[0.0], [0.0], [1.0]])
    >>> np.sort(random_rows(X, 2, np.random.default_rng(0)).centers, axis=None)
    array([0., 1.])
    """
    blocks = as_blocks(X)
    draws = RowDraws(blocks, sample_weight) if draws is None else draws
    indices = draws.draw_different(rng, n_clusters)
    if len(indices) < n_clusters:
        again = draws.draw(rng, n_clusters - len(indices))
        indices = np.concatenate([indices, again])
    return _as_seeds(blocks, indices, Sphere if spherical else Flat)


def kmeans_plusplus(
    X: Rows,
    n_clusters: int,
    rng: np.random.Generator,
    *,
    sample_weight: Array | None = None,
    n_local_trials: int | None = None,
    spherical: bool = False,
    draws: RowDraws | None = None,
) -> Seeds:
    """Spread centres out: greedy k-means++.

    Each new centre is the best of some rows that are drawn in proportion to weight times cost,
    the cost of a row being what it has to pay to the nearest centre so far.

    Parameters
    ----------
    X : Blocks or array-like of shape (n_samples, n_features)
        The rows.
    n_clusters : int
        How many centres.
    rng : numpy.random.Generator
        Source of randomness.
    sample_weight : ndarray of shape (n_samples,), default=None
        Weights; integers act as repetitions of the row.
    n_local_trials : int, default=None
        Rows tried for each centre, None for ``2 + int(log(n_clusters))``.
    spherical : bool, default=False
        Take 1 - cosine for the cost and return directions.
    draws : RowDraws, default=None
        The order of the rows, if it is known already; it then brings its weights.

    Returns
    -------
    seeds : Seeds
        Centres and indices. Equal rows are taken twice only if no different one is left.

    Notes
    -----
    O(n d t k) time and O(n t) memory for t trials. Distances come from
    :func:`clusterlib.kernels.pairwise_distances`, so probabilities have its rounding errors;
    rows equal to a centre have exactly none.

    References
    ----------
    .. [1] D. Arthur and S. Vassilvitskii, "k-means++: the advantages of careful seeding",
       SODA 2007; the greedy form in section 7 of its technical report.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import kmeans_plusplus
    >>> X = np.array([[0.0], [0.1], [9.0], [9.1]])
    >>> centers, indices = kmeans_plusplus(X, 2, np.random.default_rng(0))
    >>> bool(np.ptp(centers) > 8)
    True
    """
    blocks = as_blocks(X)
    geometry = Sphere if spherical else Flat
    draws = RowDraws(blocks, sample_weight) if draws is None else draws
    trials = 2 + int(np.log(n_clusters)) if n_local_trials is None else n_local_trials
    spread = _Spread(blocks, draws, geometry)
    spread.add_best_of(draws.draw(rng, 1))
    while len(spread.indices) < n_clusters:
        spread.add_best_of(draws.draw(rng, trials, spread.mass()))
    return _as_seeds(blocks, np.array(spread.indices, dtype=np.intp), geometry)


def _as_seeds(blocks, indices, geometry):
    rows = blocks.to_host(blocks.take(indices))
    return Seeds(np.ascontiguousarray(geometry.points(rows)), indices)


def _distances(rows, points, metric):
    return pairwise_distances(rows, points, metric=metric)


class _Spread:
    """Centres chosen so far and what every row has to pay; all of it lies where the rows lie."""

    def __init__(self, blocks, draws, geometry):
        self.blocks, self.draws, self.geometry = blocks, draws, geometry
        self.indices = []
        self.closest = None
        self.scale = None
        self.is_taken = blocks.zeros(blocks.n_samples, bool)
        self.weight = blocks.from_host(draws.sample_weight)

    def mass(self):
        """Weight times cost; where nobody has to pay, the weights of rows not yet taken."""
        mass = self.weight * self.closest
        if mass.sum() > 0:
            return mass
        free = np.where(self.is_taken, 0.0, self.weight)
        return free if free.any() else self.weight

    def add_best_of(self, candidates):
        """Add the candidate that leaves the least to pay, the first of equal ones."""
        costs = self._costs(candidates)
        if self.closest is not None:
            np.minimum(costs, self.closest, out=costs)
        best = 0
        if len(candidates) > 1:
            best = int(np.argmin([float((row * self.weight).sum()) for row in costs]))
        equal_rows = self.blocks.from_host(self.draws.group_of(candidates[best]))
        self.closest = costs[best].copy()
        self.closest[equal_rows] = 0.0
        self.is_taken[equal_rows] = True
        self.indices.append(candidates[best])

    def _costs(self, candidates):
        """Cost of every row at every candidate, float64 of shape (trials, n_samples)."""
        points = self.blocks.take(candidates)
        costs = self.blocks.zeros((len(candidates), self.blocks.n_samples), np.float64)
        start = 0
        for part in self.blocks.map(_distances, (), (points, self.geometry.seeding_metric)):
            costs[:, start : start + len(part)] = part.T
            start += len(part)
        np.minimum(costs, np.finfo(np.float64).max, out=costs)
        if self.scale is None:
            self.scale = float(np.where(self.weight > 0, costs, 0.0).max()) or 1.0
        with np.errstate(over="ignore", under="ignore"):
            costs = self.geometry.seeding_costs(costs, self.scale)
        # Rows without weight may lie anywhere; 0 * inf must not become NaN.
        return np.minimum(costs, np.finfo(np.float64).max, out=costs)

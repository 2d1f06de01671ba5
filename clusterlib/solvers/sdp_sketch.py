"""Sketch and lift: the relaxation of some rows, and the clusters of all that follow from it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment

from clusterlib.blocks import as_blocks
from clusterlib.solvers.draws import RowDraws
from clusterlib.solvers.lloyd import lloyd, scatter
from clusterlib.solvers.low_rank_sdp import low_rank_sdp
from clusterlib.solvers.sdp_rounding import Rounding, round_membership
from clusterlib.solvers.seeding import kmeans_plusplus

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from clusterlib.typing import Float64Array, FloatArray, Int32Array, Rows

__all__ = ["SketchResult", "default_sketch_size", "sketch_sdp"]

# Rows of a sketch for each cluster and column: errors of centres fall with their square root.
_ROWS_FOR_A_COLUMN = 50
_LEAST_ROWS, _LEAST_OF_CLUSTER, _MOST_ENTRIES = 2_000, 20, 1_000_000
_PILOT_STARTS = 3
# k-means++ starts on a sketch beside its relaxation.
_SKETCH_STARTS = 1
# The last steps of Lloyd: one or two where clusters are apart, which is all that they need.
_LAST_STEPS, _LAST_TOLERANCE = 10, 1e-4


class SketchResult(NamedTuple):
    """What :func:`sketch_sdp` found.

    Attributes
    ----------
    labels : ndarray of shape (n_samples,), int32
        Nearest of ``centers`` for every row.
    centers : ndarray of shape (n_clusters, n_features)
        In the dtype of X.
    inertia : float
        k-means cost of all rows, computed in float64.
    rounding : Rounding
        ``KMEANS`` if the pilot has won, else how the sketch behind the centres was rounded.
    n_iter : int
        Iterations of the relaxations of all rounds.
    converged : bool
        Whether all of these converged.
    trace_error, residual : float
        The largest of all rounds, see :func:`low_rank_sdp`.
    history : ndarray of shape (n_candidates, 4), float64
        Of the pilot, each round, the averaged centres (with two rounds and more) and the end:
        iterations so far, k-means cost of all rows, trace error and residual of the relaxation.
    """

    labels: Int32Array
    centers: FloatArray
    inertia: float
    rounding: Rounding
    n_iter: int
    converged: bool
    trace_error: float
    residual: float
    history: Float64Array


def default_sketch_size(n_clusters: int, rank: int) -> int:
    """Choose the rows of a sketch: ``50 n_clusters rank``, and no more than are solved in seconds.

    Parameters
    ----------
    n_clusters, rank : int
        Clusters, and columns of the factor.

    Returns
    -------
    size : int
        At least 2000 and 20 for each cluster; else, a factor of at most a million entries.

    Examples
    --------
    >>> from clusterlib.solvers import default_sketch_size
    >>> default_sketch_size(8, 16), default_sketch_size(50, 100)
    (6400, 10000)
    """
    size = min(_ROWS_FOR_A_COLUMN * n_clusters * rank, _MOST_ENTRIES // rank)
    return max(size, _LEAST_ROWS, _LEAST_OF_CLUSTER * n_clusters)


def sketch_sdp(
    X: Rows,
    n_clusters: int,
    rng: np.random.Generator,
    *,
    sketch_size: int | None = None,
    n_rounds: int = 2,
    rank: int | None = None,
    tol: float = 1e-6,
    max_iter: int = 5000,
    n_threads: int | None = None,
    callback: Callable[..., Any] | None = None,
) -> SketchResult:
    """Relax k-means on samples of the rows and carry the centres over to all of them.

    A pilot, k-means on a uniform sample, estimates the sizes of the clusters. Each round draws a
    sample in which every cluster of the best labels so far has about the same number of rows,
    solves the low-rank relaxation on it, rounds it, and lifts the centres: all rows go to their
    nearest centre and one step of Lloyd follows. Centres of the rounds are matched and averaged
    for another candidate. The one with the lowest cost on all rows is kept, the pilot (with a step
    of its own) included, and goes on by Lloyd's iteration until its centres hardly move, for ten
    steps at most.

    Parameters
    ----------
    X : Blocks or array-like of shape (n_samples, n_features)
        The rows; more than ``sketch_size``. A memory-mapped X is read block by block.
    n_clusters : int
        How many clusters.
    rng : numpy.random.Generator
        Source of randomness.
    sketch_size : int, default=None
        Rows of a sample; None for :func:`default_sketch_size`.
    n_rounds : int, default=2
        How many samples.
    rank : int, default=None
        Columns of the factor, None for ``2 n_clusters``.
    tol : float, default=1e-6
        Of the relaxation, see :func:`low_rank_sdp`.
    max_iter : int, default=5000
        Of the relaxation.
    n_threads : int, default=None
        Of the relaxation.
    callback : callable, default=None
        ``callback(centers, costs)`` after each round, with the best centres so far and the list
        of the costs; True stops.

    Returns
    -------
    result : SketchResult
        Labels always belong to the returned centres.

    Notes
    -----
    With m rows in a sample: ``n_rounds`` times a relaxation of m rows, and some
    ``2 (n_rounds + 3)`` passes of O(n K p) over X. Memory besides X is O(n + m (p + r)). A centre
    from m rows is off by about ``sqrt(K / m)`` standard deviations, which costs a share ``K / m``
    of the k-means cost before the step of Lloyd and next to nothing after it, where clusters are
    apart.

    References
    ----------
    .. [1] Y. Zhuang, X. Chen and Y. Yang, "Sketch-and-lift: scalable subsampled semidefinite
       program for K-means clustering", AISTATS 2022.
    .. [2] D. G. Mixon and S. Villar, "Monte Carlo approximation certificates for k-means
       clustering", arXiv 1710.00956, 2017.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import sketch_sdp
    >>> X = np.random.default_rng(0).normal(size=(9000, 2)) + 9 * np.eye(3, 2).repeat(3000, axis=0)
    >>> result = sketch_sdp(X, 3, np.random.default_rng(0), sketch_size=300)
    >>> np.sort(result.centers.sum(axis=1)).round()
    array([0., 9., 9.])
    """
    blocks = as_blocks(X)
    rank = 2 * n_clusters if rank is None else rank
    size = default_sketch_size(n_clusters, rank) if sketch_size is None else sketch_size
    race = _Race()
    race.enter(_lifted(blocks, _pilot(blocks, n_clusters, rng, size)), Rounding.KMEANS)
    centers_of_rounds = []
    while len(centers_of_rounds) < n_rounds and race.best.inertia > 0:
        sample = blocks.take(_balanced_draw(race.best.labels, n_clusters, size, rng))
        relaxation = low_rank_sdp(
            sample,
            n_clusters,
            rng=rng,
            rank=rank,
            tol=tol,
            max_iter=max_iter,
            n_threads=n_threads,
        )
        rounded = round_membership(sample, relaxation.W, n_clusters, rng, n_kmeans=_SKETCH_STARTS)
        lifted = _lifted(blocks, rounded.centers)
        race.enter(lifted, rounded.rounding, relaxation)
        centers_of_rounds.append(lifted.centers)
        if callback is not None and callback(race.best.centers, race.costs):
            break
    if len(centers_of_rounds) > 1:
        averaged = _averaged(centers_of_rounds, race.best.centers)
        race.enter(_lifted(blocks, averaged), race.rounding)
    settled = lloyd(
        blocks, race.best.centers, max_iter=_LAST_STEPS, tol=_LAST_TOLERANCE * scatter(blocks)
    )
    race.enter(settled, race.rounding)
    return race.result()


class _Race:
    """Candidates for all rows: the best one so far, and what each cost."""

    def __init__(self):
        self.best, self.rounding = None, None
        self.records = []
        self.converged = True

    @property
    def costs(self):
        return [cost for _, cost, _, _ in self.records]

    def enter(self, lifted, rounding, relaxation=None):
        """Take in a candidate and, where it has one, the relaxation behind it."""
        n_iter = self.records[-1][0] if self.records else 0
        errors = (0.0, 0.0)
        if relaxation is not None:
            n_iter += relaxation.n_iter
            errors = relaxation.trace_error, relaxation.residual
            self.converged &= relaxation.converged
        self.records.append((n_iter, lifted.inertia, *errors))
        if self.best is None or lifted.inertia < self.best.inertia:
            self.best, self.rounding = lifted, rounding

    def result(self):
        history = np.array(self.records, dtype=np.float64)
        return SketchResult(
            self.best.labels,
            self.best.centers,
            self.best.inertia,
            self.rounding,
            n_iter=self.records[-1][0],
            converged=self.converged,
            trace_error=float(history[:, 2].max()),
            residual=float(history[:, 3].max()),
            history=history,
        )


def _pilot(blocks, n_clusters, rng, size):
    """Centres of k-means on a uniform sample."""
    sample = blocks.take(np.sort(rng.choice(blocks.n_samples, size, replace=False)))
    draws = RowDraws(as_blocks(sample))
    starts = (
        kmeans_plusplus(sample, n_clusters, rng, draws=draws).centers for _ in range(_PILOT_STARTS)
    )
    return min((lloyd(sample, start) for start in starts), key=lambda r: r.inertia).centers


def _lifted(blocks, centers):
    """All rows at their nearest centres after one step of Lloyd."""
    return lloyd(blocks, centers, max_iter=1)


def _balanced_draw(labels, n_clusters, size, rng):
    """Rows, drawn without replacement, of which every cluster has about the same number.

    Exponential races, as in :meth:`RowDraws.draw_different`: the rate of a row is one over the
    size of its cluster.
    """
    sizes = np.bincount(labels, minlength=n_clusters).astype(np.float32)
    arrivals = rng.standard_exponential(len(labels), dtype=np.float32)
    arrivals *= sizes[labels]
    return np.sort(np.argpartition(arrivals, size - 1)[:size])


def _averaged(centers_of_rounds, reference):
    """Mean over the rounds, whose clusters are matched with those of ``reference``."""
    total = np.zeros(reference.shape)
    for centers in centers_of_rounds:
        difference = reference[:, None, :].astype(np.float64) - centers
        matched = linear_sum_assignment(np.square(difference).sum(axis=2))[1]
        total += centers[matched]
    return (total / len(centers_of_rounds)).astype(reference.dtype)
